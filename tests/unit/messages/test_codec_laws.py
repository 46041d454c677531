"""Decode after encode is identity; the quick way in and the thorough one agree."""

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from stream_app.messages import (
    COUNT_FIELDS,
    KINDS,
    MAX_TIME_MS,
    BadInput,
    Interaction,
    Post,
    decode_event,
    decode_interaction,
    decode_post,
    encode_event,
    encode_interaction,
    encode_post,
)
from stream_app.messages.decoding import WireDecoder
from stream_app.messages.post import PostMessage, decode_checked
from tests.builders import make_event, make_post

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
user_ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
platforms = st.from_regex(r"[a-z0-9_-]{1,32}", fullmatch=True)
times = st.integers(0, MAX_TIME_MS)
counts = st.none() | st.integers(0, 2**63 - 1)


@st.composite
def posts(draw: st.DrawFn) -> Post:
    created_at = draw(times)
    return Post(
        id=draw(ids),
        platform=draw(platforms),
        user_id=draw(user_ids),
        text=draw(texts),
        created_at=created_at,
        observed_at=draw(st.integers(created_at, MAX_TIME_MS)),
        lang=draw(st.none() | st.text("abz-", min_size=1, max_size=35)),
        follower_count=draw(counts),
        handle=draw(st.none() | texts),
        display_name=draw(st.none() | texts),
        url=draw(st.none() | texts),
        topics=tuple(draw(st.lists(ids, max_size=4))),
        **{f"{name}_count": draw(counts) for name in COUNT_FIELDS},
    )


interactions = st.builds(
    Interaction,
    id=ids,
    platform=platforms,
    kind=st.sampled_from(KINDS),
    actor_id=user_ids,
    target_user_id=user_ids,
    target_post_id=st.none() | ids,
    created_at=times,
)


@given(posts())
def test_a_post_survives_its_encoding(post: Post) -> None:
    assert decode_post(encode_post(post)) == post


@given(interactions)
def test_an_interaction_survives_its_encoding(interaction: Interaction) -> None:
    assert decode_interaction(encode_interaction(interaction)) == interaction


def test_an_event_survives_its_encoding() -> None:
    event = make_event(threshold=None, percentile=None, tier=None, from_tier="kol", kind="demoted")
    assert decode_event(encode_event(event)) == event


def test_unknown_counts_are_left_out_of_the_canonical_form() -> None:
    assert json.loads(encode_post(make_post(like_count=0))).keys() == {
        "id",
        "platform",
        "user_id",
        "text",
        "created_at",
        "like_count",
    }


def test_a_post_of_an_older_version_still_decodes() -> None:
    old = b'{"id":"1","platform":"weibo","user_id":"2","text":"\xe4\xbd\xa0","created_at":0}'
    assert decode_post(old).key == "weibo:2"


junk: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.sampled_from(
        [2**63, 2**63 - 1, -1, 0, 1.0, "", "2014-07-01T12:00:00Z", "a\n", "A", "\x85"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
FIELD_NAMES = st.sampled_from([*PostMessage.__struct_encode_fields__, "unknown"])
_decoder = WireDecoder(PostMessage)


def outcome(decode: Any, data: bytes) -> object:
    try:
        return decode(data)
    except BadInput as bad:
        return (bad.reason, bad.detail)


def judged_alike(data: bytes) -> bool:
    by_field = outcome(_decoder._decode_field_by_field, data)
    quick_post, checked_post = outcome(decode_post, data), outcome(decode_checked, data)
    return outcome(_decoder, data) == by_field and quick_post == checked_post


@given(posts(), st.dictionaries(FIELD_NAMES, junk, max_size=3))
def test_both_ways_in_judge_changed_fields_alike(post: Post, changes: dict[str, Any]) -> None:
    data = json.dumps(json.loads(encode_post(post)) | changes).encode()
    assert judged_alike(data)


@given(posts(), st.data())
def test_both_ways_in_judge_damaged_bytes_alike(post: Post, data: st.DataObject) -> None:
    damaged = bytearray(encode_post(post))
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, len(damaged) - 1))
        damaged[where : where + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=2) | st.sampled_from([b'"', b"\\", b"{", b"]", b",", b"e", b"-"])
        )
        if not damaged:
            return
    assert judged_alike(bytes(damaged))


@given(st.binary(min_size=1, max_size=40))
@example(b'{"id":"\\ud800"}')
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    assert judged_alike(data)
