"""Runs of records into the channel, by the rules of Faust's handler for one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.utils.queues import FlowControlEvent, ThrowableQueue

from stream_app.engine.conductor import QuickConductor

POSTS, OTHER = TP("posts", 0), TP("posts", 1)
ROOM = 10


class Bench:
    """A conductor with one channel of ROOM records for two partitions."""

    def __init__(self, channels: int = 1) -> None:
        self.flow = FlowControlEvent(initially_suspended=False)
        self.queue: Any = ThrowableQueue(flow_control=self.flow, maxsize=ROOM)
        self.full: list[TP] = []
        self.dropped: list[TP] = []
        self.buffer = SimpleNamespace(size=0, max_messages=100)
        conductor: Any = object.__new__(QuickConductor)
        conductor._on_pressure_drop = {}
        topics: list[Any] = [_Channel(self.queue) for _ in range(channels)]
        conductor._tp_index = {POSTS: set(topics), OTHER: set(topics)}
        conductor.app = SimpleNamespace(
            flow_control=self.flow,
            producer=SimpleNamespace(buffer=self.buffer),
            sensors=SimpleNamespace(on_topic_buffer_full=lambda tp: None),
            consumer=SimpleNamespace(
                on_buffer_full=self.full.append, on_buffer_drop=self.dropped.append
            ),
        )
        self.conductor: QuickConductor = conductor

    def deliver(self, tp: TP, first: int, count: int) -> int:
        self.messages = [make_message(tp, offset) for offset in range(first, first + count)]
        return self.conductor.deliver(tp, self.messages)

    def taken(self, count: int) -> list[int]:
        return [self.queue.get_nowait().message.offset for _ in range(count)]


class _Channel:
    def __init__(self, queue: Any) -> None:
        self.queue = queue


def make_message(tp: TP, offset: int) -> ConsumerMessage:
    return ConsumerMessage(
        tp.topic, tp.partition, offset, 1.0, 0, [("name", b"v")], b"key", b"value", None, tp=tp
    )


def test_records_reach_the_channel_in_order_each_counted_once() -> None:
    bench = Bench()
    assert bench.deliver(POSTS, 5, 3) == 3
    assert [message.refcount for message in bench.messages] == [1, 1, 1]
    event = bench.queue.get_nowait()
    assert (event.key, event.value, event.headers) == (b"key", b"value", {"name": b"v"})
    assert event.message is bench.messages[0]
    assert bench.taken(2) == [6, 7]


def test_what_does_not_fit_is_left_to_fausts_handler() -> None:
    bench = Bench()
    assert bench.deliver(POSTS, 0, ROOM + 4) == ROOM
    assert [message.refcount for message in bench.messages[ROOM:]] == [0] * 4
    assert bench.deliver(POSTS, ROOM, 1) == 0
    assert bench.taken(ROOM) == list(range(ROOM))


def test_a_stopped_flow_takes_nothing() -> None:
    bench = Bench()
    bench.flow.suspend()
    assert bench.deliver(POSTS, 0, 3) == 0
    assert bench.queue.empty()


def test_a_producer_with_too_much_to_send_takes_nothing() -> None:
    bench = Bench()
    bench.buffer.size = 101
    assert bench.deliver(POSTS, 0, 3) == 0


def test_a_partition_of_several_channels_or_none_is_left_to_fausts_handler() -> None:
    assert Bench(channels=2).deliver(POSTS, 0, 3) == 0
    assert Bench(channels=0).deliver(POSTS, 0, 3) == 0


def test_a_channel_that_fills_pauses_its_partitions_until_it_is_emptied() -> None:
    bench = Bench()
    bench.deliver(POSTS, 0, 7)
    assert bench.full == []
    bench.deliver(POSTS, 7, 1)
    bench.deliver(POSTS, 8, 1)
    bench.deliver(OTHER, 0, 1)
    assert bench.full == [POSTS, OTHER]  # each once
    bench.taken(ROOM)
    assert bench.queue.empty()
    bench.queue.maybe_endorse_pressure_drop()
    assert sorted(bench.dropped) == [POSTS, OTHER]
    bench.deliver(POSTS, 9, ROOM)
    assert bench.full == [POSTS, OTHER, POSTS]
