"""The broker itself, through a plain client: whatever fails here is no fault of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.kafka.broker import KafkaBroker
from tests.kafka.clients import (
    Record,
    consume,
    delete_topic,
    end_offsets,
    make_topic,
    partitions,
    produce,
)


def test_records_come_back_as_they_were_written(kafka: KafkaBroker, prefix: str) -> None:
    topic = f"{prefix}smoke"
    make_topic(kafka.bootstrap, topic, 3, retention_ms="-1")
    sent = Record(
        key=b"x:1",
        value=b"\x00\xff",
        headers=(("dlq-reason", b"empty"),),
        timestamp_ms=1_400_000_000_123,
        partition=2,
    )
    produce(kafka.bootstrap, topic, [sent, Record(key=b"x:1", value=None, partition=2)])

    first, second = consume(kafka.bootstrap, topic)
    assert (first.key, first.value, first.headers) == (sent.key, sent.value, sent.headers)
    assert (first.partition, first.offset, first.timestamp_ms) == (2, 0, 1_400_000_000_123)
    assert (second.offset, second.value) == (1, None)
    assert end_offsets(kafka.bootstrap, topic) == {0: 0, 1: 0, 2: 2}


def test_records_of_one_key_go_to_one_partition(kafka: KafkaBroker, prefix: str) -> None:
    topic = f"{prefix}keys"
    make_topic(kafka.bootstrap, topic, 8)
    produce(kafka.bootstrap, topic, [Record(key=b"x:%d" % (n % 20), value=b"") for n in range(200)])

    places = {(record.key, record.partition) for record in consume(kafka.bootstrap, topic)}
    assert len(places) == 20


def test_asking_for_a_topic_does_not_make_it(kafka: KafkaBroker, prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.list_topics(f"{prefix}absent", timeout=10)
    assert f"{prefix}absent" not in admin.list_topics(timeout=10).topics


def test_a_deleted_topic_can_be_made_again(kafka: KafkaBroker, prefix: str) -> None:
    topic = f"{prefix}again"
    make_topic(kafka.bootstrap, topic, 1)
    delete_topic(kafka.bootstrap, topic)
    make_topic(kafka.bootstrap, topic, 2)
    assert partitions(kafka.bootstrap, topic) == [0, 1]


@pytest.mark.usefixtures("kafka_jars")
def test_acknowledged_records_survive_a_kill_and_a_pause_only_delays(tmp_path: Path) -> None:
    with KafkaBroker(tmp_path / "own") as broker:
        make_topic(broker.bootstrap, "kept", 1)
        produce(broker.bootstrap, "kept", [Record(value=b"before")])
        broker.stop(kill=True)
        broker.start()
        assert [record.value for record in consume(broker.bootstrap, "kept")] == [b"before"]

        broker.pause()
        admin = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0})
        with pytest.raises(KafkaException):
            admin.list_topics(timeout=0.5)
        broker.resume()
        assert "kept" in admin.list_topics(timeout=30).topics
