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
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

import faust
import rocksdict
from faust.stores.rocksdb import Store
from faust.types import TP

from stream_app.engine.changelog import Changelog, LogRecord, Pair, epoch_of
from stream_app.engine.fencing import RESERVED, Fencing

#: Read at a time where all rows are wanted.
_READ_AHEAD_BYTES = 1024 * 1024


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

    #: what a client needs to reach the broker (`broker_access.aiokafka_arguments`)
    client: Mapping[str, Any] = MappingProxyType({})

    def read(self, partition: int, key: bytes) -> bytes | None:
        """The row's bytes, or None; one point read in the partition's own database."""
        value: bytes | None = self.database(partition).get(key)
        return value

    def rows(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """All (key, bytes) of users in a partition, reserved rows left out."""
        # All rows, once: in the cache they would displace those in use, and fill it to its limit.
        once: Any = rocksdict.ReadOptions()
        once.fill_cache(False)
        once.set_readahead_size(_READ_AHEAD_BYTES)
        for key, value in self.database(partition).items(read_opt=once):
            if not key.startswith(RESERVED) and key != Store.offset_key:
                yield key, value

    async def take_over(self, partition: int, least_epoch: int = 0) -> int:
        """Become the partition's only writer; returns the epoch of this time (`Fencing`)."""
        return await self._fencing.take_over(partition, least_epoch)

    async def write(self, writes: list[Write]) -> None:
        """Write rows durably: changelog, confirmed, then the store.

        Order within a partition is kept, so a reserved row written last vouches for those before
        it. Raises what the broker answers, and FencedError where somebody else is the owner now.
        """
        groups: dict[int, list[Pair]] = {}
        for partition, key, value in writes:
            groups.setdefault(partition, []).append((key, value))
        await asyncio.gather(
            *[self._fencing.write(partition, pairs) for partition, pairs in groups.items()]
        )

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Take over records of the changelog; the recovery calls it, and ends where it fails."""
        groups: dict[int, list[LogRecord]] = {}
        for event in batch:
            message = event.message
            epoch = epoch_of(message.headers or ())
            record = LogRecord(message.offset, message.key, message.value, epoch)
            groups.setdefault(message.partition, []).append(record)
        for partition, records in groups.items():
            self._fencing.absorb(partition, records)

    def changelog_offset(self, partition: int) -> int | None:
        """Offset of the changelog up to which the local store is complete."""
        offset: int | None = self.data.persisted_offset(TP(self.changelog_topic_name, partition))
        return offset

    @cached_property
    def _fencing(self) -> Fencing:
        changelog = Changelog(self.app, self.changelog_topic_name, self.client)
        return Fencing(changelog, RocksRows(self))

    def database(self, partition: int) -> Any:
        """The partition's RocksDB."""
        store: Any = self.data
        return store._db_for_partition(partition)  # noqa: SLF001


class RocksRows:
    """The table's local stores, as fencing sees them."""

    def __init__(self, table: UserTable) -> None:
        self._table = table

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self._table.read(partition, key)

    def put(self, partition: int, pairs: Iterable[Pair], offset: int) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in pairs:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(Store.offset_key, b"%d" % offset)
        self._table.database(partition).write(batch)

    def offset(self, partition: int) -> int | None:
        return self._table.changelog_offset(partition)
