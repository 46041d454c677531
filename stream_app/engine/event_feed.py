"""KOL events of the whole system for live readers: the newest are kept, new ones are handed on."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

from stream_app.engine.tail import Tail

#: Events kept for readers that come back after a lost connection.
KEPT = 2000
#: A reader this far behind is cut off; it comes back with its last id.
_MOST_BEHIND = 4000


class EventFeed:
    """Follows `kol-events` without a group."""

    def __init__(self, broker: str, topic: str, partitions: int) -> None:
        self._tail = Tail(broker, topic, partitions, last=KEPT)
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._readers: set[asyncio.Queue[tuple[str, bytes] | None]] = set()

    async def run(self) -> None:
        """Follow the topic, for ever. Raises what the broker answers."""
        await self._tail.follow(self.on_record)

    def on_record(self, record: Any) -> None:
        """Take one record of the topic."""
        event_id = next((v.decode() for k, v in record.headers if k == "ce_id"), None)
        if event_id is None or record.value is None:
            return
        self._kept[event_id] = record.value
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        for queue in list(self._readers):
            if queue.qsize() >= _MOST_BEHIND:
                self._readers.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait((event_id, record.value))

    async def read(self, last_event_id: str | None) -> AsyncIterator[tuple[str, bytes]]:
        """Events as (id, JSON): from now, or from behind an id; an unknown id: from the oldest."""
        queue: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        self._readers.add(queue)
        missed = self._behind(last_event_id) if last_event_id is not None else []
        try:
            for item in missed:
                yield item
            while (fresh := await queue.get()) is not None:
                yield fresh
        finally:
            self._readers.discard(queue)

    def _behind(self, last_event_id: str) -> list[tuple[str, bytes]]:
        items = list(self._kept.items())
        for index, (event_id, _) in enumerate(items):
            if event_id == last_event_id:
                return items[index + 1 :]
        return items
