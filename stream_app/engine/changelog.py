"""The changelog topic: appending in order, and reading a stretch of it again.

Every record carries the epoch of its writer as a header: how often its partition had been taken
over when it was written (`fencing`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import MessageSizeTooLargeError

from stream_app.engine.tail import FETCH_WAIT_MS, ungrouped

#: Name of the header with the writer's epoch, in decimal digits.
EPOCH_HEADER = "epoch"

Pair = tuple[bytes, bytes | None]
Headers = Sequence[tuple[str, bytes | None]]


class LogRecord(NamedTuple):
    """One record of the changelog; no value: the key is gone."""

    offset: int
    key: bytes
    value: bytes | None
    #: of its writer; None where an older program wrote it
    epoch: int | None


class Span(NamedTuple):
    """Where records of ours came to stand: offsets first to end - 1."""

    first: int
    end: int


def epoch_of(headers: Headers) -> int | None:
    """The epoch that a record's headers name; None without one."""
    for name, value in headers:
        if name == EPOCH_HEADER and value is not None and value.isdigit():
            return int(value)
    return None


class Changelog:
    """The partitions of one changelog topic, through the app's producer.

    `client` is what `broker_access.aiokafka_arguments` gives.
    """

    def __init__(self, app: Any, topic: str, client: Mapping[str, Any]) -> None:
        self._app = app
        self._topic = topic
        self._client = client

    async def append(self, partition: int, pairs: Sequence[Pair], epoch: int) -> list[Span]:
        """Append records, in order, in as few record batches as can be; where they stand.

        Returns when the broker has confirmed all of them, raises what it answers instead. A future
        for each record, as `send` gives, costs more than all the rest of a write.
        """
        producer = self._app.producer.in_order
        now, headers = time.time_ns() // 1_000_000, [(EPOCH_HEADER, b"%d" % epoch)]
        batch, sizes, sent = producer.create_batch(), [0], []
        for key, value in pairs:
            if batch.append(timestamp=now, key=key, value=value, headers=headers) is None:
                sent.append(await producer.send_batch(batch, self._topic, partition=partition))
                batch = producer.create_batch()
                sizes.append(0)
                if batch.append(timestamp=now, key=key, value=value, headers=headers) is None:
                    raise MessageSizeTooLargeError(f"a row of {len(value or b'')} bytes: {key!r}")
            sizes[-1] += 1
        sent.append(await producer.send_batch(batch, self._topic, partition=partition))
        confirmed = await asyncio.gather(*sent)
        return [
            Span(answer.offset, answer.offset + size)
            for answer, size in zip(confirmed, sizes, strict=True)
        ]

    async def read(self, partition: int, first: int, end: int) -> list[LogRecord]:
        """The records from offset `first` to `end` - 1, for which there must be one at `end`."""
        tp = TopicPartition(self._topic, partition)
        async with ungrouped(self._client) as consumer:
            consumer.assign([tp])
            consumer.seek(tp, first)
            found: list[LogRecord] = []
            while await consumer.position(tp) < end:
                batch = await consumer.getmany(tp, timeout_ms=FETCH_WAIT_MS)
                found += [
                    LogRecord(record.offset, record.key, record.value, epoch_of(record.headers))
                    for record in batch.get(tp, [])
                    if record.offset < end
                ]
            return found
