"""The leader: the owner of the snapshots topic's only partition draws the line for all.

It reads the snapshots without a group, the whole compacted topic first, and draws no line before
it has seen every partition: a line from half the partitions would be false. Partitions hold
different users, so merging their histograms is exact. A version is the snapshots topic's next
offset at the time of drawing: it never goes backwards, and two leaders for a moment say the same
under the same version.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.ranking import merge_top
from stream_app.core.scheme import Scheme
from stream_app.core.standing import Standing
from stream_app.core.tiers import Line, draw
from stream_app.engine.internal_records import (
    LineRecord,
    RankingChunk,
    Snapshot,
    TopPiece,
    decode,
    encode,
    in_pieces,
    piece_key,
    record_key,
)
from stream_app.engine.metrics import Metrics
from stream_app.engine.tail import Tail
from stream_app.engine.topics import TopicNames

#: A ranking is many times the size of a line, and people read it: every other time is often enough.
_TICKS_PER_RANKING = 2


#: Lines and rankings take at most this share of the processor's time, however many partitions.
_MOST_SHARE = 0.25


class Census:
    """The newest snapshot of every partition, and what follows from all of them. Pure."""

    def __init__(self, partitions: int, scheme: Scheme) -> None:
        self._partitions = partitions
        self._scheme = scheme
        self._snapshots: dict[int, Snapshot] = {}
        self._sketches: dict[int, QuantileSketch] = {}
        #: by partition, epoch, sequence and index
        self._pieces: dict[tuple[int, int, int, int], list[Standing]] = {}

    def take(self, snapshot: Snapshot) -> bool:
        """Take a snapshot in unless a newer one of its partition is held."""
        if snapshot.formula != self._scheme.formula:
            # An owner with other exponents: no line until all owners agree.
            return False
        held = self._snapshots.get(snapshot.partition)
        if held is not None and _age(snapshot) < _age(held):
            return False
        self._snapshots[snapshot.partition] = snapshot
        self._sketches.pop(snapshot.partition, None)
        self._forget_pieces_before(snapshot)
        return True

    def take_piece(self, piece: TopPiece) -> None:
        """Keep a piece of a snapshot that is to come."""
        place = (piece.partition, piece.epoch, piece.sequence, piece.index)
        self._pieces[place] = piece.items

    def _forget_pieces_before(self, snapshot: Snapshot) -> None:
        number, held = snapshot.partition, (snapshot.epoch, snapshot.sequence)
        self._pieces = {
            place: items
            for place, items in self._pieces.items()
            if place[0] != number or place[1:3] >= held
        }

    def _top(self, snapshot: Snapshot) -> list[Standing]:
        place = (snapshot.partition, snapshot.epoch, snapshot.sequence)
        rest = [self._pieces.get((*place, index), []) for index in range(snapshot.pieces)]
        return [standing for items in (snapshot.top, *rest) for standing in items]

    @property
    def is_complete(self) -> bool:
        """Whether every partition has been heard of."""
        return len(self._snapshots) == self._partitions

    def merged(self) -> QuantileSketch:
        """The distribution over all eligible users.

        Snapshots come more often than lines are drawn: only what a line is drawn from is unpacked.
        """
        for number, snapshot in self._snapshots.items():
            if number not in self._sketches:
                self._sketches[number] = QuantileSketch.deserialize(snapshot.sketch)
        return QuantileSketch.merged(self._sketches.values())

    def line(self, version: int, sketch: QuantileSketch) -> Line:
        """The lines over the merged sketch, with the marks and the cut."""
        cut: dict[str, dict[str, int]] = {}
        for number in sorted(self._snapshots):
            for topic, offset in self._snapshots[number].cut.items():
                cut.setdefault(topic, {})[str(number)] = offset
        return Line(
            version=version,
            high_mark=_latest(m for s in self._snapshots.values() for m in s.high_marks.values()),
            expiry_mark=self._expiry_mark(),
            population=sketch.n,
            tiers=draw(sketch, self._scheme),
            cut=cut,
            formula=self._scheme.formula,
        )

    def _expiry_mark(self) -> int | None:
        """Least high mark of partitions with unread events, else the high mark; it only rises."""
        snapshots = self._snapshots.values()
        known = _latest(s.expiry_mark for s in snapshots)
        behind = [s.high_marks.get(topic) for s in snapshots for topic in s.unread]
        if any(mark is None for mark in behind):
            return known
        if behind:
            mark = min(mark for mark in behind if mark is not None)
        else:
            high = _latest(m for s in snapshots for m in s.high_marks.values())
            if high is None:
                return known
            mark = high
        return mark if known is None else max(mark, known)

    def members(self) -> list[int]:
        """Users in each tier or a higher one, lowest tier first."""
        columns = zip(*(s.members for s in self._snapshots.values()), strict=False)
        return [sum(column) for column in columns]

    def ranking(self) -> list[Any]:
        """The first users of the whole system, in order."""
        tops = (self._top(snapshot) for snapshot in self._snapshots.values())
        return merge_top(tops, self._scheme.ranking_size)


def _age(snapshot: Snapshot) -> tuple[int, int]:
    return (snapshot.epoch, sum(snapshot.cut.values()))


def _latest(marks: Iterable[int | None]) -> int | None:
    return max((mark for mark in marks if mark is not None), default=None)


class Leader:
    """Publishes lines and rankings while this worker owns the snapshots topic."""

    def __init__(
        self,
        *,
        app: Any,
        client: Mapping[str, Any],
        topics: TopicNames,
        app_id: str,
        partitions: int,
        scheme: Scheme,
        interval_s: float,
        is_leader: Callable[[], bool],
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._client = client
        self._topics = topics
        self._app_id = app_id
        self._partitions = partitions
        self._scheme = scheme
        self._interval_s = interval_s
        self._is_leader = is_leader
        self._metrics = metrics
        self._dirty = False
        #: the processor's time that drawing took in this turn
        self._spent_s = 0.0
        #: the line published last, without and with its version, and its sketch
        self._last: tuple[Line, Line, bytes] | None = None

    async def run(self) -> None:
        """Lead whenever elected, for ever. Raises what the broker answers."""
        while True:
            if self._is_leader():
                await self._reign()
            await asyncio.sleep(self._interval_s)

    async def _reign(self) -> None:
        census = Census(self._partitions, self._scheme)
        tail = Tail(self._client, self._topics.snapshots, 1)
        prefix, of_pieces = record_key(self._app_id, ""), piece_key(self._app_id, "")

        def on_record(record: Any) -> None:
            if not record.key or not record.value:
                return
            if record.key.startswith(prefix):
                self._dirty |= census.take(decode(Snapshot, record.value))
            elif record.key.startswith(of_pieces):
                census.take_piece(decode(TopPiece, record.value))

        reader = asyncio.create_task(tail.follow(on_record))
        self._metrics.leader.set(1)
        try:
            self._last = None
            ticks, ranked = 0, True
            while self._is_leader() and not reader.done():
                ticks += 1
                self._spent_s = 0.0
                if census.is_complete and tail.caught_up.is_set():
                    if self._dirty:
                        self._dirty, ranked = False, False
                        await self._publish_line(census, tail.position)
                    if not ranked and ticks % _TICKS_PER_RANKING == 0:
                        ranked = True
                        await self._publish_ranking(census, tail.position)
                await asyncio.sleep(max(self._interval_s, self._spent_s / _MOST_SHARE))
            if reader.done():
                reader.result()
        finally:
            self._metrics.leader.set(0)
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _publish_line(self, census: Census, version: int) -> None:
        started = time.thread_time()
        sketch = census.merged()
        data = sketch.serialize()
        line = census.line(version, sketch)
        self._spent_s += time.thread_time() - started
        content = (msgspec.structs.replace(line, version=0), data)
        if self._last is not None and (self._last[0], self._last[2]) == content:
            return  # only members or the ranking changed: the line stays as it is
        self._last = (content[0], line, data)
        record = encode(LineRecord(line, data))
        numbers = range(self._partitions)
        sent = [await self._send(self._topics.thresholds, "line", record, n) for n in numbers]
        await asyncio.gather(*sent)

    async def _publish_ranking(self, census: Census, sequence: int) -> None:
        if self._last is None:
            return
        _, line, data = self._last
        started = time.thread_time()
        chunks = self._chunks(census, line, data, sequence)
        self._spent_s += time.thread_time() - started
        sent = [
            await self._send(self._topics.rankings, str(chunk.index), encode(chunk), 0)
            for chunk in chunks
        ]
        await asyncio.gather(*sent)

    async def _send(self, topic: str, name: str, value: bytes, partition: int) -> Any:
        key = record_key(self._app_id, name)
        return await self._app.producer.send(topic, key, value, partition, None, None)

    def _chunks(
        self, census: Census, line: Line, sketch: bytes, sequence: int
    ) -> list[RankingChunk]:
        items = census.ranking()
        pieces = in_pieces(items)
        return [
            RankingChunk(
                sequence=sequence,
                index=index,
                chunks=len(pieces),
                items=piece,
                line=line if index == 0 else None,
                members=census.members() if index == 0 else [],
                sketch=sketch if index == 0 else b"",
            )
            for index, piece in enumerate(pieces)
        ]
