"""The replayer on the embedded broker: what it sends, where, in which order and how fast."""

import threading
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from stream_app.embedded import PRODUCE, EmbeddedBroker
from stream_app.errors import BrokerError
from stream_app.messages import Post, decode_interaction, decode_post, partition_of
from stream_app.settings import Settings, load_settings
from stream_app.sources.group_lag import GroupLag
from stream_app.sources.replay import Pace, Replayer
from tests.builders import NOON, make_interaction, make_post

PARTITIONS = 3
MESSAGE_SIZE_TOO_LARGE, TOPIC_AUTHORIZATION_FAILED = 10, 29


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        for topic in ("posts", "interactions"):
            running.create_topic(topic, PARTITIONS)
        yield running


@pytest.fixture
def settings(broker: EmbeddedBroker) -> Settings:
    return load_settings(broker=broker.bootstrap, partitions=PARTITIONS)


def make_posts(count: int) -> list[Post]:
    return [make_post(id=f"p{i}", user_id=f"u{i % 7}", created_at=NOON + i) for i in range(count)]


def records(settings: Settings, topic: str) -> dict[int, list[tuple[bytes, bytes]]]:
    """Partition -> (key, value) of every record."""
    consumer = Consumer(
        {"bootstrap.servers": settings.broker, "group.id": "test", "fetch.wait.max.ms": 20}
    )
    found: dict[int, list[tuple[bytes, bytes]]] = {}
    for number in range(PARTITIONS):
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=5)
        consumer.assign([TopicPartition(topic, number, 0)])
        found[number] = []
        while len(found[number]) < end:
            message = consumer.poll(5)
            assert message is not None
            key, value = message.key(), message.value()
            assert key is not None
            assert value is not None
            found[number].append((key, value))
    consumer.close()
    return found


def commit(settings: Settings, offsets: dict[int, int], topic: str = "posts") -> None:
    consumer = Consumer({"bootstrap.servers": settings.broker, "group.id": settings.app_id})
    places = [TopicPartition(topic, number, offset) for number, offset in offsets.items()]
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()


def test_posts_arrive_unchanged_in_order_in_their_users_partition(settings: Settings) -> None:
    posts = make_posts(200)
    replayer = Replayer(settings)
    replayer.run(posts)
    found = records(settings, "posts")
    assert replayer.delivered == 200
    for number, arrived in found.items():
        here = [post for post in posts if partition_of(post.key.encode(), PARTITIONS) == number]
        assert [decode_post(value) for _, value in arrived] == here
        assert [key.decode() for key, _ in arrived] == [post.key for post in here]


def test_interactions_go_to_their_own_topic_under_their_targets_key(settings: Settings) -> None:
    interaction = make_interaction()
    Replayer(settings).run([interaction])
    number = partition_of(interaction.key.encode(), PARTITIONS)
    ((key, value),) = records(settings, "interactions")[number]
    assert key == interaction.key.encode()
    assert decode_interaction(value) == interaction


def test_posts_and_interactions_are_counted_apart_when_delivered(settings: Settings) -> None:
    replayer = Replayer(settings)
    replayer.run([*make_posts(5), make_interaction(), make_interaction(id="i2")])
    assert (replayer.delivered, replayer.delivered_interactions) == (7, 2)


def test_names_of_topics_begin_with_the_prefix(broker: EmbeddedBroker) -> None:
    broker.create_topic("test-posts", PARTITIONS)
    settings = load_settings(broker=broker.bootstrap, prefix="test-")
    Replayer(settings).run(make_posts(3))
    assert sum(map(len, records(settings, "test-posts").values())) == 3


def test_progress_is_what_the_broker_has_acknowledged(settings: Settings) -> None:
    seen: list[int] = []
    Replayer(settings, on_delivered=seen.append).run(make_posts(50))
    assert seen == sorted(seen)
    assert seen[-1] == 50


def test_a_refused_post_ends_the_replay_with_its_reason(
    broker: EmbeddedBroker, settings: Settings
) -> None:
    broker.push_request_errors(PRODUCE, [TOPIC_AUTHORIZATION_FAILED] * PARTITIONS)
    with pytest.raises(BrokerError, match="could not be delivered"):
        Replayer(settings).run(make_posts(5))


