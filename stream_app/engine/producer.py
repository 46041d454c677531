"""Faust's producer, and the records that it cannot send."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from faust.exceptions import NotReady
from faust.transport.drivers import aiokafka as driver

from stream_app.messages import partition_of

#: aiokafka sends one record batch of a partition at a time, and waits for the answer: a commit's
#: rows go in few. Half of what a topic takes unless it is told otherwise.
_CHANGELOG_BATCH_BYTES = 512 * 1024
#: Its number in a record batch's attributes.
_GZIP = 1


class SafeProducer(driver.Producer):
    """Faust's producer, which can also send what aiokafka's `send` refuses or leaves too large.

    Beside it stands one for the changelog, idempotent: a record that is sent twice, since the
    answer to it was lost, must not come to stand behind a newer one of the same key. Not for all
    topics: a record that the broker refuses as too large breaks the sequence of those behind it.
    """

    _in_order: AIOKafkaProducer | None = None

    async def on_start(self) -> None:
        """Connect both."""
        await super().on_start()
        settings = {**self._settings_default(), **self._settings_auth()}
        settings |= {"enable_idempotence": True, "max_batch_size": _CHANGELOG_BATCH_BYTES}
        self._in_order = AIOKafkaProducer(**settings)
        await self._in_order.start()

    async def on_stop(self) -> None:
        """Send what is left, and disconnect."""
        if self._in_order is not None:
            in_order, self._in_order = self._in_order, None
            await in_order.stop()
        await super().on_stop()

    @property
    def in_order(self) -> AIOKafkaProducer:
        """The changelog's producer. Raises NotReady while there is none."""
        if self._in_order is None:
            raise NotReady("the producer of the changelog is not started, or stopped")
        return self._in_order

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
