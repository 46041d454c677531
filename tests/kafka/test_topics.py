from __future__ import annotations

import asyncio

import pytest

from stream_app.engine.admin import Admin
from stream_app.engine.topics import (
    DEAD_LETTER_ROOM_BYTES,
    MAX_MESSAGE_BYTES,
    check_topics,
    create_topics,
    topic_ids,
    topic_names,
    topic_table,
)
from stream_app.errors import BrokerError, TopicsError
from stream_app.settings import Settings, load_settings
from tests.kafka.broker import KafkaBroker, free_port
from tests.kafka.clients import delete_topic, make_topic, partitions


@pytest.fixture
def settings(kafka: KafkaBroker, prefix: str) -> Settings:
    return load_settings(broker=kafka.bootstrap, prefix=prefix, app_id="app", partitions=3)


def test_creating_makes_every_topic_of_the_table_and_again_makes_none(settings: Settings) -> None:
    names = [spec.name for spec in topic_table(settings)]

    assert asyncio.run(create_topics(settings)) == names
    asyncio.run(check_topics(settings))
    assert asyncio.run(create_topics(settings)) == []
    counts = [len(partitions(settings.broker, name)) for name in names]
    assert counts == [3, 3, 3, 1, 1, 3, 1, 3]


def test_partitions_cleanup_and_record_sizes_at_the_broker_are_those_of_the_contract(
    kafka: KafkaBroker, prefix: str
) -> None:
    settings = load_settings(broker=kafka.bootstrap, prefix=prefix, app_id="app")
    asyncio.run(create_topics(settings))
    due = {
        "posts": (8, "delete"),
        "interactions": (8, "delete"),
        "kol-events": (8, "delete"),
        "posts-dlq": (1, "delete"),
        "kol-snapshots": (1, "compact"),
        "kol-thresholds": (8, "compact"),
        "kol-rankings": (1, "compact"),
        "app-users-changelog": (8, "compact"),
    }
    names = [prefix + name for name in due]
    found = Admin(load_settings(broker=kafka.bootstrap), 10.0).describe(names)
    assert {
        name: (topic.partitions, topic.config["cleanup.policy"]) for name, topic in found.items()
    } == {prefix + name: shape for name, shape in due.items()}
    most = {name: int(topic.config["max.message.bytes"]) for name, topic in found.items()}
    assert most[f"{prefix}posts-dlq"] - most[f"{prefix}posts"] == 64 * 1024


def test_only_what_is_missing_is_made(settings: Settings) -> None:
    names = topic_names(settings)
    make_topic(settings.broker, names.dead_letters, 5, max_message_bytes="2000000")

    made = asyncio.run(create_topics(settings))
    assert names.dead_letters not in made
    assert len(made) == 7


def test_a_wrong_number_of_partitions_is_refused_before_anything_is_made(
    settings: Settings,
) -> None:
    names = topic_names(settings)
    make_topic(settings.broker, names.posts, 4)

    with pytest.raises(TopicsError) as error:
        asyncio.run(create_topics(settings))
    line = str(error.value)
    assert f"{names.posts} has 4 instead of 3 partitions: set KOL_PARTITIONS=4" in line
    assert "\n" not in line
    with pytest.raises(TopicsError, match="missing"):
        asyncio.run(topic_ids(settings, [names.interactions]))


def test_every_misfit_is_named_at_once(settings: Settings) -> None:
    names = topic_names(settings)
    make_topic(settings.broker, names.posts, 3, cleanup_policy="compact")
    make_topic(settings.broker, names.interactions, 2)
    make_topic(settings.broker, names.changelog, 3, cleanup_policy="compact,delete")
    make_topic(settings.broker, names.dead_letters, 1)

    with pytest.raises(TopicsError) as error:
        asyncio.run(check_topics(settings))
    line = str(error.value)
    assert f"{names.interactions} has 2 instead of 3 partitions: delete them" in line
    assert f"{names.posts} has cleanup.policy=compact instead of delete" in line
    assert f"--topic {names.changelog} --add-config cleanup.policy=compact`" in line
    assert f"{names.dead_letters} takes records of {MAX_MESSAGE_BYTES} instead of" in line
    assert f"max.message.bytes={MAX_MESSAGE_BYTES + DEAD_LETTER_ROOM_BYTES}`" in line
    assert f"{names.rankings} missing: run `kol topics create`" in line


def test_the_dead_letter_topic_has_room_for_what_larger_sources_take(settings: Settings) -> None:
    make_topic(settings.broker, topic_names(settings).posts, 3, max_message_bytes="3000000")
    asyncio.run(create_topics(settings))
    asyncio.run(check_topics(settings))


def test_a_topic_made_again_has_another_id(settings: Settings) -> None:
    asyncio.run(create_topics(settings))
    names = topic_names(settings)
    wanted = [names.posts, names.interactions]

    before = asyncio.run(topic_ids(settings, wanted))
    assert asyncio.run(topic_ids(settings, wanted)) == before
    delete_topic(settings.broker, names.posts)
    asyncio.run(create_topics(settings))
    after = asyncio.run(topic_ids(settings, wanted))
    assert after[names.posts] != before[names.posts]
    assert after[names.interactions] == before[names.interactions]
    assert all(before.values())


def test_two_who_create_at_once_both_find_every_topic(settings: Settings) -> None:
    async def both() -> None:
        await asyncio.gather(create_topics(settings), create_topics(settings))

    asyncio.run(both())
    asyncio.run(check_topics(settings))


def test_a_name_that_kafka_does_not_take_is_the_brokers_refusal(kafka: KafkaBroker) -> None:
    settings = load_settings(broker=kafka.bootstrap, prefix="p" * 200, app_id="a" * 200)
    with pytest.raises(TopicsError, match="refuses"):
        asyncio.run(create_topics(settings))


def test_a_broker_out_of_reach_is_one_line_that_says_so() -> None:
    settings = load_settings(broker=f"127.0.0.1:{free_port()}")
    with pytest.raises(BrokerError) as error:
        asyncio.run(check_topics(settings, timeout_s=0.5))
    assert "Connection refused" in str(error.value)
    assert "KOL_BROKER" in str(error.value)
    assert "\n" not in str(error.value)
