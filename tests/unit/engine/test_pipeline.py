"""Records in, acknowledgements out, in order; lines pass batches that wait for the encoder."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.engine.internal_records import LineRecord, encode, record_key
from stream_app.engine.order_guard import OrderGuard
from stream_app.engine.origins import Origins
from stream_app.engine.pipeline import Pipeline
from stream_app.errors import OrderError
from stream_app.messages import TextFeatures, partition_of
from tests.builders import NOON, make_post
from tests.schemes import make_scheme
from tests.unit.engine.stand_ins import PARTITIONS, TOPICS, Broker, Worker, fixed_line

SCHEME = make_scheme()
U1 = "twitter:u1"
HOME = partition_of(U1.encode(), PARTITIONS)
LINE_KEY = record_key("kol", "line")
LOW = [("kol", -1000.0, -1001.0)]


class Stream:
    """A Faust stream of events that a test pushes; remembers what was acknowledged."""

    def __init__(self, guard: OrderGuard) -> None:
        self.guard = guard
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.lines: asyncio.Queue[Any] = asyncio.Queue()
        self.acked: list[tuple[str, int]] = []
        self.forgotten: list[int] = []
        self.progress = asyncio.Event()

    def noack(self) -> Stream:
        return self

    async def batches(self) -> AsyncIterator[list[Any]]:
        while True:
            yield [await self.queue.get()]

    def ack_all(self, events: Sequence[Any]) -> None:
        self.acked += [(event.message.topic, event.message.offset) for event in events]
        self.progress.set()

    def forget_all(self, events: Sequence[Any]) -> None:
        self.forgotten += [event.message.offset for event in events]

    def push(self, record: Any) -> None:
        self.guard.handed(record.tp, [record.offset])
        record.link = self.guard.delivered(record.tp, record.offset)
        queue = self.lines if record.topic == TOPICS.thresholds else self.queue
        queue.put_nowait(SimpleNamespace(message=record))

    async def acked_so_far(self, count: int) -> list[tuple[str, int]]:
        while len(self.acked) < count:
            self.progress.clear()
            await asyncio.wait_for(self.progress.wait(), 10)
        return self.acked


class LineStream:
    """The stream of the lines' agent; what it acknowledges is remembered in one place."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.ack_all = stream.ack_all

    def noack(self) -> LineStream:
        return self

    async def batches(self) -> AsyncIterator[list[Any]]:
        while True:
            yield [await self._stream.lines.get()]


class Gate:
    """An encoder that waits for the test, in the encoder's own thread."""

    identity = "gate"

    def __init__(self, worker: Worker) -> None:
        self.inner = worker.encoder
        self.open = threading.Event()
        self.open.set()
        self.batches: list[list[str]] = []

    def encode(self, texts: Sequence[str]) -> list[TextFeatures]:
        assert self.open.wait(10)
        self.batches.append(list(texts))
        return self.inner.encode(texts)


class NoSnapshots:
    async def publish_due(self) -> None:
        """Nothing is ever due."""

    def seconds_to_next(self) -> float:
        return 60.0


class Bench:
    """A pipeline with its loops running."""

    def __init__(self, worker: Worker, batch_size: int = 4) -> None:
        self.worker, self.broker = worker, worker.broker
        self.gate = Gate(worker)
        self.guard = OrderGuard()
        self.stream = Stream(self.guard)
        snapshots: Any = NoSnapshots()
        self.pipeline = Pipeline(
            scheme=worker.scheme,
            intake=worker.intake,
            origins=Origins(None),  # nothing is forwarded here
            scorer=worker.scorer,
            snapshots=snapshots,
            rows=worker.rows,
            partitions=worker.ownership.partitions,
            metrics=worker.metrics,
            line_key=LINE_KEY,
            batch_size=batch_size,
            linger_s=0.0,
        )
        self.pipeline.use(self.gate)
        worker.scorer._encode_text = self.pipeline.encode_text

    def push(self, event: Any, **changes: Any) -> None:
        self.stream.push(self.broker.append(event, **changes))

    def push_line(self, version: int, tiers: Any = LOW, *, key: bytes = LINE_KEY) -> None:
        record = LineRecord(fixed_line(version, tiers), QuantileSketch().serialize())
        self.push(encode(record), topic=TOPICS.thresholds, partition=HOME, key=key)


def run(test: Callable[[Bench], Awaitable[None]], **changes: Any) -> None:
    async def body() -> None:
        bench = Bench(await Worker(Broker(), SCHEME).start(), **changes)
        pipeline = bench.pipeline
        loops = [
            asyncio.create_task(pipeline.take(bench.stream, bench.guard)),
            asyncio.create_task(pipeline.take_lines(LineStream(bench.stream), bench.guard)),
            asyncio.create_task(pipeline.collect()),
            asyncio.create_task(pipeline.apply()),
        ]
        working = asyncio.create_task(_as_coroutine(test(bench)))
        try:
            await asyncio.wait([working, *loops], return_when=asyncio.FIRST_COMPLETED)
            for loop in loops:
                if loop.done():
                    loop.result()
            await working
        finally:
            bench.gate.open.set()
            for task in [working, *loops]:
                task.cancel()
            await asyncio.gather(working, *loops, return_exceptions=True)
            pipeline.close()

    asyncio.run(body())


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable


def post(number: int, **changes: Any) -> Any:
    fields = {"id": f"p{number}", "text": f"text {number}", "created_at": NOON + number} | changes
    return make_post(**fields)


def test_records_are_acknowledged_in_the_order_they_came_whatever_they_are() -> None:
    async def test(bench: Bench) -> None:
        for number in range(5):
            bench.push(post(number))
        bench.push(b"{", partition=HOME)
        bench.push(post(0, text="again", observed_at=NOON + 99))
        assert await bench.stream.acked_so_far(7) == [("posts", offset) for offset in range(7)]
        row = bench.worker.row(U1)
        assert row is not None
        assert row.posts == 5

    run(test)


