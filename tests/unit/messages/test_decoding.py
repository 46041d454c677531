"""What a value must be to count as a post, field by field, reason by reason."""

import json
from typing import Any

import pytest

from stream_app.messages import (
    MAX_NESTING,
    MAX_VALUE_BYTES,
    REASONS,
    BadInput,
    decode_interaction,
    decode_post,
)
from tests.builders import NOON

GOOD: dict[str, Any] = {
    "id": "p1",
    "platform": "twitter",
    "user_id": "u1",
    "text": "hello",
    "created_at": "2014-07-01T12:00:00Z",
}


def value(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def raw(field: str, text: str) -> bytes:
    """GOOD with the field's value written as `text`, valid JSON or not."""
    return json.dumps(GOOD | {field: "@@"}).replace('"@@"', text).encode()


def without(field: str) -> bytes:
    return json.dumps({name: v for name, v in GOOD.items() if name != field}).encode()


def refusal(data: bytes | None) -> BadInput:
    with pytest.raises(BadInput) as caught:
        decode_post(data)
    assert caught.value.reason in REASONS
    assert caught.value.detail.isascii()
    assert "\n" not in caught.value.detail
    return caught.value


BAD_FIELDS: list[tuple[str, object]] = [
    ("id", 5),
    ("id", None),
    ("id", ""),
    ("id", "x" * 513),
    ("platform", ""),
    ("platform", "Twitter"),
    ("platform", "a:b"),
    ("platform", "x" * 33),
    ("platform", "twitter\n"),
    ("user_id", ""),
    ("user_id", "x" * 257),
    ("user_id", "a\u0000b"),
    ("user_id", "a\u009fb"),
    ("user_id", "a\x7f"),
    ("user_id", "a\n"),
    ("user_id", 7),
    ("text", "x" * 100_001),
    ("text", None),
    ("text", ["a"]),
    ("created_at", None),
    ("created_at", True),
    ("created_at", "yesterday"),
    ("created_at", "2014-07-01T12:00:00"),
    ("created_at", -1),
    ("created_at", 4_133_980_800_000),
    ("created_at", 1.5e12),
    ("created_at", 1404216000000.0),
    ("created_at", "1404216000000"),
    ("created_at", 10**30),
    ("created_at", "1969-12-31T23:59:59.999Z"),
    ("created_at", "2101-01-01T00:00:00Z"),
    ("observed_at", "soon"),
    ("observed_at", -1),
    ("lang", ""),
    ("lang", "x" * 36),
    ("follower_count", -1),
    ("follower_count", "5"),
    ("follower_count", 1.0),
    ("follower_count", True),
    ("follower_count", 2**63),
    ("follower_count", 2**64),
    ("follower_count", 10**25),
    ("follower_count", -(10**25)),
    ("like_count", 2**64 - 1),
    ("reply_count", 1e3),
    ("repost_count", {}),
    ("quote_count", []),
    ("save_count", False),
    ("view_count", "many"),
    ("handle", "x" * 2_049),
    ("display_name", 3),
    ("url", "x" * 2_049),
    ("topics", "news"),
    ("topics", [""]),
    ("topics", ["x" * 129]),
    ("topics", ["x"] * 65),
    ("topics", [None]),
    ("topics", {}),
]


@pytest.mark.parametrize(("field", "bad"), BAD_FIELDS)
def test_a_field_outside_its_limits_is_named(field: str, bad: object) -> None:
    refused = refusal(value(**{field: bad}))
    assert refused.reason == "invalid-field"
    assert refused.detail.startswith(f"{field}: ")


@pytest.mark.parametrize("field", ["like_count", "follower_count", "created_at", "observed_at"])
@pytest.mark.parametrize("number", ["1e3", "1E3", "10e-1", "-0.0", "1.0", "1e400"])
def test_a_number_with_fraction_or_exponent_is_no_integer(field: str, number: str) -> None:
    refused = refusal(raw(field, number))
    assert refused.reason == "invalid-field"
    assert refused.detail.startswith(f"{field}: ")


AT_THEIR_LIMITS: list[tuple[str, object]] = [
    ("id", "x"),
    ("id", "😀" * 512),
    ("platform", "a"),
    ("platform", "az09_-" + "x" * 26),
    ("user_id", "x"),
    ("user_id", "界" * 256),
    ("user_id", "\u2028 \u00a0\u200b"),
    ("text", ""),
    ("text", "😀" * 100_000),
    ("text", "\u0000"),
    ("lang", "x"),
    ("lang", "x" * 35),
    ("handle", ""),
    ("handle", "😀" * 2_048),
    ("display_name", "😀" * 2_048),
    ("url", "😀" * 2_048),
    ("topics", ["x"] * 64),
    ("topics", ["😀" * 128]),
    ("created_at", 0),
    ("created_at", 4_133_980_799_999),
    ("observed_at", 4_133_980_799_999),
    ("follower_count", 2**63 - 1),
]


@pytest.mark.parametrize(
    ("field", "good"), AT_THEIR_LIMITS, ids=lambda value: value if isinstance(value, str) else None
)
def test_a_field_at_its_limits_is_accepted_as_it_is(field: str, good: object) -> None:
    found = getattr(decode_post(value(**{field: good})), field)
    assert found == (tuple(good) if isinstance(good, list) else good)


@pytest.mark.parametrize("field", ["id", "user_id", "text", "handle", "lang", "url"])
@pytest.mark.parametrize("escaped", ["\\ud800", "\\udc00", "\\ud800\\u0041", "\\udc00\\ud800"])
def test_a_lone_surrogate_in_a_known_field_is_an_invalid_field(field: str, escaped: str) -> None:
    refused = refusal(raw(field, f'"a{escaped}"'))
    assert refused.reason == "invalid-field"
    assert refused.detail.startswith(f"{field}: ")


def test_a_lone_surrogate_in_a_topic_is_an_invalid_field() -> None:
    assert refusal(raw("topics", r'["ok", "\udfff"]')).detail.startswith("topics: ")


@pytest.mark.parametrize("field", list(GOOD))
def test_a_required_field_that_is_absent_is_a_missing_field(field: str) -> None:
    refused = refusal(without(field))
    assert refused.reason == "missing-field"
    assert refused.detail.startswith(f"{field}: ")


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinity_are_not_json_and_named_where_they_stand(constant: str) -> None:
    refused = refusal(raw("like_count", constant))
    assert refused.reason == "invalid-json"
    assert refused.detail == f"like_count: {constant} is not JSON"
    assert refusal(raw("ignored", f"[{constant}]")).detail == f"value: {constant} is not JSON"


NOT_JSON = {
    "nothing but space": b"  ",
    "cut off": value()[:-1],
    "two values": value() + b"{}",
    "trailing comma": value()[:-1] + b",}",
    "byte order mark": b"\xef\xbb\xbf" + value(),
    "utf-16": value().decode().encode("utf-16"),
    "invalid utf-8 in a known field": raw("text", '"@"').replace(b"@", b"\xff"),
    "invalid utf-8 in an ignored field": raw("x", '"@"').replace(b"@", b"\xff"),
    "invalid utf-8 in an ignored name": value(xyz=1).replace(b"xyz", b"\xc3\x28"),
    "a surrogate in utf-8": raw("text", '"@"').replace(b"@", b"\xed\xa0\x80"),
    "overlong utf-8": raw("text", '"@"').replace(b"@", b"\xc0\xaf"),
    "invalid utf-8 after the object": value() + b"\xff",
    "control character in a string": raw("text", '"a\x01"'),
    "line feed in a string": raw("text", '"a\n"'),
    "unknown escape": raw("text", r'"\q"'),
    "leading zero": raw("like_count", "01"),
    "plus sign": raw("like_count", "+1"),
    "single quotes": b"{'id': 'p1'}",
    "nul after the object": value() + b"\x00",
    "array": b"[]",
    "string": b'"post"',
    "number": b"5",
    "null": b"null",
    "nesting without end": b"[" * 100_000,
    "nesting in an ignored field": raw("x", "[" * 1_000 + "]" * 1_000),
    "nesting of objects": raw("x", '{"a":' * 1_000 + "1" + "}" * 1_000),
}


@pytest.mark.parametrize("data", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_not_one_json_object_in_utf_8_is_invalid_json(data: bytes) -> None:
    refused = refusal(data)
    assert refused.reason == "invalid-json"
    assert refused.detail.startswith("value: ")


@pytest.mark.parametrize("data", [None, b""])
def test_a_record_without_a_value_is_empty(data: bytes | None) -> None:
    assert refusal(data).reason == "empty"


def test_a_value_larger_than_any_valid_one_is_too_large() -> None:
    padded = raw("x", '"' + "a" * MAX_VALUE_BYTES + '"')
    assert refusal(padded).reason == "too-large"


def test_the_largest_valid_post_is_accepted_however_it_is_escaped() -> None:
    escaped = json.dumps(
        GOOD | {"text": "😀" * 100_000, "topics": ["😀" * 128] * 64, "url": "😀" * 2_048}
    )
    assert len(decode_post(escaped.encode()).text) == 100_000


def test_nesting_up_to_the_limit_is_ignored_with_its_field() -> None:
    depth = MAX_NESTING - 1  # the post itself is one level
    assert decode_post(raw("x", "[" * depth + "]" * depth)).id == "p1"
    assert refusal(raw("x", "[" * (depth + 1) + "]" * (depth + 1))).reason == "invalid-json"


def test_brackets_within_texts_are_no_nesting() -> None:
    text = '[{\\"' * 1_000
    assert decode_post(raw("text", f'"{text}"')).text == '[{"' * 1_000


def test_null_in_an_optional_field_is_as_good_as_absent() -> None:
    optional = dict.fromkeys(
        ("observed_at", "lang", "follower_count", "like_count", "url", "topics")
    )
    assert decode_post(value(**optional)) == decode_post(value())


def test_zero_is_a_count_and_not_unknown() -> None:
    post = decode_post(value(like_count=0, follower_count=0))
    assert (post.like_count, post.follower_count, post.view_count) == (0, 0, None)


@pytest.mark.parametrize("field", ["follower_count", "view_count"])
def test_the_largest_count_is_accepted(field: str) -> None:
    assert getattr(decode_post(value(**{field: 2**63 - 1})), field) == 2**63 - 1


def test_unknown_fields_are_ignored_whatever_they_hold() -> None:
    for text in (r'"\ud800"', "1e999", "9" * 6_000, '{"id": 5}', "[null, 1.0]"):
        assert decode_post(raw("surprise", text)) == decode_post(value())
    assert decode_post(value(**{"\udc00": 1})) == decode_post(value())


@pytest.mark.parametrize("first", ['"a"', "5", "null", r'"\ud800"', "1.0", "[]"])
def test_of_duplicate_fields_the_last_wins(first: str) -> None:
    data = f'{{"id": {first}, '.encode() + value(id="last")[1:]
    assert decode_post(data).id == "last"


def test_a_bad_last_duplicate_is_not_saved_by_a_good_first() -> None:
    assert refusal(value()[:-1] + b', "id": 5}').detail.startswith("id: ")
    assert decode_post(value(like_count=5)[:-1] + b', "like_count": null}').like_count is None


def test_a_name_written_with_escapes_is_the_same_name() -> None:
    assert decode_post(value().replace(b'"id"', rb'"\u0069d"')).id == "p1"


def test_an_empty_text_and_no_topics_are_fine() -> None:
    post = decode_post(value(text="", topics=[]))
    assert (post.text, post.topics) == ("", ())


def test_lengths_count_code_points() -> None:
    assert decode_post(value(user_id="界" * 256, id="😀" * 512)).user_id == "界" * 256


def test_times_may_be_epoch_milliseconds() -> None:
    assert decode_post(value(created_at=NOON)).created_at == NOON


def test_counts_were_read_at_creation_unless_told_otherwise() -> None:
    assert decode_post(value()).observed_at == NOON
    assert decode_post(value(observed_at="2014-07-01T12:00:01Z")).observed_at == NOON + 1_000


def test_an_observation_before_the_creation_counts_as_at_the_creation() -> None:
    assert decode_post(value(observed_at="2014-06-30T12:00:00Z")).observed_at == NOON


def test_the_first_bad_field_in_the_contract_s_order_is_the_one_named() -> None:
    assert refusal(value(like_count=-1, platform="X")).detail.startswith("platform: ")


@pytest.mark.parametrize(
    "part", [b'\\"', b'"a', b"\\", b"[", b'{"', b'"\\', b'":', b"\xf0\x9f\x98\x80"]
)
@pytest.mark.parametrize("start", [b"", b'"', b'{"x":"', b'{"x":'])
def test_junk_of_any_size_is_judged_in_linear_time(start: bytes, part: bytes) -> None:
    # A quadratic reader would sit here for hours.
    junk = start + part * ((MAX_VALUE_BYTES - len(start)) // len(part))
    assert refusal(junk).reason == "invalid-json"


def test_post_text_does_not_leak_into_the_detail() -> None:
    assert "secret" not in refusal(value(text="secret" * 20_000)).detail


INTERACTION: dict[str, Any] = {
    "id": "i1",
    "platform": "twitter",
    "kind": "like",
    "actor_id": "a",
    "target_user_id": "t",
    "created_at": NOON,
}


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("kind", "love"),
        ("kind", "Like"),
        ("kind", None),
        ("actor_id", ""),
        ("actor_id", "a\t"),
        ("target_user_id", "x" * 257),
        ("target_post_id", ""),
        ("created_at", "now"),
    ],
)
def test_a_bad_field_of_an_interaction_is_named(field: str, bad: object) -> None:
    with pytest.raises(BadInput) as caught:
        decode_interaction(json.dumps(INTERACTION | {field: bad}).encode())
    assert caught.value.reason == "invalid-field"
    assert caught.value.detail.startswith(f"{field}: ")


@pytest.mark.parametrize("field", list(INTERACTION))
def test_all_fields_of_an_interaction_but_its_post_are_required(field: str) -> None:
    rest = {name: v for name, v in INTERACTION.items() if name != field}
    with pytest.raises(BadInput, match=f"^missing-field: {field}: "):
        decode_interaction(json.dumps(rest).encode())


def test_an_interaction_may_name_no_post() -> None:
    got = decode_interaction(json.dumps(INTERACTION | {"target_post_id": None}).encode())
    assert (got.target_post_id, got.key, got.event_time) == (None, "twitter:t", NOON)
