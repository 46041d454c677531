"""What every handler may reach, and how answers are written."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
from aiohttp import web

from stream_app.core.ranking import Board
from stream_app.web.problems import unavailable
from stream_app.web.queries import Queries
from stream_app.web.ranking_items import RankingItems

_encode = msgspec.json.Encoder().encode


@dataclass
class Places:
    """So many may be in at once."""

    most: int
    taken: int = 0

    @contextmanager
    def one(self, full: str) -> Iterator[None]:
        """One of them, for as long as the block runs; 503 with the reason where all are taken."""
        if self.taken >= self.most:
            raise unavailable(full)
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


@dataclass(frozen=True)
class Context:
    """The worker that is asked, and what is kept between requests."""

    queries: Queries
    #: where this worker is reached, without a slash at the end
    base_url: str
    #: the streams of events that are open
    streams: Places
    #: set when the worker stops: answers that never end must end then
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    ranking: RankingItems = field(default_factory=RankingItems)


CONTEXT = web.AppKey("context", Context)


def queries_of(request: web.Request) -> Queries:
    """The worker behind this request."""
    return request.app[CONTEXT].queries


def json_response(answer: msgspec.Struct) -> web.Response:
    """The answer as JSON; what is no finite number becomes null."""
    return web.Response(body=_encode(answer), content_type="application/json")


def shown_time(queries: Queries, board: Board | None) -> int | None:
    """The time (ms) as of which scores are shown: the board's, else the worker's own high mark."""
    if board is not None and board.high_mark is not None:
        return board.high_mark
    return queries.high_mark()


def require_ready(queries: Queries) -> None:
    """503 while this worker does not hold all its rows: a user missing from them may well exist."""
    reason = queries.not_ready()
    if reason is not None:
        raise unavailable(f"the worker is not ready: {reason}")