def test_a_lost_broker_ends_the_replay_when_patience_is_over(broker: EmbeddedBroker) -> None:
    settings = load_settings(broker=broker.bootstrap, broker_timeout=1.0)
    broker.set_down(True)
    with pytest.raises(BrokerError, match="could not be delivered"):
        Replayer(settings).run(make_posts(5))


def test_a_post_too_large_for_the_broker_is_counted_and_the_others_arrive(
    settings: Settings,
) -> None:
    huge = make_post(id="huge", text="\x01" * 200_000)  # 1.2 MB as JSON
    replayer = Replayer(settings)
    replayer.run([*make_posts(2), huge, make_post(id="last")])
    assert (replayer.delivered, replayer.too_large) == (3, 1)


def test_a_replay_that_is_stopped_ends_early(settings: Settings) -> None:
    stop = threading.Event()
    taken = 0

    def posts() -> Iterator[Post]:
        nonlocal taken
        for taken, post in enumerate(make_posts(1_000), start=1):
            if taken == 10:
                stop.set()
            yield post

    replayer = Replayer(settings, stop=stop)
    replayer.run(posts())
    assert taken == 10
    assert replayer.delivered == 9


def test_a_throttled_replay_never_runs_further_ahead_than_allowed(settings: Settings) -> None:
    posts = make_posts(60)
    replayer = Replayer(settings, max_lag=20)
    thread = threading.Thread(target=replayer.run, args=(posts,))
    thread.start()
    with GroupLag(settings) as lag:
        while lag.records() < 20:
            assert thread.is_alive()
        while replayer.delivered < 60:
            ends = lag.ends("posts")
            assert lag.records() <= 20
            commit(settings, ends)  # the workers catch up
        thread.join(10)
    assert not thread.is_alive()


def test_interactions_count_as_much_as_posts_for_how_far_ahead_a_replay_runs(
    settings: Settings,
) -> None:
    mixed = [
        event
        for n, post in enumerate(make_posts(20))
        for event in (post, make_interaction(id=f"i{n}", target_user_id=post.user_id))
    ]
    replayer = Replayer(settings, max_lag=10)
    thread = threading.Thread(target=replayer.run, args=(mixed,))
    thread.start()
    with GroupLag(settings) as lag:
        while replayer.delivered < 40:
            assert thread.is_alive() or replayer.delivered == 40
            assert lag.records() <= 10
            for topic in ("posts", "interactions"):
                commit(settings, lag.ends(topic), topic)
        thread.join(10)
    assert (replayer.delivered_interactions, thread.is_alive()) == (20, False)


def test_the_lag_is_all_there_is_until_the_group_commits(settings: Settings) -> None:
    Replayer(settings).run(make_posts(30))
    with GroupLag(settings) as lag:
        assert lag.records() == 30
        ends = lag.ends("posts")
        assert sum(ends.values()) == 30
        commit(settings, ends)
        assert lag.records() == 0


@given(st.floats(0.01, 1e6), st.integers(0, 10**10))
def test_events_are_due_as_far_apart_as_they_happened_by_the_speed(speed: float, gap: int) -> None:
    clock = Clock()
    pace = Pace(speed, clock)
    assert pace.wait_s(NOON) == 0
    assert pace.wait_s(NOON + gap) == pytest.approx(gap / 1_000 / speed)
    clock.now += 5
    assert pace.wait_s(NOON + gap) == pytest.approx(gap / 1_000 / speed - 5)


def test_without_a_speed_everything_is_due_at_once() -> None:
    pace = Pace(None)
    assert pace.wait_s(NOON) == pace.wait_s(NOON + 10**9) == 0


def test_a_broker_that_is_the_slower_one_holds_up_the_reading(
    broker: EmbeddedBroker, settings: Settings
) -> None:
    taken = waited = 0
    stop = threading.Event()
    text = "x" * 100_000

    def large() -> Iterator[Post]:
        nonlocal taken, waited
        while taken < 2_000:  # 200 MB
            taken, waited = taken + 1, 0
            yield make_post(id=f"p{taken}", text=text)

    def count_waiting(_delivered: int) -> None:
        nonlocal waited
        waited += 1
        if waited == 5:
            stop.set()

    broker.set_down(True)
    Replayer(settings, on_delivered=count_waiting, stop=stop).run(large())
    assert 600 < taken < 700, "64 MiB wait for the broker, and no more"
