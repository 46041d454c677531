"""Faust's producer, and the records that it cannot send."""

from __future__ import annotations

from typing import Any

from aiokafka.producer.message_accumulator import BatchBuilder
from faust.transport.drivers import aiokafka as driver

from stream_app.messages import partition_of

#: Its number in a record batch's attributes.
_GZIP = 1


class SafeProducer(driver.Producer):
    """Faust's producer, which can also send what aiokafka's `send` refuses or leaves too large."""

    async def send_alone(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp_ms: int | None,
        headers: list[tuple[str, bytes]],
    ) -> Any:
        """Send a record as a gzipped batch of its own; key and value may both be None.

        Returns what resolves to the broker's answer. Order within a partition is kept.
        """
        producer: Any = self._ensure_producer()
        batch = BatchBuilder(0, _GZIP)
        batch.append(timestamp=timestamp_ms, key=key, value=value, headers=headers)
        batch.close()
        if partition is None:
            count = len(await producer.partitions_for(topic))
            partition = partition_of(key, count) if key is not None else 0
        return await producer.send_batch(batch, topic, partition=partition)
