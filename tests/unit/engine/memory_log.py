"""The changelog and a worker's local store, in memory; fencing itself is the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from stream_app.engine.changelog import LogRecord, Pair, Span


class MemoryLog:
    """The changelog at the broker; an append is confirmed record by record, or cut anywhere."""

    def __init__(self, on_confirmed: Callable[[bytes], None] = lambda _: None) -> None:
        self.records: dict[int, list[LogRecord]] = {}
        #: called before a record is appended: what others do while its writer is held up
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self._on_confirmed = on_confirmed

    def end(self, partition: int) -> int:
        held = self.records.get(partition)
        return held[-1].offset + 1 if held else 0

    async def append(self, partition: int, pairs: Sequence[Pair], epoch: int | None) -> list[Span]:
        spans = []
        for key, value in pairs:
            await asyncio.sleep(0)
            if self.meanwhile is not None:
                await self.meanwhile()
            self._on_confirmed(key)
            first = self.end(partition)
            self.records.setdefault(partition, []).append(LogRecord(first, key, value, epoch))
            spans.append(Span(first, first + 1))
        return spans

    async def read(self, partition: int, first: int, end: int) -> list[LogRecord]:
        await asyncio.sleep(0)
        return [r for r in self.records.get(partition, []) if first <= r.offset < end]

    def compact(self, partition: int) -> None:
        """Keep the last record of each key, as Kafka does sooner or later."""
        newest = {record.key: record for record in self.records.get(partition, [])}
        self.records[partition] = sorted(newest.values())

    def rows(self, partition: int) -> dict[bytes, bytes]:
        """What a plain reader, who knows nothing of epochs, makes of it."""
        rows: dict[bytes, bytes] = {}
        for record in self.records.get(partition, []):
            if record.value is None:
                rows.pop(record.key, None)
            else:
                rows[record.key] = record.value
        return rows


class MemoryRows:
    """A worker's local store."""

    def __init__(self) -> None:
        self.pairs: dict[int, dict[bytes, bytes]] = {}
        self.offsets: dict[int, int] = {}

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.pairs.get(partition, {}).get(key)

    def put(self, partition: int, pairs: Iterable[Pair], offset: int) -> None:
        rows = self.pairs.setdefault(partition, {})
        for key, value in pairs:
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        self.offsets[partition] = offset

    def offset(self, partition: int) -> int | None:
        return self.offsets.get(partition)
