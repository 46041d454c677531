"""Whether a forwarded record's origin is a place that there is.

The reserved row keeps a cursor for each origin partition, and takes what is at or below it for
known. Anybody who may write posts can send the headers of a forwarded one, with any offset: were it
believed beyond the end of its partition, all that is forwarded from there later would be swallowed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka.errors import KafkaTimeoutError
from faust.types import TP

from stream_app.engine.intake import Accepted

log = logging.getLogger(__name__)


class Origins:
    """Knows where partitions end, and asks again when a record claims to come from behind that."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._ends: dict[str, int] = {}

    async def check(self, items: Sequence[tuple[Any, Any]]) -> None:
        """Take away origins that no worker has written; such records count as any other."""
        claims = [
            verdict
            for _, verdict in items
            if isinstance(verdict, Accepted) and verdict.origin and not self._is_there(verdict)
        ]
        if not claims:
            return
        await self._learn({claim.origin[0] for claim in claims if claim.origin})
        for claim in claims:
            if not self._is_there(claim):
                log.warning(
                    "a record claims to come from %s, offset %d: ignored", *claim.origin or ()
                )
                claim.origin = None

    def _is_there(self, verdict: Accepted) -> bool:
        place, offset = verdict.origin or ("", 0)
        return offset < self._ends.get(place, 0)

    async def _learn(self, places: Iterable[str]) -> None:
        """Ask the broker where these end; one that is away is waited for (`broker_watch`)."""
        tps = {}
        for place in places:
            topic, number = place.rsplit("/", 1)
            tps[place] = TP(topic, int(number))
        while True:
            try:
                ends = await self._app.consumer.highwaters(*tps.values())
            except KafkaTimeoutError:
                log.warning("waiting for the broker to tell where %s end", ", ".join(tps))
            else:
                break
        self._ends |= {place: ends.get(tp) or 0 for place, tp in tps.items()}
