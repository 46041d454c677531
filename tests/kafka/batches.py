"""What the broker's own files say of a record: the batch it came in, and whose that was."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Kafka's record batch, format 2: first offset, length, leader epoch, magic, checksum, attributes,
#: last offset less the first, first and greatest timestamp, producer id.
_HEADER = struct.Struct(">qiibIhiqqq")
#: The length counts what follows it.
_BEFORE_LENGTH_ENDS = 12


@dataclass(frozen=True)
class Batch:
    """Records sent together; `producer_id` is -1 where the producer was not idempotent."""

    first: int
    last: int
    producer_id: int


def batches(broker: Path, topic: str, partition: int) -> Iterator[Batch]:
    """All that the folder of a broker holds of a partition, in order."""
    for segment in sorted((broker / "logs" / f"{topic}-{partition}").glob("*.log")):
        content = segment.read_bytes()
        start = 0
        while start < len(content):
            first, length, _, magic, _, _, delta, _, _, producer = _HEADER.unpack_from(
                content, start
            )
            if magic != 2:
                break  # a broker lays out its files ahead of time, with zeros
            yield Batch(first, first + delta, producer)
            start += _BEFORE_LENGTH_ENDS + length


def producer_ids(broker: Path, topic: str, partition: int) -> dict[int, int]:
    """Offset -> id of the producer that sent the record there."""
    return {
        offset: batch.producer_id
        for batch in batches(broker, topic, partition)
        for offset in range(batch.first, batch.last + 1)
    }
