"""One writer at a time for each partition of the changelog.

Neither Faust nor a Kafka consumer group keeps a worker from writing that was frozen for longer than
its session: it wakes in the middle of a write, and finds out later that its partitions have a new
owner. Compaction keeps the last record of each key, so that its old rows would win. Therefore:

- An owner begins with a *marker*: a record with its epoch, which is above every epoch before it.
  What stands before the marker was written in time and is taken over; what an earlier owner writes
  behind it is void.
- Every record carries its writer's epoch, and an owner knows where its next record must come to
  stand. Where it stands further on, somebody else has written in between: either a newer owner,
  then this worker is over, before it stores, sends or acknowledges anything; or an earlier one,
  then the rows that it spoiled are written anew.
- Who reads the changelog leaves void records out, and writes their keys anew once it is the owner.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from stream_app.engine.changelog import LogRecord, Pair, Span
from stream_app.errors import FencedError, OrderError, StateError

log = logging.getLogger(__name__)

#: Keys of reserved rows begin with NUL, which no user key does.
RESERVED = b"\x00"


def owner_key(partition: int) -> bytes:
    """Key of the marker: the epoch of the partition's owner, in decimal digits."""
    return RESERVED + b"owner:%d" % partition


def _spoiled_key(partition: int) -> bytes:
    """Key, in the local store only, of a list of keys that are to be written anew."""
    return RESERVED + b"spoiled:%d" % partition


class Log(Protocol):
    """The changelog (`changelog.Changelog`)."""

    async def append(self, partition: int, pairs: Sequence[Pair], epoch: int) -> list[Span]: ...

    async def read(self, partition: int, first: int, end: int) -> list[LogRecord]: ...


class LocalStore(Protocol):
    """The rows on this machine, and up to which offset of the changelog they are complete."""

    def get(self, partition: int, key: bytes) -> bytes | None: ...

    def put(self, partition: int, pairs: Iterable[Pair], offset: int) -> None:
        """Write records and the offset of the last one at once, or not at all."""

    def offset(self, partition: int) -> int | None: ...


class Fencing:
    """Writes to changelog and store for the owner of a partition, and notices other writers."""

    def __init__(self, changelog: Log, store: LocalStore) -> None:
        self._log = changelog
        self._store = store
        self._epochs: dict[int, int] = {}

    async def take_over(self, partition: int, least: int = 0) -> int:
        """Become the owner: nobody before has a say from now on. Returns the epoch, above `least`.

        Raises:
            StateError: the changelog ends before the local state does.
        """
        epoch = max(self._known_epoch(partition), least) + 1
        while True:
            marker = (owner_key(partition), b"%d" % epoch)
            spans = await self._log.append(partition, [marker], epoch)
            others = await self._others(partition, spans)
            own = LogRecord(spans[-1].first, *marker, epoch)
            self.absorb(partition, [*others, own])
            highest = _highest(others)
            if highest < epoch:
                break
            epoch = highest + 1  # somebody else takes over at the same time: the last one is it
        self._epochs[partition] = epoch
        await self._write_spoiled_anew(partition)
        return epoch

    async def write(self, partition: int, pairs: Sequence[Pair]) -> None:
        """Append to the changelog, in order; once it is confirmed, to the store.

        Raises:
            FencedError: a newer owner has written; these records are void.
        """
        epoch = self._epochs.get(partition)
        if epoch is None:
            raise OrderError(f"partition {partition} is written before it was taken over")
        spans = await self._log.append(partition, pairs, epoch)
        others = await self._others(partition, spans)
        if _highest(others) > epoch:
            raise FencedError(
                f"partition {partition} has a newer owner: this worker was frozen or cut off for "
                "longer than its session; what it had not finished, the new owner does; start it "
                "again"
            )
        spoiled = dict.fromkeys(record.key for record in others)
        listed = [self._spoiled_row(partition, spoiled)] if spoiled else []
        self._store.put(partition, [*pairs, *listed], spans[-1].end - 1)
        if spoiled:
            await self._write_spoiled_anew(partition)

    def absorb(self, partition: int, records: Sequence[LogRecord]) -> None:
        """Take records of the changelog over into the store, void ones left out."""
        if not records:
            return
        known = epoch = self._known_epoch(partition)
        before = self._spoiled(partition)
        spoiled, kept = dict.fromkeys(before), []
        for record in records:
            if record.epoch is not None and record.epoch < epoch:
                spoiled[record.key] = None
                continue
            epoch = epoch if record.epoch is None else record.epoch
            spoiled.pop(record.key, None)
            kept.append((record.key, record.value))
        if epoch > known:
            kept.append((owner_key(partition), b"%d" % epoch))
        if list(spoiled) != before:
            kept.append(self._spoiled_row(partition, spoiled))
        self._store.put(partition, kept, records[-1].offset)

    async def _others(self, partition: int, spans: Sequence[Span]) -> list[LogRecord]:
        """What stands between the end of the store's state and records of ours, and among them."""
        offset = self._store.offset(partition)
        expected = 0 if offset is None else offset + 1
        found: list[LogRecord] = []
        for first, end in spans:
            if first < expected:
                raise StateError(
                    f"partition {partition}: the changelog ends at {first}, before the state in "
                    f"KOL_DATA_DIR, which is at {expected}; it was made again or cut short: start "
                    "anew with `kol rebuild`"
                )
            if first > expected:
                found += await self._log.read(partition, expected, first)
            expected = end
        return found

    async def _write_spoiled_anew(self, partition: int) -> None:
        """Write what the store has of keys that void records spoiled, reserved rows last."""
        keys = self._spoiled(partition)
        if not keys:
            return
        log.warning(
            "partition %d: an earlier owner wrote %d records after this worker had taken over; "
            "written anew",
            partition,
            len(keys),
        )
        # The marker last: it is always there, and a recovery waits for the changelog's last record.
        keys.sort(key=lambda key: (key.startswith(RESERVED), key == owner_key(partition)))
        anew = dict.fromkeys([*keys, owner_key(partition)])
        await self.write(partition, [(key, self._store.get(partition, key)) for key in anew])
        offset = self._store.offset(partition)
        assert offset is not None  # noqa: S101  - it was written just now
        if set(self._spoiled(partition)) == set(keys):
            self._store.put(partition, [(_spoiled_key(partition), None)], offset)

    def _known_epoch(self, partition: int) -> int:
        return int(self._store.get(partition, owner_key(partition)) or 0)

    def _spoiled(self, partition: int) -> list[bytes]:
        data = self._store.get(partition, _spoiled_key(partition))
        return msgspec.msgpack.decode(data, type=list[bytes]) if data else []

    @staticmethod
    def _spoiled_row(partition: int, keys: Iterable[bytes]) -> Pair:
        return _spoiled_key(partition), msgspec.msgpack.encode(list(keys))


def _highest(records: Iterable[LogRecord]) -> int:
    return max((record.epoch or 0 for record in records), default=0)
