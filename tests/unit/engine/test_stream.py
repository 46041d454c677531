"""The stream that takes all waiting records at once, by the rules of Faust's own iterator."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from mode.utils.queues import FlowControlEvent, ThrowableQueue

from stream_app.engine.stream import QuickStream

GENERATION = 7


class Bench:
    """A stream over a queue of Faust's, and the consumer that knows what is unacknowledged."""

    def __init__(self) -> None:
        self.flow = FlowControlEvent(initially_suspended=False)
        self.queue: Any = ThrowableQueue(flow_control=self.flow, maxsize=100)
        self.unacked: set[Any] = set()
        self.stream = QuickStream.__new__(QuickStream)
        self.stream.channel = SimpleNamespace(queue=self.queue)
        self.stream.app = SimpleNamespace(  # type: ignore[assignment]
            flow_control=self.flow,
            consumer_generation_id=GENERATION,
            consumer=SimpleNamespace(_unacked_messages=self.unacked),
            topics=SimpleNamespace(acks_enabled_for=lambda topic: topic == "posts"),
        )

    def put(self, offset: int, *, generation: int = GENERATION, topic: str = "posts") -> Any:
        message = _Message(offset, generation, topic)
        self.queue.force_put_nowait(SimpleNamespace(message=message))
        return message

    def taken(self) -> list[int]:
        return [event.message.offset for event in self.stream._waiting()]


class _Message:
    def __init__(self, offset: int, generation: int, topic: str) -> None:
        self.offset, self.generation_id, self.topic = offset, generation, topic
        self.tracked = False


def test_all_that_wait_are_taken_in_their_order() -> None:
    bench = Bench()
    for offset in range(5):
        bench.put(offset)
    assert bench.taken() == [0, 1, 2, 3, 4]
    assert bench.queue.empty()


def test_a_rebalance_waits_for_what_is_taken() -> None:
    bench = Bench()
    message, other = bench.put(0), bench.put(1, topic="not acknowledged")
    bench.taken()
    assert bench.unacked == {message}
    assert message.tracked
    assert not other.tracked


def test_records_of_an_assignment_that_is_over_are_left_out() -> None:
    bench = Bench()
    old = bench.put(0, generation=GENERATION - 1)
    bench.put(1)
    assert bench.taken() == [1]
    assert old not in bench.unacked


def test_nothing_is_taken_while_the_flow_is_stopped() -> None:
    bench = Bench()
    bench.put(0)
    bench.flow.suspend()
    assert bench.taken() == []
    assert not bench.unacked


def test_an_error_in_the_queue_is_left_to_fausts_iterator() -> None:
    bench = Bench()
    bench.put(0)
    bench.queue._throw(RuntimeError("stop"))
    assert bench.taken() == []
    with pytest.raises(RuntimeError):
        bench.queue.get_nowait()
