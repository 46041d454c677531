"""Four workers and twelve partitions under one line, whose leader is killed, an owner with it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pytest

from stream_app.messages import partition_of
from tests.kafka.broker import KafkaBroker
from tests.kafka.clients import Record, consume, produce, wait_for
from tests.kafka.feeding import send
from tests.kafka.reckoning import tell
from tests.kafka.watching import watching_versions
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers, running
from tests.outcome import chains, line_differences
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, START, Generator

PARTITIONS = 12
WORKERS = 4
MINUTE_MS = 60_000
MOVES = 40 + 10 + 10
DAY_MS = 24 * 60 * MINUTE_MS
POSTED = START + MINUTE_MS
VISIBLE_S = 60.0  # far more than the two seconds it should take, for machines that do much else


@dataclass
class Scene:
    """Workers that share twelve partitions."""

    system: Workers
    members: list[Worker]

    def leader(self) -> Worker:
        """The one worker that draws the line."""
        wait_for(lambda: len(self._leaders()) == 1, "a leader", VISIBLE_S)
        return self._leaders()[0]

    def _leaders(self) -> list[Worker]:
        return [w for w in self.members if not w.has_ended and w.counter("kol_leader")]


def four_workers(system: Workers) -> list[Worker]:
    members = [system.make(f"worker{number}").launch() for number in range(WORKERS)]
    for worker in members:
        worker.wait_ready()
    wait_for(lambda: is_shared(members), "the partitions to be shared", VISIBLE_S)
    return members


def is_shared(members: list[Worker]) -> bool:
    owned = [worker.owned() for worker in members if worker.is_ready()]
    return len(owned) == len(members) and all(owned) and sum(map(len, owned)) == PARTITIONS


@pytest.fixture(scope="module")
def scene(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    settings = {
        "app_id": "line",  # a group of its own: these run beside the workers of the last test
        "partitions": PARTITIONS,
        "post_memory": POST_MEMORY,
        "interaction_memory": INTERACTION_MEMORY,
    }
    home = tmp_path_factory.mktemp("line")
    with running(kafka.bootstrap, f"t{secrets.token_hex(4)}-", home, **settings) as system:
        yield Scene(system, four_workers(system))


def test_four_workers_answer_the_same_which_is_what_all_rows_amount_to(scene: Scene) -> None:
    generator = Generator(71, events=2_000, users=400, partitions=PARTITIONS)
    system = scene.system
    send(system, generator.events[:-1])
    system.wait_until_scored(scene.members[0])
    send(system, generator.events[-1:])
    sent_at = monotonic()
    for worker in scene.members:
        wait_for(
            lambda seen_by=worker: system.cut_reached_the_end(seen_by),  # type: ignore[misc]
            "the last event to be seen",
            VISIBLE_S,
        )
    tell(f"seen on {WORKERS} workers {monotonic() - sent_at:.2f} s after it was sent")
    wait_for(lambda: len({answer(worker) for worker in scene.members}) == 1, "one answer")
    truth = generator.truth()
    scores = truth.scores(truth.high_mark).values()
    line = scene.members[0].json("/api/v1/threshold")
    assert line_differences(line, scores, {"kol": 0.9}) == []


def answer(worker: Worker) -> str:
    paths = ("rankings?limit=500", "threshold")
    return json.dumps([worker.json(f"/api/v1/{path}") for path in paths])


def test_a_lost_leader_is_replaced_all_answer_meanwhile_and_no_version_goes_back(
    scene: Scene,
) -> None:
    """Goes on where the test before it ended."""
    system, lost = scene.system, scene.leader()
    generator = Generator(72, events=600, users=400, partitions=PARTITIONS)
    left = [worker for worker in scene.members if worker is not lost]
    before = lost.json("/api/v1/threshold")["version"]
    with watching_versions(left) as seen:
        lost.kill()
        send(system, generator.events)
        killed_at = monotonic()
        wait_for(lambda: scene.leader() is not lost, "another leader", VISIBLE_S)
        system.wait_until_scored(left[0])
        tell(
            f"the line was whole again {monotonic() - killed_at:.1f} s after its leader was killed"
        )
        wait_for(lambda: len({answer(worker) for worker in left}) == 1, "one answer", VISIBLE_S)
    for versions in seen.values():
        assert versions == sorted(versions)
        assert versions[-1] > before


# -- the first minute after the loss of leader and owner


class Story:
    """Four hundred users of whom forty, all of one worker's partitions, are far above the others.

    Ten of the others rise above all, then ten of the forty fall below all: twenty transitions,
    whatever happens meanwhile. A line without that worker's partitions would be far too low, and
    promote dozens.
    """

    def __init__(self, system: Workers, victim: Iterable[str]) -> None:
        self._system = system
        numbers = {int(number) for number in victim}
        names = [f"u{n}" for n in range(5_000)]
        high = [n for n in names if partition_of(f"x:{n}".encode(), PARTITIONS) in numbers][:40]
        self.low = [name for name in names if name not in high][:360]
        self.high = high

    def begin(self, asked: Worker) -> None:
        """The forty first: so that no line promotes any other, however few are there yet."""
        for users, step in ((self.high, 100_000), (self.low, 10)):
            self._produce(users, growing(step), POSTED)
            self._system.wait_until_scored(asked)

    def rise(self, numbers: slice) -> None:
        self._produce(self.low[::36][numbers], lambda _: 10**9, POSTED + MINUTE_MS)

    def fall(self) -> None:
        """Newer counts of their only posts: nothing at all."""
        self._produce(self.high[::4], lambda _: 0, POSTED, observed_at=POSTED + 9 * MINUTE_MS)

    def overtake(self) -> None:
        """All but the forty post what draws far more than theirs, who post nothing."""
        self._produce(self.low, lambda n: 10**12 + n, POSTED + 10 * MINUTE_MS)

    def outlive(self) -> None:
        """One post when everybody else has been silent for longer than the active window."""
        self._produce(["late"], lambda _: 0, POSTED + 200 * DAY_MS)

    def _produce(
        self, users: list[str], likes: Callable[[int], int], at: int, *, observed_at: int = 0
    ) -> None:
        records = []
        for number, user in enumerate(users):
            content = {
                "id": f"p{at}",
                "platform": "x",
                "user_id": user,
                "text": f"What {user} thinks at {at}.",
                "created_at": at,
                "observed_at": observed_at,
                "follower_count": 100,
                "like_count": likes(number),
            }
            records.append(Record(key=f"x:{user}".encode(), value=json.dumps(content).encode()))
        produce(self._system.broker, self._system.names.posts, records)


def growing(step: int) -> Callable[[int], int]:
    return lambda number: step * (number + 1)


def transitions(system: Workers) -> list[tuple[str, list[tuple[str, str | None]]]]:
    events, _ = chains(consume(system.broker, system.names.events))
    return sorted(
        (key, [(event["kind"], event["tier"]) for event in chain]) for key, chain in events.items()
    )


def moves(found: Iterable[tuple[str, list[tuple[str, str | None]]]]) -> int:
    return sum(len(chain) for _, chain in found)


def check_idle_users(system: Workers, story: Story, asked: Worker) -> None:
    """Who posts nothing follows the line, and the clock, whichever worker has her."""
    story.overtake()
    system.wait_until_scored(asked)
    idle = set(story.high) - set(story.high[::4])
    wait_for(lambda: last_events(system, idle) == {("demoted", "threshold")}, "the idle to fall")
    members = {item["user"]["user_id"] for item in asked.kols()}
    assert len(members) >= 40
    story.outlive()
    system.wait_until_scored(asked)
    wait_for(lambda: asked.kols() == [], "all to be inactive", VISIBLE_S)
    wait_for(lambda: last_events(system, members) == {("demoted", "inactivity")}, "all to be told")


def last_events(system: Workers, users: Iterable[str]) -> set[tuple[str, str]]:
    """Kind and cause of the last event of each of these users."""
    events, _ = chains(consume(system.broker, system.names.events))
    last = [events[f"x:{user}"][-1] for user in users]
    return {(event["kind"], event["cause"]["type"]) for event in last}


def test_leader_and_owner_lost_together_move_nobody_whom_an_undisturbed_run_would_not(
    kafka: KafkaBroker, tmp_path: Path
) -> None:
    settings = {"partitions": PARTITIONS, "leave_margin": "0.05", "snapshot_interval": "100ms"}
    found = []
    victim: set[str] = set()
    for name in ("disturbed", "undisturbed"):
        home = tmp_path / name
        home.mkdir()
        prefix = f"t{secrets.token_hex(4)}-"
        with running(kafka.bootstrap, prefix, home, **settings) as system:
            if name == "disturbed":
                scene = Scene(system, four_workers(system))
                leader = scene.leader()
                victim = leader.owned()
                asked = next(worker for worker in scene.members if worker is not leader)
            else:
                asked = leader = system.start("only")
            story = Story(system, victim)
            story.begin(asked)
            story.rise(slice(0, 5))
            if leader is not asked:
                leader.kill()
            story.rise(slice(5, 10))
            system.wait_until_scored(asked)
            story.fall()
            system.wait_until_scored(asked)
            wait_for(lambda seen=system: moves(transitions(seen)) >= MOVES, "the moves")  # type: ignore[misc]
            found.append(transitions(system))
            check_idle_users(system, story, asked)
    disturbed, undisturbed = found
    tell(f"{len(undisturbed)} users moved; victim owned {len(victim)} of {PARTITIONS} partitions")
    assert disturbed == undisturbed
    assert moves(undisturbed) == MOVES
