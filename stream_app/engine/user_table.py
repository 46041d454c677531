"""The table of user rows: Faust's table, changelog and RocksDB store, written a batch at a time.

Stock `table[key] = value` takes the partition from the event being processed (an ambient
variable), writes the store before the changelog knows of it, and drops the changelog's answer.
Here a write names its partition, goes to the changelog first, and reaches the store, with the
changelog's offset and in one atomic RocksDB batch, only when the broker has confirmed it. So the
local state never runs ahead of the changelog, and what is read back after any crash is what the
changelog says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import faust
import rocksdict
from aiokafka.errors import MessageSizeTooLargeError
from faust.stores.rocksdb import Store
from faust.types import TP

#: Keys of reserved rows begin with NUL, which no user key does.
RESERVED = b"\x00"


def meta_key(partition: int) -> bytes:
    """Key of the partition's reserved row."""
    return RESERVED + b"partition:%d" % partition


def unsent_key(partition: int, piece: int = 0) -> bytes:
    """Key of a reserved row that names users whose last KOL event may not have been sent."""
    return RESERVED + b"unsent:%d:%d" % (partition, piece)


class Write(NamedTuple):
    """One row to be written; `key` is raw."""

    partition: int
    key: bytes
    value: bytes


class UserTable(faust.Table[bytes, bytes]):
    """Rows by (partition, key); raw bytes on both sides."""

    def read(self, partition: int, key: bytes) -> bytes | None:
        """The row's bytes, or None; one point read in the partition's own database."""
        value: bytes | None = self._database(partition).get(key)
        return value

    def rows(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """All (key, bytes) of users in a partition, reserved rows left out."""
        store: Any = self.data
        for key, value in store._visible_items(self._database(partition)):  # noqa: SLF001
            if not key.startswith(RESERVED):
                yield key, value

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Take over rows in a recovery; what the store refuses stops the process.

        Faust would warn, and try again with every further record, for ever.
        """
        try:
            super().apply_changelog_batch(batch)
        except Exception as error:
            app: Any = self.app  # its type hides that it is a service
            app.add_future(app.crash(error))
            raise

    async def write(self, writes: list[Write]) -> None:
        """Write rows durably: changelog, confirmed, then the store. Raises what the broker answers.

        Order within a partition is kept, so a reserved row written last vouches for those before
        it.
        """
        groups: dict[int, list[Write]] = {}
        for write in writes:
            groups.setdefault(write.partition, []).append(write)
        last = await asyncio.gather(
            *[self._send(partition, group) for partition, group in groups.items()]
        )
        for (partition, group), offset in zip(groups.items(), last, strict=True):
            batch = rocksdict.WriteBatch(raw_mode=True)
            for _, key, value in group:
                batch.put(key, value)
            batch.put(Store.offset_key, b"%d" % offset)
            self._database(partition).write(batch)

    async def _send(self, partition: int, writes: list[Write]) -> int:
        """Send rows as few record batches, in order; returns the last one's offset.

        A future for each row, as `send` gives, costs more than all the rest of a write.
        """
        faust_producer: Any = self.app.producer
        producer = faust_producer._ensure_producer()  # noqa: SLF001
        topic, now = self.changelog_topic_name, time.time_ns() // 1_000_000
        batch, count, sent = producer.create_batch(), 0, []
        for _, key, value in writes:
            if batch.append(timestamp=now, key=key, value=value) is None:
                sent.append(await producer.send_batch(batch, topic, partition=partition))
                batch, count = producer.create_batch(), 0
                if batch.append(timestamp=now, key=key, value=value) is None:
                    raise MessageSizeTooLargeError(f"a row of {len(value)} bytes: {key!r}")
            count += 1
        sent.append(await producer.send_batch(batch, topic, partition=partition))
        confirmed = await asyncio.gather(*sent)
        offset: int = confirmed[-1].offset + count - 1
        return offset

    def changelog_offset(self, partition: int) -> int | None:
        """Offset of the changelog up to which the local store is complete."""
        offset: int | None = self.data.persisted_offset(TP(self.changelog_topic_name, partition))
        return offset

    def _database(self, partition: int) -> Any:
        store: Any = self.data
        return store._db_for_partition(partition)  # noqa: SLF001
