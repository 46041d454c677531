"""Kafka filled with rows, posts at an even pace, and what workers write, seen from outside."""

from __future__ import annotations

import random
import threading
import time
from abc import ABC, abstractmethod
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition

from benchmarks.user_rows import PLATFORM, SPAN_MS, START_MS, Writer, users
from stream_app.core.scheme import Scheme
from stream_app.engine.changelog import EPOCH_HEADER
from stream_app.engine.topics import TopicNames
from stream_app.messages import Post, encode_post

#: Posts of the even flow continue where those of the rows end.
FLOW_FROM_MS = START_MS + SPAN_MS


def new_producer(broker: str, linger_ms: int = 50) -> Producer:
    """A producer that puts keys where the program expects them."""
    return Producer(
        {
            "bootstrap.servers": broker,
            "partitioner": "murmur2_random",
            "linger.ms": linger_ms,
            "enable.idempotence": True,  # a batch sent again would come behind later ones
            "queue.buffering.max.messages": 200_000,
        }
    )


def send(producer: Producer, *arguments: Any, **options: Any) -> None:
    """Produce, waiting while too much is on its way."""
    while True:
        try:
            producer.produce(*arguments, **options)
            producer.poll(0)
            return
        except BufferError:
            producer.poll(0.1)


def fill(
    broker: str, names: TopicNames, scheme: Scheme, numbers: range, partitions: int, seed: int
) -> dict[str, float]:
    """Write these users' rows to the changelog; their size."""
    writer, producer = Writer(scheme, names.posts, seed), new_producer(broker)
    begun, size = time.perf_counter(), 0
    for user in users(numbers.start, numbers.stop, seed):
        number, row = writer.row(user, partitions)
        headers = [(EPOCH_HEADER, b"1")]
        send(producer, names.changelog, row, key=user.key, partition=number, headers=headers)
        size += len(row) + len(user.key)
    producer.flush()
    return {"bytes_per_row": size / len(numbers), "seconds": time.perf_counter() - begun}


class Flow(threading.Thread):
    """Posts of known users at an even pace, from `start` to `end`."""

    def __init__(self, broker: str, topic: str, known: int, rate: float, seed: int) -> None:
        super().__init__(name="flow", daemon=True)
        self.sent = 0
        self._producer = new_producer(broker, linger_ms=0)
        self._topic = topic
        self._known = known
        self._rate = rate
        self._random = random.Random(seed)
        self._begun = time.perf_counter()
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(0.005):
            due = int((time.perf_counter() - self._begun) * self._rate)
            while self.sent < due:
                self.post(f"user-{self._random.randrange(self._known)}")
        self.flush()

    def flush(self) -> None:
        """What was posted is in Kafka after the call."""
        self._producer.flush()

    def post(self, name: str, **counts: int) -> None:
        """A post of a user, now."""
        self.sent += 1
        at = FLOW_FROM_MS + int((time.perf_counter() - self._begun) * 1000)
        post = Post(
            id=f"flow-{self.sent}",
            platform=PLATFORM,
            user_id=name,
            text=f"number {self.sent} of the flow",
            created_at=at,
            observed_at=at,
            like_count=counts.get("like_count", self._random.randrange(20)),
            follower_count=counts.get("follower_count"),
        )
        send(self._producer, self._topic, encode_post(post), key=f"{PLATFORM}:{name}".encode())

    def end(self) -> None:
        """No more posts; all are in Kafka."""
        self._end.set()
        self.join()


class Tail(threading.Thread, ABC):
    """Reads a topic from its end on and notes what `note` makes of each record."""

    def __init__(self, broker: str, topic: str, partitions: int) -> None:
        super().__init__(name=f"tail of {topic}", daemon=True)
        self._end = threading.Event()
        self._consumer = Consumer(
            {"bootstrap.servers": broker, "group.id": "benchmark", "enable.auto.commit": False}
        )
        self._consumer.assign(
            [TopicPartition(topic, number, OFFSET_END) for number in range(partitions)]
        )

    def run(self) -> None:
        while not self._end.is_set():
            for message in self._consumer.consume(500, 0.05):
                if message.error() is None:
                    self.note(message)
        self._consumer.close()

    @abstractmethod
    def note(self, message: Any) -> None:
        """One record; called in this thread."""

    def end(self) -> None:
        self._end.set()
        self.join()
