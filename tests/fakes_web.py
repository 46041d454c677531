"""A worker without Kafka for the tests of the web: real rows, a real board, scripted events."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from aiohttp.test_utils import TestClient, TestServer

from stream_app.core.aggregate import fold_post, new_row
from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.ranking import Board, merge_top, position_key
from stream_app.core.row import UserRow
from stream_app.core.scheme import Scheme, Tier
from stream_app.core.standing import Standing, standing_of
from stream_app.core.tiers import Line, decide, draw
from stream_app.engine.metrics import Metrics
from stream_app.messages import COUNT_FIELDS, KolEvent, TextFeatures
from stream_app.web.queries import EventStream
from stream_app.web.server import create_web_app
from tests.builders import NOON, make_post

DAY_MS = 86_400_000
#: the bearer token of tests that need one
SESAME = "open sesame"
WEIGHTS = {"like": 1.0, "reply": 2.0, "repost": 3.0, "quote": 3.0, "save": 2.0, "view": 0.0}


def make_scheme(**changes: Any) -> Scheme:
    """The default scheme, with a line from ten users on."""
    fields: dict[str, Any] = {
        "weights": WEIGHTS | {"mention": 1.0, "follow": 2.0},
        "half_life_ms": 30.0 * DAY_MS,
        "active_window_ms": 90 * DAY_MS,
        "tiers": (
            Tier(name="kol", quantile=0.9, min_population=10),
            Tier(name="top", quantile=0.99, min_population=100),
        ),
    }
    return Scheme(**fields | changes)


def make_features(seed: int) -> TextFeatures:
    """Features of some text: the same for the same seed, unlike those of others."""
    random_bytes = random.Random(seed).randbytes
    return TextFeatures(
        embedding=bytes((seed + i) % 60 for i in range(128)),
        embedding_norm=1.0,
        signature=random_bytes(32),
        logits_norm=None,
    )


def make_row(user_id: str, scheme: Scheme, *, posts: int = 3, **changes: Any) -> UserRow:
    """A user with posts of a day's distance, the newest at NOON."""
    row = new_row("twitter", user_id)
    for index in range(posts):
        post = make_post(
            id=f"{user_id}-{index}",
            user_id=user_id,
            created_at=NOON - (posts - 1 - index) * DAY_MS,
            **changes,
        )
        fold_post(row, post, make_features(hash((len(user_id), index))), scheme)
    return row


def make_crowd(count: int, scheme: Scheme, *, prefix: str = "u") -> list[UserRow]:
    """Users whose posts draw very different crowds."""
    rows = []
    for number in range(count):
        draws = {f"{name}_count": (number * number) % 997 for name in COUNT_FIELDS[:3]}
        followers = 10 * number if number % 3 else None
        rows.append(
            make_row(
                f"{prefix}{number}",
                scheme,
                posts=1 + number % 4,
                follower_count=followers,
                handle=f"name{number}",
                **draws,
            )
        )
    return rows


def make_board(rows: Iterable[UserRow], scheme: Scheme, *, version: int = 1) -> Board:
    """The board of a system of these users, at NOON; sets their tiers as its line says."""
    rows = list(rows)
    standings = [(row, found) for row in rows if (found := standing_of(row, scheme)) is not None]
    sketch = QuantileSketch()
    for _, standing in standings:
        sketch.insert(standing.z)
    lines = draw(sketch, scheme)
    members = [0] * len(scheme.tiers)
    for row, standing in standings:
        level = decide(standing.z, counted=True, level=0, lines=lines)
        row.tier = scheme.names[level - 1] if level else None
        row.tier_since = NOON if level else None
        for index in range(level):
            members[index] += 1
    ranked = merge_top([[found for row in rows if (found := standing_of(row, scheme))]], 1000)
    cut = {"posts": {"0": len(rows)}}
    line = Line(version, NOON, NOON, sketch.n, lines, cut)
    return Board(line=line, members=tuple(members), items=tuple(ranked), sketch=sketch)


