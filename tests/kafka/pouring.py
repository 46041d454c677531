"""A stream that flows at a steady rate, and how long each partition stood still."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.kafka.clients import Writer
from tests.kafka.workers import Workers
from tests.stream_of_events import Event

TICK_S = 0.1
ASK_TIMEOUT_S = 1.0
#: Between two changes of a changelog while all is well; a longer one is a stop.
LEAST_STOP_S = 0.5


class Pouring:
    """Sends events in order, so many a second, from a thread of its own."""

    def __init__(self, workers: Workers, events: Sequence[Event], rate: float) -> None:
        names = workers.names
        self._topics = {"posts": names.posts, "interactions": names.interactions}
        # Of the producer's own time-outs none is to come before the broker is back.
        self._writer = Writer(workers.broker)
        self._events = events
        self._rate = rate
        self._ended = Flag()
        self._failure: BaseException | None = None
        self.sent = 0

    def run(self) -> None:
        begun = monotonic()
        try:
            while not self._ended.wait(TICK_S):
                due = min(int((monotonic() - begun) * self._rate), len(self._events))
                for event in self._events[self.sent : due]:
                    self._writer.write(self._topics[event.topic], [event.record])
                self.sent = max(self.sent, due)
            self._writer.flush()
        except BaseException as error:  # it belongs to the soak, which waits in another thread
            self._failure = error

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """All that was sent has arrived after the block."""
        thread = Thread(target=self.run, name="pouring")
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
        if self._failure is not None:
            raise self._failure


class Stops:
    """The longest time in which the rows of a partition did not change, while events flowed.

    Every batch and every line that a worker takes in writes to the changelog of its partition.
    """

    def __init__(self, workers: Workers) -> None:
        self._places = [
            TopicPartition(workers.names.changelog, p) for p in range(workers.settings.partitions)
        ]
        self._consumer = Consumer(
            {"bootstrap.servers": workers.broker, "group.id": "watches", "log_level": 0}
        )
        self._ended = Flag()
        self._lock = Lock()
        self._ends: dict[int, int] = {}
        self._changed: dict[int, float] = {}
        self._longest = 0.0

    def taken(self) -> float:
        """The longest stop that ended since the last call, in seconds; 0 for none to speak of."""
        with self._lock:
            longest, self._longest = self._longest, 0.0
        return longest if longest >= LEAST_STOP_S else 0.0

    def run(self) -> None:
        while not self._ended.wait(TICK_S):
            for place in self._places:
                try:
                    _, end = self._consumer.get_watermark_offsets(place, timeout=ASK_TIMEOUT_S)
                except KafkaException:
                    continue  # the broker is away: a stop like any other
                self._note(place.partition, end)

    def _note(self, partition: int, end: int) -> None:
        now = monotonic()
        if self._ends.get(partition) == end:
            return
        with self._lock:
            self._longest = max(self._longest, now - self._changed.get(partition, now))
        self._ends[partition], self._changed[partition] = end, now

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Stops are measured inside the block."""
        self._changed.clear()
        thread = Thread(target=self.run, name="stops")
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            self._ended.clear()
