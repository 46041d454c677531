"""The scoring agent's inside: gather, encode while the batch before is applied, apply, ack.

Two loops share the work. The collector takes records as they come, N of them or as many as arrive
within T, decodes them and hands their new texts to the encoder's thread. The applier, the only
one that changes state, applies batches in order, lets lines pass between them (a line does not
queue behind texts that are being encoded), and publishes snapshots. Acknowledgements are given in
arrival order.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from stream_app.core.aggregate import needs_features
from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.scheme import Scheme
from stream_app.encoder.base import Encoder
from stream_app.engine.intake import Accepted, Intake, Verdict
from stream_app.engine.internal_records import LineRecord, decode
from stream_app.engine.metrics import Metrics
from stream_app.engine.order_guard import OrderGuard
from stream_app.engine.origins import Origins
from stream_app.engine.partition import Partition
from stream_app.engine.row_cache import RowCache
from stream_app.engine.scorer import Scorer
from stream_app.engine.snapshots import SnapshotPublisher
from stream_app.messages import TextFeatures

#: How the name of the encoder's thread begins (`cli.leaving` knows it by that).
ENCODER_THREAD = "encoder"
#: Batches whose texts are being encoded or wait to be applied.
_AHEAD = 2
#: Records taken from Faust beyond those in batches, in batches.
_INBOX_BATCHES = 4


@dataclass(slots=True)
class Prepared:
    """A decoded batch and the features of its texts, to come."""

    events: list[Any]
    items: list[tuple[Any, Verdict]]
    features: asyncio.Future[dict[str, TextFeatures]]


class Pipeline:
    """Takes records from the agent and sees them through to the acknowledgement."""

    def __init__(
        self,
        *,
        scheme: Scheme,
        intake: Intake,
        origins: Origins,
        scorer: Scorer,
        snapshots: SnapshotPublisher,
        rows: RowCache,
        partitions: Mapping[int, Partition],
        metrics: Metrics,
        line_key: bytes,
        batch_size: int,
        linger_s: float,
    ) -> None:
        self._scheme = scheme
        self._intake = intake
        self._origins = origins
        self._scorer = scorer
        self._snapshots = snapshots
        self._rows = rows
        self._partitions = partitions
        self._encoder: Encoder | None = None
        self._metrics = metrics
        self._line_key = line_key
        self._batch_size = batch_size
        self._linger_s = linger_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=ENCODER_THREAD)
        self._inbox: deque[Any] = deque()
        self._lines: deque[Any] = deque()
        self._prepared: deque[Prepared] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._wake = asyncio.Event()
        self._taken = asyncio.Event()
        self._stream: Any = None
        self._line_stream: Any = None
        self._takes = True

    def use(self, encoder: Encoder) -> None:
        """Encode with this one; before the first record is taken."""
        self._encoder = encoder

    # -- the agent's side

    async def take(self, stream: Any, guard: OrderGuard) -> None:
        """Body of the scoring agent: take posts and interactions in order. Never returns."""
        self._stream = stream
        most = self._batch_size * _INBOX_BATCHES
        async for events in stream.noack().batches():
            guard.all_taken(events)
            if not self._takes:
                # Faust had it in hand when the flow was stopped; it comes again after the seek.
                stream.forget_all(events)
                continue
            self._inbox.extend(events)
            self._arrived.set()
            while len(self._inbox) >= most:
                self._room.clear()
                await self._room.wait()

    async def take_lines(self, stream: Any, guard: OrderGuard) -> None:
        """Body of the lines' agent: they do not queue behind posts. Never returns."""
        self._line_stream = stream
        async for events in stream.noack().batches():
            guard.all_taken(events)
            self._lines.extend(events)
            self._wake.set()

    def give_back(self) -> list[Any]:
        """Let go of what was taken and not begun; returns these events.

        A rebalance, or the end, waits for what was taken: with a slow encoder for minutes. What is
        let go is not acknowledged and comes again after the seek, here or at another worker. What
        the encoder is at is finished for the text cache alone. Nothing is taken until `take_again`.
        """
        self._takes = False
        events = list(self._inbox)
        self._inbox.clear()
        begun = 0
        while begun < len(self._prepared) and self._prepared[begun].features.done():
            begun += 1
        while len(self._prepared) > begun:
            batch = self._prepared.pop()
            batch.features.cancel()
            events += batch.events
        self._room.set()
        self._taken.set()
        return events

    def take_again(self) -> None:
        """The partitions are about to be sought: what comes now is of the new assignment."""
        self._takes = True

    @property
    def waiting(self) -> int:
        """Records taken and not yet applied."""
        return len(self._inbox) + sum(len(batch.events) for batch in self._prepared)

    # -- the collector

    async def collect(self) -> None:
        """Turn records into prepared batches, for ever."""
        while True:
            events = await self._gather()
            self._prepared.append(self._prepare(events))
            self._wake.set()
            while len(self._prepared) >= _AHEAD:
                self._taken.clear()
                await self._taken.wait()

    async def _gather(self) -> list[Any]:
        while not self._inbox:
            self._arrived.clear()
            await self._arrived.wait()
        if len(self._inbox) < self._batch_size:
            await asyncio.sleep(self._linger_s)
        count = min(len(self._inbox), self._batch_size)
        events = [self._inbox.popleft() for _ in range(count)]
        self._room.set()
        return events

    def _prepare(self, events: list[Any]) -> Prepared:
        items = [(event.message, self._intake.read(event.message)) for event in events]
        texts = self._new_texts(items)
        loop = asyncio.get_running_loop()
        if texts:
            future = loop.run_in_executor(self._thread, self._encode, texts)
        else:
            future = loop.create_future()
            future.set_result({})
        future.add_done_callback(lambda _: self._wake.set())
        return Prepared(events, items, future)

    def _new_texts(self, items: list[tuple[Any, Verdict]]) -> list[str]:
        """Texts of posts that the rows do not know, each once."""
        texts: dict[str, None] = {}
        for message, verdict in items:
            if not isinstance(verdict, Accepted) or verdict.post is None:
                continue
            post = verdict.post
            if post.text in texts:
                continue
            row = self._rows.get(message.partition, verdict.key)
            if needs_features(row, post, self._scheme):
                texts[post.text] = None
        return list(texts)

    def _encode(self, texts: list[str]) -> dict[str, TextFeatures]:
        encoder = self._encoder
        assert encoder is not None  # noqa: S101  - `use` comes before the first record
        started, hits = time.perf_counter(), getattr(encoder, "hits", 0)
        features = encoder.encode(texts)
        hits = getattr(encoder, "hits", 0) - hits
        self._metrics.encoded(len(texts) - hits, hits, time.perf_counter() - started)
        return dict(zip(texts, features, strict=True))

    async def encode_text(self, text: str) -> TextFeatures:
        """Features of one text that the collector did not foresee."""
        loop = asyncio.get_running_loop()
        return (await loop.run_in_executor(self._thread, self._encode, [text]))[text]

    # -- the applier

    async def apply(self) -> None:
        """Apply batches, lines and snapshots in turn, for ever; the only writer of state."""
        while True:
            timeout = self._snapshots.seconds_to_next()
            # Not `wait_for`, which loses a cancellation that comes together with the wake-up.
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            self._wake.clear()
            await self._apply_lines()
            while self._prepared and self._prepared[0].features.done():
                await self._apply_batch(self._prepared[0])
                self._prepared.popleft()
                self._taken.set()
                await self._apply_lines()
                await self._snapshots.publish_due()
            await self._snapshots.publish_due()

    async def _apply_batch(self, batch: Prepared) -> None:
        started = time.perf_counter()
        await self._origins.check(batch.items)
        await self._scorer.apply(batch.items, batch.features.result())
        self._stream.ack_all(batch.events)
        self._metrics.applied(time.perf_counter() - started)

    async def _apply_lines(self) -> None:
        """Apply the newest line of each partition; of older ones only repeat what may be unsent."""
        while self._lines:
            events = list(self._lines)
            self._lines.clear()
            newest: dict[int, tuple[LineRecord, QuantileSketch]] = {}
            sketches: dict[int, QuantileSketch] = {}
            for event in events:
                await self._sort_line(event, newest, sketches)
            if newest:
                await self._scorer.apply_lines(
                    {number: (record.line, sketch) for number, (record, sketch) in newest.items()}
                )
            self._line_stream.ack_all(events)

    async def _sort_line(
        self,
        event: Any,
        newest: dict[int, tuple[LineRecord, QuantileSketch]],
        sketches: dict[int, QuantileSketch],
    ) -> None:
        message = event.message
        partition = self._partitions.get(message.partition)
        if message.key != self._line_key or partition is None or not message.value:
            return
        record = decode(LineRecord, message.value)
        version = record.line.version
        current = partition.meta.line
        if record.line.formula != self._scheme.formula:
            return
        if current is not None and version <= current.version:
            await self._scorer.repeat_line(message.partition, version)
            return
        held = newest.get(message.partition)
        if held is not None and held[0].line.version >= version:
            return
        if version not in sketches:
            sketches[version] = QuantileSketch.deserialize(record.sketch)
        newest[message.partition] = (record, sketches[version])

    def close(self) -> None:
        """Let the encoder's thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)
