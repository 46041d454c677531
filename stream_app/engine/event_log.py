"""The newest KOL events, once, for any number of readers that each have a place in them.

A thousand readers cost an event no more than one: it is written down once, and a reader that has
time takes all that have come since.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

Item = tuple[str, bytes]

#: A reader this far behind is cut off; it comes back with its last id.
_MOST_BEHIND = 4000


class EventLog:
    """Numbered from 0; the oldest are dropped when no reader may want them any more."""

    def __init__(self) -> None:
        self._kept: list[Item] = []
        self._begin = 0
        self._grown = asyncio.Event()

    @property
    def end(self) -> int:
        """The number of the next one."""
        return self._begin + len(self._kept)

    def append(self, item: Item) -> None:
        """It is there for all readers."""
        self._kept.append(item)
        if len(self._kept) > 2 * _MOST_BEHIND:
            del self._kept[:_MOST_BEHIND]
            self._begin += _MOST_BEHIND
        self._grown.set()  # wakes those who wait now
        self._grown.clear()

    def read(self, begin: int, most: int) -> list[Item]:
        """Those from this number on, so many at most; empty at the end."""
        place = begin - self._begin
        return self._kept[place : place + most]

    async def wait(self) -> None:
        """Returns after the next one."""
        await self._grown.wait()


class Subscription:
    """Events for one reader, endless unless the reader falls too far behind."""

    def __init__(self, log: EventLog, missed: Iterable[Item]) -> None:
        self._log = log
        self._next = log.end
        self._missed = deque(missed)

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Item:
        while not (found := self.ready(1)):
            if self._is_left_behind:
                raise StopAsyncIteration
            await self._log.wait()
        return found[0]

    def ready(self, most: int) -> list[Item]:
        """Take those that have come already, so many at most."""
        found = [self._missed.popleft() for _ in range(min(most, len(self._missed)))]
        if not self._is_left_behind:
            fresh = self._log.read(self._next, most - len(found))
            self._next += len(fresh)
            found += fresh
        return found

    @property
    def _is_left_behind(self) -> bool:
        return self._log.end - self._next > _MOST_BEHIND

    async def aclose(self) -> None:
        """The reader has gone; nothing is kept for it."""
        self._missed.clear()
