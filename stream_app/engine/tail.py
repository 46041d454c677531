"""Reading a topic without a consumer group: every worker sees all of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, KafkaTimeoutError
from aiokafka.structs import ConsumerRecord, TopicPartition

log = logging.getLogger(__name__)

#: Longest wait of a fetch that finds nothing; bounds the time to stop.
FETCH_WAIT_MS = 200

#: Records are taken in at most so often (s) once all of before are read: to fetch each as it comes
#: would cost more than what is in it.
_PAUSE_S = 0.05
#: Between two tries to reach a broker that was lost.
_RETRY_S = 1.0


@asynccontextmanager
async def ungrouped(client: Mapping[str, Any]) -> AsyncIterator[Any]:
    """A consumer of no group, connected inside the block; whoever uses it assigns and seeks.

    `client` is what `broker_access.aiokafka_arguments` gives.
    """
    consumer: Any = AIOKafkaConsumer(
        **client,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


class Tail:
    """Follows all partitions of one topic, from the beginning or from the last so many records.

    `client` is what `broker_access.aiokafka_arguments` gives.
    """

    def __init__(
        self, client: Mapping[str, Any], topic: str, partitions: int, *, last: int | None = None
    ) -> None:
        self._client = client
        self._tps = [TopicPartition(topic, number) for number in range(partitions)]
        self._last = last
        #: where to go on after the broker was lost
        self._next: dict[TopicPartition, int] = {}
        #: set when everything that was there at the start has been read
        self.caught_up = asyncio.Event()
        #: next offset of partition 0
        self.position = 0

    async def follow(self, on_record: Callable[[ConsumerRecord[bytes, bytes]], None]) -> None:
        """Hand over each record as it comes, until cancelled.

        A broker out of reach is waited for: whether for too long, `broker_watch` decides. Raises
        what the broker answers.
        """
        while True:
            try:
                await self._follow(on_record)
            except KafkaError as error:
                if not error.retriable and not isinstance(error, KafkaTimeoutError):
                    raise
                log.warning("reading %s waits for the broker: %r", self._tps[0].topic, error)
                await asyncio.sleep(_RETRY_S)

    async def _follow(self, on_record: Callable[[ConsumerRecord[bytes, bytes]], None]) -> None:
        async with ungrouped(self._client) as consumer:
            consumer.assign(self._tps)
            begin = await consumer.beginning_offsets(self._tps)
            end = await consumer.end_offsets(self._tps)
            for tp in self._tps:
                start = begin[tp]
                if self._last is not None:
                    start = max(start, end[tp] - self._last)
                consumer.seek(tp, max(start, self._next.get(tp, 0)))
            await self._read(consumer, end, on_record)

    async def _read(
        self,
        consumer: Any,
        end: dict[TopicPartition, int],
        on_record: Callable[[ConsumerRecord[bytes, bytes]], None],
    ) -> None:
        behind = {tp for tp in self._tps if end[tp] > 0}
        if not behind:
            self.position = end[self._tps[0]]
        while True:
            behind = {tp for tp in behind if await consumer.position(tp) < end[tp]}
            if not behind:
                self.caught_up.set()
            records = await consumer.getmany(timeout_ms=FETCH_WAIT_MS)
            for tp, batch in records.items():
                for record in batch:
                    on_record(record)
                if batch:
                    self._next[tp] = batch[-1].offset + 1
                if tp == self._tps[0] and batch:
                    self.position = batch[-1].offset + 1
            if records and not behind:
                await asyncio.sleep(_PAUSE_S)
