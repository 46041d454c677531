"""Records that the topic's retention took before they were read: nothing can bring them back.

Their absence must not be silent. Offsets alone do not tell it, since transactions and compaction
leave holes too; the offset at which the broker's copy begins does.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any

from aiokafka.errors import KafkaTimeoutError
from faust.types import TP

log = logging.getLogger(__name__)

#: Between two questions to the broker: where records come in transactions, every fetch has holes.
_EVERY_S = 1.0


class Missed:
    """Watches for holes at the beginning of what is fetched, and says which are losses."""

    def __init__(
        self,
        earliest: Callable[..., Awaitable[Mapping[Any, int | None]]],
        app: Any,
    ) -> None:
        self._earliest = earliest
        self._app = app
        #: holes not looked into yet: first offset that was due, first that came
        self._holes: dict[TP, tuple[int, int]] = {}
        self._next = 0.0

    def came(self, tp: TP, due: int | None, first: int) -> None:
        """A fetch begins at `first`, where `due` was to be read."""
        if due is not None and first > due:
            self._holes.setdefault(tp, (due, first))

    async def look(self) -> None:
        """Ask the broker, now and then, where the partitions with holes begin."""
        if not self._holes or monotonic() < self._next:
            return
        self._next = monotonic() + _EVERY_S
        holes, self._holes = self._holes, {}
        try:
            begins = await self._earliest(*holes)
        except KafkaTimeoutError:  # a broker that is away is waited for (`broker_watch`)
            self._holes = holes | self._holes
            return
        for tp, (due, first) in holes.items():
            lost = min(begins.get(tp) or 0, first) - due
            if lost > 0:
                log.error(
                    "retention has taken %d records of %s/%d before they were read: offsets %d to "
                    "%d; all that is left is scored: give the topic a longer retention.ms",
                    lost,
                    tp.topic,
                    tp.partition,
                    due,
                    due + lost - 1,
                )
                self._app.on_missed(tp, lost)
