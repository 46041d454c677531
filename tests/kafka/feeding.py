"""Sending a stream of events: at once, or all the while that other things happen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event as Flag
from threading import Thread

from tests.kafka.clients import produce
from tests.kafka.workers import Workers
from tests.stream_of_events import Event

TICK_S = 0.05
#: Part of what is allowed that goes out at each tick: fast at first, but never all of it.
SHARE = 0.03
STOP_TIMEOUT_S = 120.0


def send(workers: Workers, events: Sequence[Event]) -> None:
    """All of them are in Kafka after the call, in their order within each partition."""
    topics = {"posts": workers.names.posts, "interactions": workers.names.interactions}
    for kind, topic in topics.items():
        produce(workers.broker, topic, [event.record for event in events if event.topic == kind])


class Flow:
    """Sends a stream bit by bit from a thread of its own; `allow` says how far it may go.

    What remains of the allowance goes out ever more slowly, so that something flows for however
    long the next step takes, on a fast machine or a busy one.
    """

    def __init__(self, workers: Workers, events: Sequence[Event]) -> None:
        self._workers = workers
        self._events = events
        self._allowed = 0
        self._ended = Flag()
        self.sent = 0
        self.failure: BaseException | None = None

    def allow(self, share: float) -> None:
        """Up to this share of the stream may go out from now on."""
        self._allowed = int(share * len(self._events))

    def run(self) -> None:
        try:
            while not self._ended.wait(TICK_S):
                left = self._allowed - self.sent
                if left > 0:
                    self._send(max(1, int(SHARE * left)))
        except BaseException as error:  # it belongs to the test, which waits in another thread
            self.failure = error

    def finish(self) -> None:
        """All that is left is out."""
        self._send(len(self._events) - self.sent)

    def stop(self) -> None:
        self._ended.set()

    def _send(self, count: int) -> None:
        send(self._workers, self._events[self.sent : self.sent + count])
        self.sent += count


@contextmanager
def flowing(workers: Workers, events: Sequence[Event]) -> Iterator[Flow]:
    """Events flow inside the block, and all are out after it."""
    flow = Flow(workers, events)
    thread = Thread(target=flow.run, name="flow")
    thread.start()
    try:
        yield flow
    finally:
        flow.stop()
        thread.join(STOP_TIMEOUT_S)
    assert flow.failure is None, flow.failure
    assert flow.sent < len(events), "nothing was left to flow while things happened"
    flow.finish()
