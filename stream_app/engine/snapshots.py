"""Publishing the owned partitions' snapshots: soon after something changed, and not otherwise."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from faust.types import TP

from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.scheme import Scheme
from stream_app.core.standing import Standing, standing_of
from stream_app.engine.internal_records import (
    MOST_BYTES,
    Snapshot,
    TopPiece,
    encode,
    in_pieces,
    piece_key,
    record_key,
)
from stream_app.engine.metrics import Metrics
from stream_app.engine.partition import Partition
from stream_app.engine.row_cache import RowCache
from stream_app.engine.scorer import Scorer

log = logging.getLogger(__name__)

#: Snapshots take at most this share of the processor's time, however many partitions there are.
_MOST_SHARE = 0.1

#: One partition's sketch is checked against its columns this often.
_CHECK_EVERY_S = 15.0

#: The ranking's last place is looked for this much further down, since the line is a moment old.
_MARGIN = 1.25


class SnapshotPublisher:
    """Sends one record per changed partition at most every `interval_s`."""

    def __init__(
        self,
        *,
        app: Any,
        topic: str,
        source_topics: tuple[str, ...],
        app_id: str,
        scheme: Scheme,
        rows: RowCache,
        scorer: Scorer,
        partitions: Mapping[int, Partition],
        distribution: Callable[[], QuantileSketch | None],
        interval_s: float,
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._topic = topic
        self._sources = source_topics
        self._app_id = app_id
        self._scheme = scheme
        self._rows = rows
        self._scorer = scorer
        self._partitions = partitions
        self._distribution = distribution
        self._interval_s = interval_s
        self._next = 0.0
        self._next_check = time.monotonic() + _CHECK_EVERY_S
        self._checked = -1
        self._metrics = metrics
        self._sent: dict[int, bytes] = {}
        self._sequence = 0
        self._pending: list[Awaitable[Any]] = []

    def seconds_to_next(self) -> float:
        """How long until a snapshot may be sent again."""
        return max(0.0, self._next - time.monotonic())

    async def publish_due(self) -> None:
        """Send what changed, when it is time. Raises what the broker answered to the last ones."""
        if self._app.should_stop or self.seconds_to_next() > 0:
            return
        # Not the clock: a broker that is away for a minute must not silence us for ten.
        started = time.thread_time()
        if self._pending:
            pending, self._pending = self._pending, []
            await asyncio.gather(*pending)
        floor = self._floor()
        for partition in list(self._partitions.values()):
            await self._scorer.own(partition.number)
            await self._publish(partition, floor)
        self._check_one()
        spent = time.thread_time() - started
        self._next = time.monotonic() + max(self._interval_s, spent / _MOST_SHARE)

    async def _publish(self, partition: Partition, floor: float | None) -> None:
        unread = self._unread(partition)
        if not partition.changed and unread == partition.unread:
            return
        partition.changed, partition.unread = False, unread
        keys = self._top_keys(partition, floor)
        top = [self._standing(partition, key) for key in keys]
        partition.standings = dict(zip(keys, top, strict=True))
        snapshot = partition.snapshot(unread, top, self._sources)
        value = encode(snapshot)
        if self._sent.get(partition.number) == value:
            return
        self._sent[partition.number] = value
        if len(value) > MOST_BYTES:
            value = encode(await self._send_pieces(snapshot))
        await self._send(record_key(self._app_id, str(partition.number)), value)

    async def _send_pieces(self, snapshot: Snapshot) -> Snapshot:
        """Send all but the first users of a snapshot ahead; returns what is left of it."""
        first, *rest = in_pieces(snapshot.top)
        self._sequence += 1
        for index, items in enumerate(rest):
            piece = TopPiece(snapshot.partition, snapshot.epoch, self._sequence, index, items)
            key = piece_key(self._app_id, f"{snapshot.partition}/{index}")
            await self._send(key, encode(piece))
        return msgspec.structs.replace(
            snapshot, top=first, pieces=len(rest), sequence=self._sequence
        )

    async def _send(self, key: bytes, value: bytes) -> None:
        self._pending.append(await self._app.producer.send(self._topic, key, value, 0, None, None))

    def _check_one(self) -> None:
        """Compare one partition's sketch with its columns now and then; any difference is a bug."""
        if time.monotonic() < self._next_check or not self._partitions:
            return
        self._next_check = time.monotonic() + _CHECK_EVERY_S
        self._checked += 1
        numbers = sorted(self._partitions)
        partition = self._partitions[numbers[self._checked % len(numbers)]]
        differing = partition.columns.check()
        if differing:
            log.error("sketch drift partition=%d buckets=%d healed", partition.number, differing)
            self._metrics.sketch_drift.inc()
            partition.changed = True

    def forget(self, number: int) -> None:
        """The partition has a new epoch: its next snapshot is sent whatever the last one said."""
        self._sent.pop(number, None)

    def _unread(self, partition: Partition) -> list[str]:
        """Source topics with records that this partition has not absorbed, as far as is known."""
        unread = []
        for topic in self._sources:
            end = self._app.consumer.known_end(TP(topic, partition.number))
            if end is None or end > partition.meta.offsets.get(topic, -1) + 1:
                unread.append(topic)
        return unread

    def _floor(self) -> float | None:
        """The z below which nobody can be in the ranking, by the whole system's distribution."""
        sketch = self._distribution()
        size = int(self._scheme.ranking_size * _MARGIN)
        if sketch is None or sketch.n <= size:
            return None
        return sketch.lower_bound(sketch.n - size)

    def _top_keys(self, partition: Partition, floor: float | None) -> list[bytes]:
        columns = partition.columns
        keys = columns.keys
        return [keys[i] for i in columns.top(self._scheme.ranking_size, floor_z=floor)]

    def _standing(self, partition: Partition, key: bytes) -> Standing:
        standing = partition.standings.get(key)
        if standing is None:
            row = self._rows.get(partition.number, key)
            found = standing_of(row, self._scheme) if row is not None else None
            if found is None:
                msg = f"partition {partition.number}: a counted user has no posts: {key!r}"
                raise ValueError(msg)
            standing = partition.standings[key] = found
        return standing
