"""The table of user rows: Faust's table, changelog and RocksDB store, written a batch at a time.

Stock `table[key] = value` takes the partition from the event being processed (an ambient variable), writes
the store before the changelog knows of it, and drops the changelog's answer. Here a write names its
partition, goes to the changelog first, and reaches the store, with the changelog's offset and in one atomic
RocksDB batch, only when the broker has confirmed it. So the local state never runs ahead of the changelog,
and what is read back after any crash is what the changelog says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import faust
import rocksdict
from faust.types import TP

#: Keys of reserved rows begin with NUL, which no user key does.
RESERVED = b"\x00"


def meta_key(partition: int) -> bytes:
    """Key of the partition's reserved row."""
    return RESERVED + b"partition:%d" % partition


class Write(NamedTuple):
    """One row to be written; `key` is raw."""

    partition: int
    key: bytes
    value: bytes


class UserTable(faust.Table):
    """Rows by (partition, key); raw bytes on both sides."""

    def read(self, partition: int, key: bytes) -> bytes | None:
        """The row's bytes, or None; one point read in the partition's own database."""
        value: bytes | None = self._database(partition).get(key)
        return value

    def rows(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """All (key, bytes) of users in a partition, reserved rows left out."""
        for key, value in self.data._visible_items(self._database(partition)):  # noqa: SLF001
            if not key.startswith(RESERVED):
                yield key, value

    async def write(self, writes: list[Write]) -> None:
        """Write rows durably: changelog, confirmed, then the store. Raises what the broker answers.

        Order within a partition is kept, so a reserved row written last vouches for those before it.
        """
        producer = self.app.producer
        topic = self.changelog_topic_name
        sent = []
        for partition, key, value in writes:
            sent.append(await producer.send(topic, key, value, partition, None, None))
        confirmed = await asyncio.gather(*sent)
        last: dict[int, int] = {}
        batches: dict[int, Any] = {}
        for (partition, key, value), metadata in zip(writes, confirmed, strict=True):
            batch = batches.get(partition)
            if batch is None:
                batch = batches[partition] = rocksdict.WriteBatch(raw_mode=True)
            batch.put(key, value)
            last[partition] = max(last.get(partition, -1), metadata.offset)
        for partition, batch in batches.items():
            batch.put(self.data.offset_key, b"%d" % last[partition])
            self._database(partition).write(batch)

    def changelog_offset(self, partition: int) -> int | None:
        """Offset of the changelog up to which the local store is complete."""
        offset: int | None = self.data.persisted_offset(TP(self.changelog_topic_name, partition))
        return offset

    def _database(self, partition: int) -> Any:
        return self.data._db_for_partition(partition)  # noqa: SLF001

