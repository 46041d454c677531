"""Writing and reading topics in tests, with librdkafka: a client other than the one under test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it re-exports them implicitly
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

TIMEOUT_S = 30.0
#: Until everything written has arrived, also where the broker is stopped and started meanwhile.
FLUSH_TIMEOUT_S = 90.0
PARTITION_OF_KEY, NOW = -1, 0  # librdkafka's words for "none given"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is written; without a partition the key decides, as for every producer of ours."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int | None = None
    partition: int | None = None


@dataclass(frozen=True, kw_only=True)
class StoredRecord:
    """What was read, and where."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def make_topic(bootstrap: str, name: str, partitions: int, **config: str) -> None:
    """The topic is there, and seen; dots in setting names are written as underscores."""
    settings = {key.replace("_", "."): value for key, value in config.items()}
    admin = _admin(bootstrap)
    for future in admin.create_topics([NewTopic(name, partitions, 1, config=settings)]).values():
        future.result(TIMEOUT_S)
    wait_for(lambda: name in admin.list_topics(timeout=TIMEOUT_S).topics, f"{name} to appear")


def delete_topic(bootstrap: str, name: str) -> None:
    """The topic is gone, and seen to be gone."""
    admin = _admin(bootstrap)
    for future in admin.delete_topics([name]).values():
        future.result(TIMEOUT_S)
    wait_for(lambda: name not in admin.list_topics(timeout=TIMEOUT_S).topics, f"{name} to go")


#: For a `Writer` whose broker goes away and comes back: an idempotent producer of librdkafka may
#: then wait for ever. One batch at a time keeps the order, and a batch sent again is so small that
#: every memory of ours knows it.
STURDY: Final = {
    "enable_idempotence": False,
    "max_in_flight": 1,
    "batch_num_messages": 4,
    "message_timeout_ms": 900_000,
}


class Writer:
    """A producer that stays: what it is given arrives in order within each partition.

    `config` is librdkafka's, dots written as underscores.
    """

    def __init__(self, bootstrap: str, **config: Any) -> None:
        self._errors: list[KafkaError] = []
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 20,
                "log_level": 0,
            }
            | {name.replace("_", "."): value for name, value in config.items()}
        )

    def write(self, topic: str, records: Iterable[Record]) -> None:
        for record in records:
            _send(self.producer, topic, record, self._delivered)

    def flush(self) -> None:
        """All of it is acknowledged after the call."""
        left = self.producer.flush(FLUSH_TIMEOUT_S)
        if self._errors or left:
            raise AssertionError(f"{len(self._errors)} failed, {left} unsent: {self._errors[:1]}")

    def _delivered(self, error: KafkaError | None, _message: Message[bytes, bytes]) -> None:
        if error is not None:
            self._errors.append(error)


def produce(bootstrap: str, topic: str, records: Iterable[Record], **config: Any) -> None:
    """All of them are acknowledged after the call, in their order within each partition.

    `config` as for a `Writer`; with a `transactional_id` the records are one transaction, which
    leaves a marker behind them in each partition.
    """
    writer = Writer(bootstrap, **config)
    if "transactional_id" in config:
        writer.producer.init_transactions(TIMEOUT_S)
        writer.producer.begin_transaction()
    writer.write(topic, records)
    if "transactional_id" in config:
        writer.producer.flush(FLUSH_TIMEOUT_S)
        writer.producer.commit_transaction(TIMEOUT_S)
    writer.flush()


