"""Which partitions this worker owns, and their state in memory, rebuilt after every rebalance."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from stream_app.core.scheme import Scheme
from stream_app.engine.internal_records import FORMAT_ADVICE, PartitionMeta, decode
from stream_app.engine.kept_columns import KeptColumns
from stream_app.engine.partition import Partition
from stream_app.engine.user_table import UserTable, meta_key
from stream_app.errors import StateError

log = logging.getLogger(__name__)

#: Records that taking a partition over adds to its changelog.
_MARKER = 1


class Ownership:
    """The owned partitions by number; the mapping is shared and changes in place."""

    def __init__(
        self,
        *,
        app: Any,
        table: UserTable,
        scheme: Scheme,
        on_gained: Callable[[int], None],
        kept: KeptColumns | None = None,
    ) -> None:
        self.partitions: dict[int, Partition] = {}
        self._app = app
        self._table = table
        self._scheme = scheme
        self._fingerprint: dict[str, str] = {}
        self._topic_ids: dict[str, str] = {}
        self._on_gained = on_gained
        self._kept = kept

    def expect(self, fingerprint: Mapping[str, str], topic_ids: Mapping[str, str]) -> None:
        """Refuse rows that were made under another fingerprint or from other topics."""
        self._fingerprint = dict(fingerprint)
        self._topic_ids = dict(topic_ids)

    async def recover(self) -> None:
        """Rebuild what is owned now. Raises StateError for state this worker must not continue."""
        changelog = self._table.changelog_topic_name
        actives = self._app.assignor.assigned_actives()
        owned = sorted(tp.partition for tp in actives if tp.topic == changelog)
        for number in [number for number in self.partitions if number not in owned]:
            del self.partitions[number]
        # All are looked at before the first is taken over: a worker that has to refuse them leaves
        # their owners alone.
        known = {number: self._read_meta(number).epoch for number in owned}
        before = {number: self._table.changelog_offset(number) for number in owned}
        epochs = await asyncio.gather(
            *[self._table.take_over(number, known[number]) for number in owned]
        )
        for number, epoch in zip(owned, epochs, strict=True):
            self.partitions[number] = self._take(number, epoch, before[number])
            self._on_gained(number)
        users = sum(len(p.columns.keys) for p in self.partitions.values())
        log.info("own partitions=%s users=%d", ",".join(map(str, owned)) or "none", users)

    def keep(self) -> None:
        """Save the columns for the next start; after an orderly stop."""
        if self._kept is not None:
            for partition in self.partitions.values():
                self._kept.save(partition)

    def _take(self, number: int, epoch: int, offset_before: int | None) -> Partition:
        """The state of a partition, taken over when its changelog was at `offset_before`."""
        offset = self._table.changelog_offset(number)
        held = self.partitions.get(number)
        is_untouched = offset_before is not None and offset == offset_before + _MARKER
        if held is not None and held.changelog_offset == offset_before and is_untouched:
            # Nobody else has written in between: the columns are as good as rebuilt.
            held.meta.epoch = epoch
            held.changelog_offset = offset
            held.announced = False
            held.changed = True
            return held
        meta = self._read_meta(number)
        meta.epoch = epoch
        if meta.line is not None and meta.line.formula != self._scheme.formula:
            # Exponents have changed: the marks hold, the values are those of other scores.
            meta.line = msgspec.structs.replace(meta.line, tiers=(), formula=self._scheme.formula)
        partition = Partition(number, meta, self._scheme)
        partition.changelog_offset = offset
        if self._kept is not None and is_untouched:
            kept = self._kept.load(number, offset_before, partition.edge())
            if kept is not None:
                partition.columns = kept
                return partition
        try:
            partition.load(self._table.rows(number))
        except ValueError as error:
            raise StateError(f"partition {number}: {error}: {FORMAT_ADVICE}") from error
        return partition

    def _read_meta(self, number: int) -> PartitionMeta:
        data = self._table.read(number, meta_key(number))
        if data is None:
            return PartitionMeta(fingerprint=self._fingerprint, topic_ids=self._topic_ids)
        try:
            meta = decode(PartitionMeta, data)
        except StateError as error:
            raise StateError(f"partition {number}: {error}") from error
        self._check_fingerprint(meta)
        self._check_topics(meta)
        return meta

    def _check_fingerprint(self, meta: PartitionMeta) -> None:
        for name, value in self._fingerprint.items():
            stored = meta.fingerprint.get(name, value)
            if stored != value:
                raise StateError(
                    f"the state was made with {name}={stored}, this worker has {name}={value}, "
                    "which gives the stored numbers another meaning: set it back, or start anew "
                    "with `kol rebuild`"
                )
        meta.fingerprint = self._fingerprint

    def _check_topics(self, meta: PartitionMeta) -> None:
        for topic, topic_id in self._topic_ids.items():
            stored = meta.topic_ids.get(topic)
            if stored and topic_id and stored != topic_id:
                raise StateError(
                    f"topic {topic} was deleted and made again: its offsets start over, and the "
                    "state would take new records for old ones; start anew with `kol rebuild`"
                )
        meta.topic_ids = self._topic_ids
