"""Where source topics end, also those of them that are not being fetched.

A fetch tells where its partition ends. Under overload partitions are paused, for minutes where the
encoder is slow, and what has come since would be in nobody's lag. So the broker is asked, over a
connection of its own: the consumer's may be busy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it re-exports them implicitly
    AdminClient,
    OffsetSpec,
)

_EVERY_S: Final = 1.0
_TIMEOUT_S: Final = 3.0

Place = tuple[str, int]


class Ends:
    """The offset behind the last record of each place, as of about a second ago.

    Args:
        broker: its addresses.
        places: topics and partitions to ask for; asked again each time.
    """

    def __init__(self, broker: str, places: Callable[[], Iterable[Place]]) -> None:
        self._broker = broker
        self._places = places
        self._ends: dict[Place, int] = {}

    def of(self, place: Place) -> int | None:
        """None where the broker has not said yet."""
        return self._ends.get(place)

    async def run(self) -> None:
        """Ask again and again, for ever; a broker that does not answer is `broker_watch`'s."""
        config: dict[str, Any] = {
            "bootstrap.servers": self._broker,
            "log_level": 0,
            "reconnect.backoff.max.ms": 1_000,
            "error_cb": lambda _: None,  # what is wrong with a broker, `broker_watch` says
        }
        client = AdminClient(config)
        while True:
            places = list(self._places())
            if places:
                await self._ask(client, places)
            await asyncio.sleep(_EVERY_S)

    async def _ask(self, client: AdminClient, places: Iterable[Place]) -> None:
        spec: Any = OffsetSpec
        wanted = {TopicPartition(*place): spec.latest() for place in places}
        futures: dict[TopicPartition, Any] = client.list_offsets(wanted, request_timeout=_TIMEOUT_S)
        for place, future in futures.items():
            try:
                found = await asyncio.wrap_future(future)
            except KafkaException:
                continue  # what it said last stands until it answers again
            self._ends[place.topic, place.partition] = found.offset
