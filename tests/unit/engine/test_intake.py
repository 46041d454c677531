"""What to do with a record."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.engine.intake import (
    MAX_SKEW_MS,
    Accepted,
    Intake,
    Misplaced,
    OfAnotherApp,
    Rejected,
    header,
)
from stream_app.messages import Interaction, Post, partition_of
from tests.builders import NOON, make_interaction, make_post
from tests.unit.engine.stand_ins import PARTITIONS, TOPICS, Broker

INTAKE = Intake(TOPICS, PARTITIONS, "kol")
HOME = partition_of(b"twitter:u1", PARTITIONS)


def read(event: Any, **changes: Any) -> Any:
    return INTAKE.read(Broker().append(event, **changes))


def accepted(event: Post | Interaction, **changes: Any) -> Accepted:
    found = read(event, **changes)
    assert isinstance(found, Accepted)
    return found


def test_a_record_is_read_by_its_topic() -> None:
    post, interaction = make_post(), make_interaction()
    found = accepted(post)
    assert (found.post, found.interaction, found.key) == (post, None, b"twitter:u1")
    found = accepted(interaction)
    assert (found.post, found.interaction, found.key) == (None, interaction, b"twitter:u1")
    assert not found.clamped


def test_the_key_of_the_record_is_not_trusted() -> None:
    record = Broker().append(make_post())
    record.key = b"somebody:else"
    found = INTAKE.read(record)
    assert isinstance(found, Accepted)
    assert found.key == b"twitter:u1"


@pytest.mark.parametrize("partition", range(PARTITIONS))
def test_what_another_app_has_forwarded_is_no_event_and_ones_own_is(partition: int) -> None:
    """It reads the original itself. Its cursors know nothing of what the other one forwarded."""
    marks = [("kol-forwarded", b"1"), ("kol-origin", b"posts/3/42")]
    others = read(make_post(), partition=partition, headers=[*marks, ("kol-app", b"kol-2")])
    assert isinstance(others, OfAnotherApp)
    own = read(make_post(), partition=partition, headers=[*marks, ("kol-app", b"kol")])
    assert isinstance(own, Accepted if partition == HOME else Rejected)


@pytest.mark.parametrize("partition", [n for n in range(PARTITIONS) if n != HOME])
def test_a_record_in_another_partition_is_misplaced(partition: int) -> None:
    assert read(make_post(), partition=partition) == Misplaced(b"twitter:u1", HOME)
    again = read(make_post(), partition=partition, headers=[("kol-forwarded", b"1")])
    assert isinstance(again, Rejected)
    assert again.reason == "wrong-partition"
    assert again.detail.startswith("user_id: ")
    again = read(make_interaction(), partition=partition, headers=[("kol-forwarded", b"1")])
    assert isinstance(again, Rejected)
    assert again.detail.startswith("target_user_id: ")


def test_a_bad_record_is_put_aside_where_it_stands() -> None:
    found = read(b'{"id":1}', partition=(HOME + 1) % PARTITIONS)
    assert isinstance(found, Rejected)
    assert (found.reason, found.detail.split(":")[0].split(" ")[0]) == ("invalid-field", "id")


@given(st.binary(max_size=40) | st.none(), st.sampled_from(["posts", "interactions"]))
def test_nothing_in_a_record_raises(value: bytes | None, topic: str) -> None:
    assert isinstance(read(value, topic=topic), Rejected)


def test_a_forwarded_record_names_its_origin() -> None:
    headers = [("kol-forwarded", b"1"), ("kol-origin", b"posts/3/42")]
    assert accepted(make_post(), headers=headers).origin == ("posts/3", 42)
    assert accepted(make_post(), headers=headers[1:]).origin is None
    for origin in (b"", b"posts", b"posts/x/1", b"posts/1/x", b"\xff/1/1"):
        headers[1] = ("kol-origin", origin)
        assert accepted(make_post(), headers=headers).origin is None
    assert accepted(make_post(), headers=headers[:1]).origin is None


@pytest.mark.parametrize("origin", [b"other/1/42", b"posts/4/42", b"posts/-1/42", b"posts/1/-1"])
def test_an_origin_that_no_worker_has_written_is_none(origin: bytes) -> None:
    """Each origin has its place in the reserved row, which must not grow without end."""
    headers = [("kol-forwarded", b"1"), ("kol-origin", origin)]
    assert accepted(make_post(), headers=headers).origin is None


def test_headers_come_as_pairs_or_as_a_mapping() -> None:
    for headers in ([("a", b"1"), ("b", b"2")], {"a": b"1", "b": b"2"}):
        assert header(headers, "b") == b"2"
        assert header(headers, "c") is None
    assert header(None, "a") is None


# -- times later than the record's own


@pytest.mark.parametrize(
    ("created", "observed", "expected"),
    [
        (0, 0, (0, 0)),
        (MAX_SKEW_MS, MAX_SKEW_MS, (MAX_SKEW_MS, MAX_SKEW_MS)),
        (0, MAX_SKEW_MS + 1, (0, 0)),
        (MAX_SKEW_MS, MAX_SKEW_MS + 1, (MAX_SKEW_MS, MAX_SKEW_MS)),
        (MAX_SKEW_MS + 1, MAX_SKEW_MS + 9, (0, 0)),
        (-5, MAX_SKEW_MS + 9, (-5, 0)),
    ],
)
def test_a_time_later_than_the_record_by_five_minutes_becomes_the_records(
    created: int, observed: int, expected: tuple[int, int]
) -> None:
    post = make_post(created_at=NOON + created, observed_at=NOON + observed)
    found = accepted(post, timestamp_ms=NOON)
    assert found.post is not None
    times = (found.post.created_at - NOON, found.post.observed_at - NOON)
    assert times == expected
    assert found.clamped == (times != (created, observed))
    assert found.event_time == found.post.observed_at


def test_interactions_are_clamped_alike() -> None:
    for late, clamped in ((MAX_SKEW_MS, False), (MAX_SKEW_MS + 1, True)):
        found = accepted(make_interaction(created_at=NOON + late), timestamp_ms=NOON)
        assert found.clamped is clamped
        assert found.event_time == (NOON if clamped else NOON + late)


def test_a_record_without_a_timestamp_is_clamped_to_the_first_time_there_is() -> None:
    """Kafka then says -1; nothing may be older than 1970, nor move the high mark by chance."""
    record = Broker().append(make_post())
    record.timestamp = -0.001
    found = INTAKE.read(record)
    assert isinstance(found, Accepted)
    assert found.clamped
    assert found.post is not None
    assert (found.post.created_at, found.post.observed_at) == (0, 0)
