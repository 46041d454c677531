"""Applying a batch: fold, decide, write, send, in the order that loses nothing.

1. fold the events of the batch into the rows they touch, in the order of each partition;
2. decide each touched user's tier once, against the line in force;
3. write the rows, each partition's reserved row last, and wait until the changelog has them;
4. let columns and sketches follow;
5. send the KOL events and wait for them (dead letters and forwarded records were sent meanwhile).

Only then may the batch be acknowledged. A crash in between leaves events that are seen again: the
row's offsets say that they were absorbed, and the transition kept in the row is sent again with
the same id.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from stream_app.core.aggregate import (
    Outcome,
    fold_interaction,
    fold_post,
    needs_features,
)
from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.row import UserRow, encode_row
from stream_app.core.scheme import Scheme
from stream_app.core.tiers import Line
from stream_app.engine.batch import Batch, Touched
from stream_app.engine.decider import Decider
from stream_app.engine.intake import Accepted, Misplaced, Rejected, Verdict
from stream_app.engine.internal_records import encode
from stream_app.engine.metrics import Metrics
from stream_app.engine.outbox import Outbox
from stream_app.engine.partition import Partition
from stream_app.engine.row_cache import RowCache
from stream_app.engine.unsent import read_unsent, unsent_writes
from stream_app.engine.user_table import UserTable, Write, meta_key
from stream_app.errors import OrderError
from stream_app.messages import Cause, Post, TextFeatures, decode_kept_event


class Scorer:
    """Folds, decides, writes and sends for the partitions of this worker."""

    def __init__(
        self,
        *,
        scheme: Scheme,
        table: UserTable,
        rows: RowCache,
        outbox: Outbox,
        partitions: Mapping[int, Partition],
        metrics: Metrics,
        encode_text: Callable[[str], Awaitable[TextFeatures]],
    ) -> None:
        self._scheme = scheme
        self._table = table
        self._rows = rows
        self._outbox = outbox
        self._partitions = partitions
        self._metrics = metrics
        self._encode_text = encode_text
        self._decider = Decider(scheme, partitions)

    # -- posts and interactions

    async def apply(
        self, items: Sequence[tuple[Any, Verdict]], features: Mapping[str, TextFeatures]
    ) -> None:
        """Apply messages with their verdicts; when this returns, they may be acknowledged."""
        batch = Batch()
        for number in {message.partition for message, _ in items}:
            batch.partitions[number] = await self.own(number)
        for message, verdict in items:
            partition = batch.partitions[message.partition]
            if isinstance(verdict, Accepted):
                post = verdict.post
                known = None if post is None else features.get(post.text)
                if post is not None and known is None:
                    known = await self._features(batch, partition, verdict, post)
                self._fold(batch, partition, message, verdict, known)
            elif isinstance(verdict, Rejected):
                await self._outbox.dead_letter(message, verdict)
            elif isinstance(verdict, Misplaced):
                await self._outbox.forward(message, verdict)
            offsets = partition.meta.offsets
            offsets[message.topic] = max(message.offset, offsets.get(message.topic, -1))
        for topic, count in Counter(message.topic for message, _ in items).items():
            self._metrics.events.labels(topic=topic).inc(count)
        batch.blending.settle()
        batch.high_mark = self._decider.high_mark()
        for touched in batch.touched.values():
            self._decide(batch, touched)
        await self._commit(batch)

    async def _features(
        self, batch: Batch, partition: Partition, verdict: Accepted, post: Post
    ) -> TextFeatures | None:
        """Features of a post's text that was not encoded ahead, where folding it takes them."""
        row = self._touch(batch, partition, verdict).row
        if needs_features(row, post, self._scheme):
            return await self._encode_text(post.text)
        return None

    def _fold(
        self,
        batch: Batch,
        partition: Partition,
        message: Any,
        verdict: Accepted,
        features: TextFeatures | None,
    ) -> None:
        is_forwarded_again = self._is_forwarded_again(partition, verdict)
        if not is_forwarded_again:
            self._note_time(partition, message, verdict)
        interaction, post = verdict.interaction, verdict.post
        if interaction is not None and interaction.actor_id == interaction.target_user_id:
            return
        touched = self._touch(batch, partition, verdict)
        row = touched.row
        if message.offset <= row.offsets.get(message.topic, -1):
            self._repeat(batch, partition, row, message)
            return
        if is_forwarded_again:
            self._metrics.duplicates.inc()
            return
        row.offsets[message.topic] = message.offset
        if post is not None:
            outcome = fold_post(row, post, features, self._scheme, batch.blending)
            kind = "post" if outcome is Outcome.NEW else "observation"
            post_id: str | None = post.id
        else:
            assert interaction is not None  # noqa: S101  - one of the two is there
            outcome = fold_interaction(row, interaction, self._scheme)
            kind, post_id = "interaction", interaction.target_post_id
        if outcome is Outcome.FORGOTTEN:
            self._metrics.forgotten_observations.inc()
        if outcome is not Outcome.STALE or touched.cause is None:
            touched.cause = Cause(
                type=kind,  # type: ignore[arg-type]
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                post_id=post_id,
            )

    def _note_time(self, partition: Partition, message: Any, verdict: Accepted) -> None:
        """Move the high mark, or count that the event's time had to be clamped, once each."""
        meta, topic = partition.meta, message.topic
        if not verdict.clamped:
            meta.high_marks[topic] = max(verdict.event_time, meta.high_marks.get(topic, 0))
        elif message.offset > meta.offsets.get(topic, -1):
            self._metrics.clamped_times.inc()

    def _touch(self, batch: Batch, partition: Partition, verdict: Accepted) -> Touched:
        place = (partition.number, verdict.key)
        touched = batch.touched.get(place)
        if touched is None:
            row = self._rows.get(partition.number, verdict.key)
            if row is None:
                row = verdict.new_row()
                self._rows.put(partition.number, verdict.key, row)
            touched = batch.touched[place] = Touched(partition, verdict.key, row)
        return touched

    def _repeat(self, batch: Batch, partition: Partition, row: UserRow, message: Any) -> None:
        """An event the row has absorbed: send its KOL event again, for it may not have got out."""
        self._metrics.duplicates.inc()
        last = row.transition
        if last is not None and (last.topic, last.position) == (message.topic, message.offset):
            batch.add_event(partition.number, decode_kept_event(last.event), last.event)

    def _is_forwarded_again(self, partition: Partition, verdict: Accepted) -> bool:
        """Whether this record was forwarded before; forwarding repeats a prefix after a crash."""
        if verdict.origin is None:
            return False
        origin, offset = verdict.origin
        forwarded = partition.meta.forwarded
        if offset <= forwarded.get(origin, -1):
            return True
        forwarded[origin] = offset
        return False

    # -- lines

    async def apply_lines(self, lines: Mapping[int, tuple[Line, QuantileSketch]]) -> None:
        """Take over newer lines, each for a partition, and promote and demote whom they move.

        All in one commit: a line comes every second, for each partition a record.
        """
        batch = Batch()
        for number, (line, sketch) in lines.items():
            partition = await self.own(number)
            # Rows that a crash left decided by this very line, their events perhaps unsent.
            await self.repeat_line(number, line.version)
            self._decider.sketch = sketch
            self._take_over(batch, partition, line)
        await self._commit(batch)

    def _take_over(self, batch: Batch, partition: Partition, line: Line) -> None:
        """Put a line in force in one partition: expire and decide whom it moves."""
        number = partition.number
        partition.meta.line = line
        batch.partitions[number] = partition
        edge = partition.edge()
        if edge is not None:
            partition.columns.expire(edge)
        columns = partition.columns
        batch.high_mark = self._decider.high_mark()
        for index in self._decider.moved_by(line, columns):
            key = columns.keys[index]
            row = self._rows.get(number, key)
            if row is None:
                raise OrderError(f"partition {number}: a column has no row; restart the worker")
            counted = bool(columns.counted[index])
            touched = Touched(partition, key, row)
            touched.cause = Cause(
                type="threshold" if counted else "inactivity", threshold_version=line.version
            )
            batch.touched[(number, key)] = touched
            self._decide(batch, touched)

    async def repeat_line(self, number: int, version: int) -> None:
        """Send again the events of a line that was applied before but perhaps not acknowledged."""
        partition = await self.own(number)
        columns = partition.columns
        for index in columns.with_transition(version).tolist():
            row = self._rows.get(number, columns.keys[index])
            last = row.transition if row is not None else None
            if last is not None and not last.topic and last.position == version:
                await self._outbox.event_again(last.event, number)
        await self._outbox.settle()

    async def own(self, number: int) -> Partition:
        """The partition, ready to be worked on.

        The first time after an assignment, the KOL events that a crash may have left unsent go out,
        before anything can move their users again, and the reserved row is written.
        """
        try:
            partition = self._partitions[number]
        except KeyError:
            raise OrderError(
                f"a record of partition {number} arrived, not owned by this worker; restart it"
            ) from None
        if not partition.announced:
            partition.announced = True
            for key in read_unsent(self._table, partition):
                row = self._rows.get(number, key)
                last = row.transition if row is not None else None
                if last is not None:
                    await self._outbox.event_again(last.event, number)
            await self._outbox.settle()
            await self._commit(Batch(partitions={number: partition}))
        return partition

    # -- both

    def _decide(self, batch: Batch, touched: Touched) -> None:
        event = self._decider.decide(touched, batch.high_mark)
        last = touched.row.transition
        if event is not None and last is not None:
            batch.add_event(touched.partition.number, event, last.event)

    async def _commit(self, batch: Batch) -> None:
        scheme = self._scheme
        changed = [touched for touched in batch.touched.values() if touched.cause is not None]
        writes = [
            write
            for number, partition in batch.partitions.items()
            for write in unsent_writes(
                partition, [event.user.key.encode() for event, _ in batch.events.get(number, ())]
            )
        ]
        for touched in changed:
            z = touched.z
            data = encode_row(touched.row, -math.inf if z is None else z, scheme.formula)
            writes.append(Write(touched.partition.number, touched.key, data))
        writes += [
            Write(number, meta_key(number), encode(partition.meta))
            for number, partition in batch.partitions.items()
        ]
        await self._table.write(writes)
        for touched in changed:
            # Again: a reader may have cached the old bytes after a full cache let the row go.
            self._rows.put(touched.partition.number, touched.key, touched.row)
            transition = touched.row.transition
            version = transition.position if transition and not transition.topic else 0
            touched.partition.update(
                touched.key, touched.row, touched.z, touched.level, version=version
            )
        for number, partition in batch.partitions.items():
            partition.changed = True
            partition.changelog_offset = self._table.changelog_offset(number)
        for number, events in batch.events.items():
            for event, kept in events:
                await self._outbox.event(event, kept, number)
        await self._outbox.settle()
