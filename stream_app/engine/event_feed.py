"""KOL events of the whole system for live readers: the newest are kept, new ones are handed on."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from stream_app.engine.event_log import EventLog, Subscription
from stream_app.engine.tail import Tail
from stream_app.messages import BadInput, decode_event, event_source

log = logging.getLogger(__name__)

#: Events kept for readers that come back after a lost connection.
KEPT = 2000
#: Workers take in partitions in different orders, and a reader may come from another worker. What
#: came here more than this long before the event it names, came there before it too: a fetch that
#: hangs is given up after 40 s.
OVERLAP_S = 60.0


@dataclass(frozen=True, slots=True)
class _Kept:
    event_id: str
    data: bytes
    partition: int
    offset: int
    #: seconds; when this worker took it in
    came: float


class EventFeed:
    """Follows `kol-events` without a group; other apps' events on it are passed over."""

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        partitions: int,
        *,
        app_id: str,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._tail = Tail(client, topic, partitions, last=KEPT)
        self._source = ("ce_source", event_source(app_id).encode())
        self._clock = clock
        #: what is found at the start, (time, partition, offset, event): a heap of the newest
        self._found: list[tuple[int, int, int, _Kept]] = []
        self._latest: dict[int, int] = {}
        self._kept: dict[str, _Kept] = {}
        self._log = EventLog()

    async def run(self) -> None:
        """Follow the topic, for ever. Raises what the broker answers."""
        await self._tail.follow(self.on_record)

    @property
    def is_read(self) -> bool:
        """Whether the events of before this worker's start have been read."""
        return self._tail.caught_up.is_set()

    def on_record(self, record: Any) -> None:
        """Take one record of the topic; one that is no KOL event of the app is passed over."""
        if self._source not in record.headers:
            return
        try:
            event = decode_event(record.value)
        except BadInput as error:
            where = (record.topic, record.partition, record.offset)
            log.debug("no KOL event topic=%s partition=%d offset=%d: %s", *where, error)
            return
        if not event.event_id.isprintable():
            return  # a line break in it would be read as another field of the stream
        kept = _Kept(event.event_id, record.value, record.partition, record.offset, self._clock())
        if not self.is_read:
            self._find(kept, record.timestamp)
            return
        self._settle()
        self._take(kept)

    def subscribe(self, last_event_id: str | None) -> Subscription:
        """Events as (id, JSON): from now, or all that may be unseen by who saw an event last.

        Nothing is left out; events of other partitions from about the time of the last one may
        come again. An id that is not kept: from the oldest.

        Raises:
            LookupError: the events of before have not been read yet.
        """
        if not self.is_read:
            raise LookupError("the events of before are still being read")
        self._settle()
        missed = self._unseen(last_event_id) if last_event_id is not None else ()
        return Subscription(self._log, missed)

    def _find(self, kept: _Kept, timestamp: int) -> None:
        # Partitions are read one after another, so what is newest shows at the end only. Within
        # a partition offsets rule, whatever the clocks of those who wrote.
        at = max(timestamp, self._latest.get(kept.partition, timestamp))
        self._latest[kept.partition] = at
        place = (at, kept.partition, kept.offset, kept)
        if len(self._found) < KEPT:
            heapq.heappush(self._found, place)
        else:
            heapq.heappushpop(self._found, place)

    def _settle(self) -> None:
        if self._found:
            found, self._found = sorted(self._found, key=lambda place: place[:3]), []
            for *_, kept in found:
                self._take(kept)

    def _take(self, kept: _Kept) -> None:
        if kept.event_id in self._kept:
            return  # sent again after a crash
        self._kept[kept.event_id] = kept
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        self._log.append((kept.event_id, kept.data))

    def _unseen(self, last_event_id: str) -> Iterator[tuple[str, bytes]]:
        last = self._kept.get(last_event_id)
        is_behind = last is None
        for kept in self._kept.values():
            if is_behind or (last is not None and _may_come_behind(kept, last)):
                yield kept.event_id, kept.data
            is_behind = is_behind or kept is last


def _may_come_behind(kept: _Kept, last: _Kept) -> bool:
    """Whether another worker may have taken in `kept` behind `last`, before which it came here."""
    return kept.partition != last.partition and last.came - kept.came <= OVERLAP_S