class FakeEvents:
    """The log behind an event, and what is published."""

    def __init__(self, queries: "FakeQueries", last_event_id: str | None) -> None:
        self._queries = queries
        ids = [event_id for event_id, _ in queries.log]
        self._next = len(ids)
        if last_event_id is not None:
            self._next = ids.index(last_event_id) + 1 if last_event_id in ids else 0

    def __aiter__(self) -> "FakeEvents":
        return self

    async def __anext__(self) -> tuple[str, bytes]:
        self._queries.came.set()
        while not (found := self.ready(1)):
            self._queries.grown.clear()
            await self._queries.grown.wait()
        return found[0]

    def ready(self, most: int) -> list[tuple[str, bytes]]:
        found = self._queries.log[self._next : self._next + most]
        self._next += len(found)
        return found

    async def aclose(self) -> None:
        self._queries.left.set()


class EndingEvents(FakeEvents):
    """All that is kept, and then the end, or the failure."""

    failure: Exception | None = None

    async def __anext__(self) -> tuple[str, bytes]:
        if found := self.ready(1):
            return found[0]
        raise self.failure or StopAsyncIteration


class FakeQueries:
    """Answers from what it is given; tests change the fields."""

    def __init__(self, rows: Iterable[UserRow] = (), scheme: Scheme | None = None) -> None:
        self.scheme = scheme or make_scheme()
        self.rows = {row.key: row for row in rows}
        self.shown: Board | None = None
        self.reason: str | None = None
        self.partition_count = 1
        self.numbers = [0]
        self.owners: dict[str, str] = {}
        self.board_due = False
        self.unowned: set[str] = set()
        self.peer_urls: list[str] = []
        self.log: list[tuple[str, bytes]] = []
        self.grown = asyncio.Event()
        self.came, self.left = asyncio.Event(), asyncio.Event()
        self.figures = Metrics()

    def draw_board(self) -> Board:
        """Show the board of the own rows."""
        self.shown = make_board(self.rows.values(), self.scheme)
        return self.shown

    def publish(self, event: KolEvent) -> None:
        """Let an event happen."""
        self.log.append((event.event_id, msgspec.json.encode(event)))
        self.grown.set()

    def is_board_due(self) -> bool:
        return self.board_due

    def not_ready(self) -> str | None:
        return self.reason

    def board(self) -> Board | None:
        return self.shown

    def high_mark(self) -> int | None:
        return NOON if self.rows else None

    def owner_url(self, key: str) -> str | None:
        if key in self.unowned:
            raise LookupError(key)
        return self.owners.get(key)

    def peers(self) -> list[str]:
        return self.peer_urls

    def owned(self) -> list[int]:
        return self.numbers

    def user_row(self, key: str) -> tuple[UserRow, bool] | None:
        row = self.rows.get(key)
        return None if row is None else (row, row.posts > 0)

    def members(self, level: int, after: tuple[float, str] | None, limit: int) -> list[Standing]:
        found = [standing_of(row, self.scheme) for row in self.rows.values()]
        inside = [one for one in found if one and self.scheme.level_of(one.tier) >= level]
        if after is not None:
            place = (-after[0], after[1].encode())
            inside = [one for one in inside if position_key(one) > place]
        return sorted(inside, key=position_key)[:limit]

    def events(self, last_event_id: str | None) -> EventStream:
        return FakeEvents(self, last_event_id)

    def metrics(self) -> bytes:
        return self.figures.render()


Client = TestClient[Any, Any]


def run_web(
    queries: FakeQueries, check: Callable[[Client], Awaitable[None]], *, token: str | None = None
) -> None:
    """Serve the worker while `check` asks it."""

    async def run() -> None:
        app = create_web_app(queries, token=token, base_url="http://127.0.0.1:1")
        async with TestClient(TestServer(app)) as client:
            await check(client)

    asyncio.run(run())


def finite(value: object) -> bool:
    """Whether every number in a JSON value is finite."""
    if isinstance(value, dict):
        return all(finite(part) for part in value.values())
    if isinstance(value, list):
        return all(finite(part) for part in value)
    return not isinstance(value, float) or math.isfinite(value)
