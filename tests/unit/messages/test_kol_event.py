import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.messages import (
    BadInput,
    Cause,
    decode_event,
    encode_event,
    event_headers,
    event_id,
)
from tests.builders import make_event

RECORD = Cause(type="post", topic="posts", partition=1, offset=7, post_id="p")
LINE = Cause(type="threshold", threshold_version=7)


def test_the_same_transition_has_the_same_id_for_good() -> None:
    # Pinned: ids may not change between releases, or a replay after an update sends new ones.
    assert event_id("twitter:u1", RECORD, "kol", None) == "571f1178ad3397349175080a116a5b9e"


def test_an_id_does_not_depend_on_how_a_replay_names_the_cause() -> None:
    renamed = msgspec.structs.replace(RECORD, type="observation", post_id="q")
    assert event_id("k", renamed, "kol", None) == event_id("k", RECORD, "kol", None)


@given(st.sets(st.tuples(*[st.text(max_size=3)] * 2, st.integers(0, 3)), min_size=2, max_size=2))
def test_different_transitions_have_different_ids(two: set[tuple[str, str, int]]) -> None:
    ids = {
        event_id(key, Cause(type="post", topic=topic, partition=0, offset=offset), "kol", None)
        for key, topic, offset in two
    }
    assert len(ids) == 2


def test_tiers_and_the_kind_of_cause_tell_ids_apart() -> None:
    ids = [
        event_id("k", RECORD, "kol", None),
        event_id("k", RECORD, None, "kol"),
        event_id("k", RECORD, "top", "kol"),
        event_id("k", LINE, "kol", None),
    ]
    assert len(set(ids)) == len(ids)


def test_headers_are_cloudevents_in_kafka_s_binary_mode() -> None:
    event = make_event()
    assert event_headers(event, "my-app") == [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.event_id.encode()),
        ("ce_source", b"/kol-stream/my-app"),
        ("ce_type", b"kol.promoted.v1"),
        ("ce_time", b"2014-07-01T12:00:00.000Z"),
        ("ce_subject", b"twitter:u1"),
        ("content-type", b"application/json"),
    ]


def test_nulls_are_written_out_but_not_in_the_cause() -> None:
    value = json.loads(encode_event(make_event(cause=LINE, percentile=None)))
    assert value["percentile"] is None
    assert value["from_tier"] is None
    assert value["cause"] == {"type": "threshold", "threshold_version": 7}


def test_a_cause_has_exactly_the_fields_of_its_type() -> None:
    follow = Cause(type="interaction", topic="interactions", partition=0, offset=0, post_id=None)
    found = [
        json.loads(encode_event(make_event(cause=cause)))["cause"]
        for cause in (RECORD, follow, LINE)
    ]
    assert found == [
        {"type": "post", "topic": "posts", "partition": 1, "offset": 7, "post_id": "p"},
        {
            "type": "interaction",
            "topic": "interactions",
            "partition": 0,
            "offset": 0,
            "post_id": None,
        },
        {"type": "threshold", "threshold_version": 7},
    ]
    for cause in (RECORD, follow, LINE):
        assert decode_event(encode_event(make_event(cause=cause))).cause == cause


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(BadInput, match="missing-field: event_id"):
        decode_event(b"{}")