def open_transaction(bootstrap: str, topic: str, records: Iterable[Record], name: str) -> Producer:
    """They are in the topic, in a transaction that the caller commits or aborts, or leaves open."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "transactional.id": name,
            "linger.ms": 20,
        }
    )
    producer.init_transactions(TIMEOUT_S)
    producer.begin_transaction()
    for record in records:
        _send(producer, topic, record, lambda _error, _message: None)
    assert producer.flush(TIMEOUT_S) == 0
    return producer


def delete_records(bootstrap: str, topic: str, before: Mapping[int, int]) -> None:
    """Retention has taken what stands before these offsets of the partitions."""
    ends = [TopicPartition(topic, number, offset) for number, offset in before.items()]
    admin = _admin(bootstrap)  # what it has promised ends with it
    for future in admin.delete_records(ends).values():
        future.result(TIMEOUT_S)


def set_config(bootstrap: str, topic: str, **config: str) -> None:
    """The topic has these settings; dots in their names are written as underscores."""
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in config.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin = _admin(bootstrap)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(TIMEOUT_S)


def add_partitions(bootstrap: str, topic: str, total: int) -> None:
    """The topic has so many partitions, and it is seen."""
    admin = _admin(bootstrap)
    for future in admin.create_partitions([NewPartitions(topic, total)]).values():
        future.result(TIMEOUT_S)
    wait_for(lambda: len(partitions(bootstrap, topic)) == total, f"{topic} to grow")


def consume(bootstrap: str, topic: str) -> list[StoredRecord]:
    """Everything that the topic holds now, partition by partition, without any consumer group."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "reads-without-a-group",  # librdkafka asks for one, and it is never joined
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
        }
    )
    try:
        waiting = set(partitions(bootstrap, topic))
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in waiting])
        return _read_to_ends(consumer, waiting)
    finally:
        consumer.close()


def end_offsets(bootstrap: str, topic: str) -> Mapping[int, int]:
    """For each partition, the offset that its next record will get."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reads-without-a-group"})
    try:
        return {
            p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=TIMEOUT_S)[1]
            for p in partitions(bootstrap, topic)
        }
    finally:
        consumer.close()


def partitions(bootstrap: str, topic: str) -> list[int]:
    listed = _admin(bootstrap).list_topics(timeout=TIMEOUT_S)
    return sorted(listed.topics[topic].partitions)


def assignments(bootstrap: str, group: str) -> list[set[tuple[str, int]]]:
    """The (topic, partition)s of each member of a consumer group."""
    admin = _admin(bootstrap)
    (future,) = admin.describe_consumer_groups([group]).values()
    return [
        {(place.topic, place.partition) for place in member.assignment.topic_partitions}
        for member in future.result(TIMEOUT_S).members
    ]


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Returns when the condition holds; fails naming `what` was waited for."""
    deadline = monotonic() + timeout_s
    while not condition():
        if monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s for {what}")
        sleep(0.05)


def _admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})


def _send(
    producer: Producer,
    topic: str,
    record: Record,
    delivered: Callable[[KafkaError | None, Message[bytes, bytes]], None],
) -> None:
    while True:
        try:
            producer.produce(
                topic,
                value=record.value,
                key=record.key,
                headers=[*record.headers],
                partition=PARTITION_OF_KEY if record.partition is None else record.partition,
                timestamp=NOW if record.timestamp_ms is None else record.timestamp_ms,
                on_delivery=delivered,
            )
        except BufferError:
            producer.poll(0.1)  # its queue is full: let some of it go out first
        else:
            producer.poll(0)
            return


def _read_to_ends(consumer: Consumer, waiting: set[int]) -> list[StoredRecord]:
    found: list[StoredRecord] = []
    deadline = monotonic() + TIMEOUT_S
    while waiting:
        if monotonic() > deadline:
            raise AssertionError(f"no end of partitions {sorted(waiting)} within {TIMEOUT_S:g} s")
        message = consumer.poll(1.0)
        if message is None:
            continue
        error = message.error()
        if error is None:
            found.append(_stored(message))
        elif error.name() == "_PARTITION_EOF":
            waiting.discard(message.partition())
        else:
            raise KafkaException(error)
    return sorted(found, key=lambda record: (record.partition, record.offset))


def _stored(message: Any) -> StoredRecord:  # its type calls what each record has optional
    return StoredRecord(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        timestamp_ms=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
        headers=tuple(message.headers() or ()),
    )