def test_nothing_is_acknowledged_before_it_is_applied() -> None:
    async def test(bench: Bench) -> None:
        bench.gate.open.clear()
        bench.push(post(1))
        for _ in range(50):
            await asyncio.sleep(0)
        assert bench.stream.acked == []
        assert bench.pipeline.waiting == 1
        bench.gate.open.set()
        await bench.stream.acked_so_far(1)
        assert bench.pipeline.waiting == 0

    run(test)


def test_a_line_does_not_queue_behind_texts_that_are_being_encoded() -> None:
    async def test(bench: Bench) -> None:
        bench.gate.open.clear()
        bench.push(post(1))
        bench.push_line(7)
        assert await bench.stream.acked_so_far(1) == [(TOPICS.thresholds, 0)]
        line = bench.worker.ownership.partitions[HOME].meta.line
        assert line is not None
        assert line.version == 7
        bench.gate.open.set()
        await bench.stream.acked_so_far(2)
        assert [event.tier for event in bench.broker.events()] == ["kol"]

    run(test)


def test_texts_of_known_posts_are_not_encoded_and_others_once() -> None:
    async def test(bench: Bench) -> None:
        bench.push(post(1))
        await bench.stream.acked_so_far(1)
        bench.push(post(1, observed_at=NOON + 50))
        bench.push(post(2, text="same"))
        bench.push(post(3, text="same"))
        await bench.stream.acked_so_far(4)
        encoded = [text for batch in bench.gate.batches for text in batch]
        assert encoded.count("text 1") == 1
        assert 1 <= encoded.count("same") <= 2  # in one batch, or in two

    run(test)


def test_the_newest_line_counts_and_older_ones_are_passed_over() -> None:
    async def test(bench: Bench) -> None:
        bench.push_line(5)
        bench.push_line(9, [("kol", 7000.0, 6999.0)])
        bench.push_line(6)
        await bench.stream.acked_so_far(3)
        line = bench.worker.ownership.partitions[HOME].meta.line
        assert line is not None
        assert line.version == 9

    run(test)


def test_lines_of_other_apps_and_empty_records_are_only_acknowledged() -> None:
    async def test(bench: Bench) -> None:
        bench.push_line(5, key=record_key("other", "line"))
        bench.push(None, topic=TOPICS.thresholds, partition=HOME, key=LINE_KEY)
        await bench.stream.acked_so_far(2)
        assert bench.worker.ownership.partitions[HOME].meta.line is None

    run(test)


def test_more_records_than_fit_wait_until_there_is_room() -> None:
    async def test(bench: Bench) -> None:
        bench.gate.open.clear()
        for number in range(60):
            bench.push(post(number))
        for _ in range(200):
            await asyncio.sleep(0)
        assert bench.pipeline.waiting < 60
        bench.gate.open.set()
        acked = await bench.stream.acked_so_far(60)
        assert acked == [("posts", offset) for offset in range(60)]

    run(test, batch_size=2)


def test_what_was_not_begun_is_given_back_and_comes_again() -> None:
    async def test(bench: Bench) -> None:
        bench.gate.open.clear()
        for number in range(30):
            bench.push(post(number))
        for _ in range(200):
            await asyncio.sleep(0)
        taken = bench.pipeline.waiting
        given_back = [event.message.offset for event in bench.pipeline.give_back()]
        assert sorted(given_back) == list(range(taken))
        assert bench.pipeline.waiting == 0
        bench.gate.open.set()
        for _ in range(200):
            await asyncio.sleep(0)
        assert bench.stream.acked == []
        assert bench.stream.forgotten == list(range(taken, 30)), "those that were under way"

        bench.pipeline.take_again()
        bench.guard.seek(TP("posts", HOME), 0)
        for record in bench.broker.source[("posts", HOME)]:
            bench.stream.push(record)
        acked = await bench.stream.acked_so_far(30)
        assert acked == [("posts", offset) for offset in range(30)]
        row = bench.worker.row(U1)
        assert row is not None
        assert row.posts == 30

    run(test, batch_size=2)


def test_batches_whose_texts_are_encoded_are_not_given_back() -> None:
    async def test(bench: Bench) -> None:
        applying, go_on = asyncio.Event(), asyncio.Event()
        write = bench.worker.table.write

        async def held_up(writes: Any) -> None:
            applying.set()
            await go_on.wait()
            await write(writes)

        bench.worker.table.write = held_up
        bench.push(post(1))
        await applying.wait()
        bench.gate.open.clear()
        bench.push(post(2))
        for _ in range(50):
            await asyncio.sleep(0)
        given_back = [event.message.offset for event in bench.pipeline.give_back()]
        assert given_back == [1]
        go_on.set()
        assert await bench.stream.acked_so_far(1) == [("posts", 0)]

    run(test)


def test_a_failure_of_the_encoder_ends_the_applier() -> None:
    async def test(bench: Bench) -> None:
        def fail(texts: Sequence[str]) -> list[TextFeatures]:
            raise RuntimeError("out of memory")

        bench.gate.encode = fail  # type: ignore[method-assign]
        bench.push(post(1))
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="out of memory"):
        run(test)


def test_a_record_that_was_lost_on_the_way_ends_the_agent() -> None:
    async def test(bench: Bench) -> None:
        tp = TP("posts", HOME)
        bench.guard.handed(tp, [0])
        bench.guard.delivered(tp, 0)
        bench.broker.append(post(1))
        bench.push(post(2))
        await asyncio.Event().wait()

    with pytest.raises(OrderError):
        run(test)
