"""A consumer group's committed offsets, seen and set from outside; the group is never joined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, NamedTuple, Self, TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from stream_app.broker_access import librdkafka_options
from stream_app.errors import BROKER_ADVICE, BrokerError

if TYPE_CHECKING:
    from stream_app.settings import Settings

T = TypeVar("T")

_TIMEOUT_S: Final = 30.0  # for one answer
_READ_S: Final = 60.0  # for the whole of a small compacted topic
_POLL_S: Final = 0.5
_RETRY_S: Final = 0.2
#: What a broker says that has just started and still reads its groups.
_SOON: Final = {"NOT_COORDINATOR", "COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS"}


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class Committed(NamedTuple):
    """Where a group goes on, and what was noted with it."""

    offset: int
    note: str


class GroupOffsets:
    """A short-lived, blocking connection; a context manager.

    Every method raises BrokerError when the broker does not answer or refuses.
    """

    def __init__(self, settings: Settings, group: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._broker = settings.broker
        self._group = group
        self._timeout_s = timeout_s
        self._consumer = Consumer(
            librdkafka_options(settings)
            | {
                "group.id": group,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The connection has ended."""
        self._consumer.close()

    def places(self, topics: Iterable[str]) -> list[Place]:
        """All partitions of those topics that exist."""
        known = self._ask(lambda: self._consumer.list_topics(timeout=self._timeout_s)).topics
        return [
            Place(topic, number)
            for topic in topics
            if topic in known
            for number in sorted(known[topic].partitions)
        ]

    def bounds(self, place: Place) -> tuple[int, int]:
        """Offset of the oldest record kept, and the one that the next record will get."""
        asked = TopicPartition(*place)
        low, high = self._ask(
            lambda: self._consumer.get_watermark_offsets(asked, timeout=self._timeout_s)
        )
        return low, high

    def committed(self, places: Sequence[Place]) -> dict[Place, Committed]:
        """Of those partitions for which the group has committed an offset."""
        asked = [TopicPartition(*place) for place in places]
        found = self._ask(lambda: self._consumer.committed(asked, timeout=self._timeout_s))
        return {
            Place(p.topic, p.partition): Committed(p.offset, p.metadata or "")
            for p in found
            if p.offset != OFFSET_INVALID
        }

    def commit(self, offsets: Mapping[Place, int], note: str) -> None:
        """The group, which has no members, goes on from these offsets."""
        wanted = [TopicPartition(*place, offset, note) for place, offset in offsets.items()]
        answers = self._ask(lambda: self._consumer.commit(offsets=wanted, asynchronous=False))
        refused = next((a.error for a in answers or [] if a.error is not None), None)
        if refused is not None:
            raise self._refusal(refused)

    def keys(self, topic: str) -> set[bytes]:
        """The keys of all records that a topic holds now, tombstones left out."""
        waiting = {place.partition for place in self.places([topic])}
        self._consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in waiting])
        found: dict[bytes, bool] = {}
        deadline = monotonic() + _READ_S
        while waiting:
            message = self._consumer.poll(_POLL_S)
            if message is None:
                if monotonic() > deadline:
                    raise BrokerError(
                        f"the broker at {self._broker} does not show all of {topic}; "
                        f"{BROKER_ADVICE}"
                    )
                continue
            error = message.error()
            if error is None:
                found[message.key() or b""] = message.value() is not None
            elif error.name() == "_PARTITION_EOF":
                waiting.discard(message.partition())
            else:
                raise self._refusal(error)
        self._consumer.unassign()
        return {key for key, is_kept in found.items() if is_kept}

    def _ask(self, call: Callable[[], T]) -> T:
        deadline = monotonic() + self._timeout_s
        while True:
            try:
                return call()
            except KafkaException as error:
                cause: KafkaError = error.args[0]
                if cause.name() not in _SOON or monotonic() > deadline:
                    raise self._refusal(cause) from error
            sleep(_RETRY_S)

    def _refusal(self, error: KafkaError) -> BrokerError:
        return BrokerError(
            f"the broker at {self._broker} does not answer for the group {self._group}: "
            f"{error.str()}; {BROKER_ADVICE}"
        )
