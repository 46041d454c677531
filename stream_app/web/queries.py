"""What the web needs to know of the worker it runs in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from stream_app.core.ranking import Board
from stream_app.core.row import UserRow
from stream_app.core.scheme import Scheme
from stream_app.core.standing import Standing


class EventStream(Protocol):
    """KOL events as (event id, JSON), as they come."""

    def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]: ...

    async def __anext__(self) -> tuple[str, bytes]: ...

    def ready(self, most: int) -> list[tuple[str, bytes]]:
        """Take those that have come already, so many at most; none is waited for."""

    async def aclose(self) -> None:
        """Say that the reader has gone."""


class Queries(Protocol):
    """The worker as its web API sees it; answered by the engine, or by a fake in tests."""

    scheme: Scheme
    #: of the whole system
    partition_count: int

    def not_ready(self) -> str | None:
        """Why the worker cannot serve yet, in words; None when it is ready."""

    def board(self) -> Board | None:
        """The newest system-wide view; None before there is any."""

    def is_board_due(self) -> bool:
        """Whether there is no board though there were scores: the formula has changed."""

    def high_mark(self) -> int | None:
        """Greatest event time known to this worker (ms)."""

    def owner_url(self, key: str) -> str | None:
        """Base URL of the worker that owns the user, None when it is this one.

        Raises:
            LookupError: nobody is known to own her at the moment.
        """

    def peers(self) -> list[str]:
        """Base URLs of the other workers."""

    def owned(self) -> list[int]:
        """The partitions whose users are here."""

    def user_row(self, key: str) -> tuple[UserRow, bool] | None:
        """The row of a user owned here, and whether the population counts her; None if unknown.

        Raises:
            LookupError: she is not owned here.
        """

    def members(self, level: int, after: tuple[float, str] | None, limit: int) -> list[Standing]:
        """This worker's users at tier level or above, in ranking order, behind `after` (z, key)."""

    def events(self, last_event_id: str | None) -> EventStream:
        """KOL events of the whole system, from this call on or behind an id; endless.

        Raises:
            LookupError: those of before have not been read yet.
        """

    def metrics(self) -> bytes:
        """Prometheus text."""
