"""The embedded broker, through aiokafka, which the worker uses, and librdkafka's own client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from confluent_kafka import Producer

from stream_app import embedded
from stream_app.embedded import PRODUCE, EmbeddedBroker
from stream_app.engine.topics import check_topics, topic_ids, topic_names, topic_table
from stream_app.errors import BrokerError, TopicsError, UsageError
from stream_app.settings import Settings, load_settings

NOT_ENOUGH_REPLICAS = 19  # an error that clients try again on


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


def test_records_keep_key_value_headers_and_time(broker: EmbeddedBroker) -> None:
    broker.create_topic("posts", 3)

    async def round_trip() -> list[ConsumerRecord]:
        async with producing(broker) as producer:
            headers = [("kol-forwarded", b"1")]
            for value in (b"\x00\xff", None):
                await producer.send_and_wait(
                    "posts", value, b"x:1", partition=2, timestamp_ms=1_400_000_000_123,
                    headers=headers,
                )  # fmt: skip
        return await read(broker, "posts", 2)

    first, second = asyncio.run(round_trip())
    assert (first.offset, first.key, first.value) == (0, b"x:1", b"\x00\xff")
    assert (first.headers, first.timestamp) == ((("kol-forwarded", b"1"),), 1_400_000_000_123)
    assert (second.offset, second.value) == (1, None)


def test_next_offsets_are_known_without_a_group(broker: EmbeddedBroker) -> None:
    broker.create_topic("posts", 2)

    async def ends() -> dict[TopicPartition, int]:
        async with producing(broker) as producer:
            await producer.send_and_wait("posts", b"1", partition=1)
        async with consuming(broker) as consumer:
            places = [TopicPartition("posts", partition) for partition in (0, 1)]
            return dict(await consumer.end_offsets(places))

    assert list(asyncio.run(ends()).values()) == [0, 1]


def test_a_group_member_goes_on_where_the_last_one_committed(broker: EmbeddedBroker) -> None:
    broker.create_topic("posts", 1)
    place = TopicPartition("posts", 0)

    async def member(*, commit: int | None) -> int:
        async with consuming(broker, "posts", group_id="g") as consumer:
            record = await consumer.getone()
            if commit is not None:
                await consumer.commit({place: commit})
            return int(record.offset)

    async def two_members() -> tuple[int, int]:
        async with producing(broker) as producer:
            for n in range(3):
                await producer.send_and_wait("posts", b"%d" % n)
        return await member(commit=2), await member(commit=None)

    assert asyncio.run(two_members()) == (0, 2)


def test_librdkafka_clients_are_served_too(broker: EmbeddedBroker) -> None:
    broker.create_topic("posts", 1)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    producer.produce("posts", b"from C")
    assert producer.flush(10) == 0
    assert [record.value for record in asyncio.run(read(broker, "posts", 0))] == [b"from C"]


def test_a_broker_that_was_down_still_has_its_records(broker: EmbeddedBroker) -> None:
    broker.create_topic("posts", 1)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    producer.produce("posts", b"kept")
    assert producer.flush(10) == 0
    host, port = broker.bootstrap.split(":")

    broker.set_down(True)
    with pytest.raises(OSError):  # noqa: PT011  # refused or cut, as the kernel likes
        socket.create_connection((host, int(port)), timeout=1).recv(1)
    broker.set_down(False)
    assert [record.value for record in asyncio.run(read(broker, "posts", 0))] == [b"kept"]


def test_pushed_errors_hit_the_next_requests_only(broker: EmbeddedBroker) -> None:
    broker.create_topic("posts", 1)
    broker.push_request_errors(PRODUCE, [NOT_ENOUGH_REPLICAS] * 2)
    failing = Producer({"bootstrap.servers": broker.bootstrap, "retries": 0, "log_level": 0})
    errors: list[object] = []
    for _ in range(3):
        failing.produce("posts", b"x", on_delivery=lambda error, _: errors.append(error))
        failing.flush(10)
    assert [error is None for error in errors] == [False, False, True]


def test_errors_that_were_taken_back_hit_nobody(broker: EmbeddedBroker) -> None:
    broker.create_topic("posts", 1)
    broker.push_request_errors(PRODUCE, [NOT_ENOUGH_REPLICAS])
    broker.clear_request_errors(PRODUCE)
    errors: list[object] = []
    producer = Producer({"bootstrap.servers": broker.bootstrap, "retries": 0})
    producer.produce("posts", b"x", on_delivery=lambda error, _: errors.append(error))
    producer.flush(10)
    assert errors == [None]


def test_a_topic_cannot_be_made_twice(broker: EmbeddedBroker) -> None:
    broker.create_topic("posts", 1)
    with pytest.raises(BrokerError, match="TOPIC_ALREADY_EXISTS"):
        broker.create_topic("posts", 1)


def test_two_brokers_know_nothing_of_each_other(broker: EmbeddedBroker) -> None:
    with EmbeddedBroker() as other:
        assert other.bootstrap != broker.bootstrap
        other.create_topic("posts", 1)
        broker.create_topic("posts", 1)


def test_starting_and_stopping_twice_changes_nothing_and_a_stopped_one_says_so() -> None:
    broker = EmbeddedBroker()
    broker.start()
    address = broker.bootstrap
    broker.start()
    assert broker.bootstrap == address
    broker.stop()
    broker.stop()
    with pytest.raises(BrokerError, match="not running"):
        broker.create_topic("posts", 1)


def test_our_topics_fit_when_made_by_hand(broker: EmbeddedBroker) -> None:
    settings = load_settings(broker=broker.bootstrap, partitions=3)
    make_ours(broker, settings)
    asyncio.run(check_topics(settings))


def test_a_missing_topic_is_named_and_not_made_by_asking(broker: EmbeddedBroker) -> None:
    settings = load_settings(broker=broker.bootstrap)
    for _ in range(2):  # a topic made by the first question would be there at the second
        with pytest.raises(TopicsError, match="kol-events"):
            asyncio.run(check_topics(settings))


def test_a_topic_made_again_has_another_id(broker: EmbeddedBroker) -> None:
    settings = load_settings(broker=broker.bootstrap)
    make_ours(broker, settings)
    posts = topic_names(settings).posts
    before = asyncio.run(topic_ids(settings, [posts]))[posts]
    broker.delete_topic(posts)
    broker.create_topic(posts, settings.partitions)
    after = asyncio.run(topic_ids(settings, [posts]))[posts]
    assert before
    assert after not in {"", before}


def make_ours(broker: EmbeddedBroker, settings: Settings) -> None:
    for spec in topic_table(settings):
        broker.create_topic(spec.name, spec.partitions or 1)


@asynccontextmanager
async def producing(broker: EmbeddedBroker) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap, compression_type="lz4", linger_ms=1
    ) as producer:
        yield producer


def test_a_librdkafka_without_the_mock_cluster_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_PROTOTYPES", (("rd_kafka_no_such_function", None, ()),))
    with pytest.raises(UsageError, match="needs the librdkafka of the confluent-kafka wheel"):
        embedded.load_librdkafka()


@asynccontextmanager
async def consuming(
    broker: EmbeddedBroker, *topics: str, group_id: str | None = None
) -> AsyncIterator[AIOKafkaConsumer]:
    async with AIOKafkaConsumer(
        *topics,
        bootstrap_servers=broker.bootstrap,
        group_id=group_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=20,
        session_timeout_ms=1_000,  # a group whose only member has left waits that long for it
    ) as consumer:
        yield consumer


async def read(broker: EmbeddedBroker, topic: str, partition: int) -> list[ConsumerRecord]:
    """Everything in the partition, read without a group."""
    place = TopicPartition(topic, partition)
    async with consuming(broker) as consumer:
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        end = (await consumer.end_offsets([place]))[place]
        return [await consumer.getone() for _ in range(end)]
