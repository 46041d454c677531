"""Dead letters in words and in lines, and what a corrected line must say to be sent."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.cli.dlq.filters import Wanted
from stream_app.cli.dlq.letter import Letter
from stream_app.cli.dlq.lines import corrected, letter_json
from stream_app.cli.dlq.resend import Outgoing, judged, outgoing
from stream_app.cli.dlq.wording import escaped, excerpt, letter_line, tally
from stream_app.messages import BadInput, encode_interaction, encode_post
from stream_app.settings import Settings, load_settings
from stream_app.sources import BadLine
from tests.builders import make_interaction, make_post

PRIVATE = "What nobody but the reader of the post should see."
POST = encode_post(make_post(text=PRIVATE))
OWN = {
    "reason": b"invalid-field",
    "detail": b"like_count: expected `int`, got `str` (value: '5')",
    "topic": b"posts",
    "partition": b"3",
    "offset": b"42",
    "at": b"2026-07-01T12:00:00.123Z",
}


def make_letter(
    *,
    value: bytes | None = POST,
    key: bytes | None = b"twitter:u1",
    time_ms: int = 0,
    headers: Iterable[tuple[str, bytes | None]] = (),
    **own: bytes,
) -> Letter:
    said = [(f"dlq-{name}", content) for name, content in (OWN | own).items()]
    return Letter.of("posts-dlq/0/7", time_ms, key, value, [*headers, *said])


def line_of(letter: Letter, **changes: Any) -> bytes:
    return json.dumps(json.loads(letter_json(letter)) | changes).encode()


# -- in words


def test_a_letter_is_one_line_that_says_when_why_where_and_what() -> None:
    assert letter_line(make_letter()) == (
        "2026-07-01 12:00:00  invalid-field    posts/3/42  key twitter:u1  "
        "like_count: expected `int`, got `str` (value: '5')  "
        "[id 'p1', platform 'twitter', user_id 'u1', created_at '2014-07-01T12:00:00.000Z', "
        f"text of 50 characters, {len(POST)} bytes]"
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "null"),
        (b"", "0 bytes"),
        (PRIVATE.encode(), "no JSON object, 50 bytes"),
        (b"\xff" + POST, f"no JSON object, {len(POST) + 1} bytes"),
        (json.dumps([PRIVATE]).encode(), "no JSON object, 54 bytes"),
        (json.dumps({"body": PRIVATE, "text": [PRIVATE]}).encode(), "126 bytes"),
        (b'{"id": {"x": 1}, "kind": "like"}', "id an object, kind 'like', 32 bytes"),
    ],
)
def test_the_excerpt_holds_ids_and_sizes_and_never_a_text(value: bytes | None, said: str) -> None:
    assert excerpt(make_letter(value=value)) == said


def test_a_value_that_was_too_large_to_be_kept_is_said_so() -> None:
    letter = make_letter(value=None, truncated=b"3000000")
    assert excerpt(letter) == "3,000,000 bytes, too many to be kept"
    assert json.loads(letter_json(letter))["truncated"] == 3_000_000


@given(st.binary(), st.binary(), st.binary(), st.binary())
def test_nothing_in_a_record_reaches_the_terminal_unescaped(
    key: bytes, value: bytes, detail: bytes, at: bytes
) -> None:
    line = letter_line(make_letter(key=key, value=value, detail=detail, at=at, topic=detail))
    assert line.isprintable()


def test_escapes_are_shown_and_every_script_is_kept() -> None:
    assert escaped("a\x1b[31m\u202e\n影响者") == r"a\x1b[31m\u202e\n影响者"


def test_a_long_key_is_cut() -> None:
    assert "key " + "k" * 60 + "…  " in letter_line(make_letter(key=b"k" * 61))


def test_a_record_that_no_worker_has_written_is_shown_too() -> None:
    foreign = Letter.of(
        "posts-dlq/0/7", 0, None, b"x", [("dlq-partition", b"-1"), ("dlq-at", None)]
    )
    assert foreign.source is None
    assert letter_line(foreign).startswith("-  -                -  key null  no reason given")


def test_the_tally_names_the_most_frequent_first() -> None:
    assert tally({}) == "no dead letters"
    assert tally({"empty": 1}) == "1 dead letter: 1 empty"
    assert tally({"empty": 1, "b": 2, "a": 2}) == "5 dead letters: 2 a, 2 b, 1 empty"


# -- which


def wanted(letters: list[Letter], **conditions: Any) -> list[int]:
    return [letter.time_ms for letter in Wanted(**conditions).of(letters)]


def test_filters_leave_what_meets_all_of_them() -> None:
    letters = [
        make_letter(time_ms=1, reason=b"empty"),
        make_letter(time_ms=2),
        make_letter(time_ms=3, topic=b"interactions"),
    ]
    assert wanted(letters) == [1, 2, 3]
    assert wanted(letters, reasons=("empty", "too-large")) == [1]
    assert wanted(letters, topic="posts") == [1, 2]
    assert wanted(letters, reasons=("invalid-field",), topic="interactions") == [3]


def test_the_last_are_the_newest_of_those_meant_in_order_of_time() -> None:
    letters = [make_letter(time_ms=t, topic=topic) for t, topic in ((5, b"posts"), (1, b"posts"))]
    letters += [make_letter(time_ms=t) for t in (3, 3, 2)] + [make_letter(time_ms=9, topic=b"x")]
    assert wanted(letters, topic="posts", last=3) == [3, 3, 5]


def test_since_counts_back_from_now() -> None:
    now_ms = round(time.time() * 1_000)
    letters = [make_letter(time_ms=now_ms - ago_s * 1_000) for ago_s in (7_200, 1_800)]
    assert wanted(letters, since=3_600.0) == [letters[1].time_ms]


# -- in lines


def test_a_line_has_text_where_it_is_text_and_base64_where_not() -> None:
    letter = make_letter(key=b"\xff", headers=[("trace", b"a"), ("raw", b"\x80"), ("none", None)])
    found = json.loads(letter_json(letter))
    assert found == {
        "topic": "posts",
        "partition": 3,
        "offset": 42,
        "reason": "invalid-field",
        "detail": OWN["detail"].decode(),
        "at": "2026-07-01T12:00:00.123Z",
        "letter": "posts-dlq/0/7",
        "key_base64": "/w==",
        "headers": [
            {"name": "trace", "value": "a"},
            {"name": "raw", "value_base64": "gA=="},
            {"name": "none", "value": None},
        ],
        "value": POST.decode(),
    }


def test_bytes_only_is_base64_throughout() -> None:
    found = json.loads(letter_json(make_letter(headers=[("trace", b"a")]), bytes_only=True))
    assert "value" not in found
    assert "key" not in found
    assert base64.b64decode(found["value_base64"]) == POST
    assert base64.b64decode(found["key_base64"]) == b"twitter:u1"
    assert found["headers"] == [{"name": "trace", "value_base64": "YQ=="}]


def test_bytes_only_is_safe_for_terminals_and_text_is_left_for_people_to_read() -> None:
    letter = make_letter(value="影".encode(), headers=[("\x9b31m\u202e", None)])
    assert letter_json(letter, bytes_only=True).decode("ascii").isprintable()
    assert '"value":"影"' in letter_json(letter).decode()


@given(st.none() | st.binary() | st.text().map(str.encode), st.booleans())
def test_a_line_gives_back_the_bytes_of_its_letter(value: bytes | None, bytes_only: bool) -> None:
    headers = [("a", value), ("b", b"\xff"), ("c", None)]
    line = letter_json(make_letter(value=value, headers=headers), bytes_only=bytes_only)
    assert b"\n" not in line
    found = corrected(line)
    assert (found.topic, found.source) == ("posts", "posts/3/42")
    assert found.value == value
    assert found.headers == headers


def test_a_value_may_be_the_object_itself() -> None:
    line = letter_json(make_letter()).replace(json.dumps(POST.decode()).encode(), POST)
    assert corrected(line).value == POST


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"value": 5}, "value: expected an object"),
        ({"value": [1]}, "value: expected an object"),
        ({"value_base64": "e30="}, "value: there is value_base64 too"),
        ({"value": None, "value_base64": "no base64"}, "value_base64: not base64"),
        ({"value": None, "value_base64": "é"}, "value_base64: not base64"),
        ({"offset": -1}, "offset: expected"),
        ({"topic": None}, "topic: expected"),
        ({"headers": [{"value": "a"}]}, "headers[0].name: required"),
        ({"value": "\ud800"}, "value: "),
        ({"value": "\udc00x"}, "value: "),
    ],
)
def test_a_line_that_cannot_be_meant_says_why(changes: dict[str, Any], detail: str) -> None:
    with pytest.raises(BadInput) as caught:
        corrected(line_of(make_letter(), **changes))
    assert caught.value.detail.startswith(detail)


# -- sent back


@pytest.fixture
def settings() -> Settings:
    return load_settings(prefix="live-")


def judge(settings: Settings, letter: Letter, **changes: Any) -> Outgoing:
    return judged(settings, 1, corrected(line_of(letter, **changes)))


def test_a_corrected_record_goes_under_its_users_key_and_says_where_it_was_read(
    settings: Settings,
) -> None:
    letter = make_letter(topic=b"live-posts", key=b"wrong", headers=[("trace", b"a")])
    found = judge(settings, letter)
    assert (found.topic, found.key, found.value) == ("live-posts", b"twitter:u1", POST)
    assert found.headers == [("trace", b"a"), ("dlq-resent-from", b"live-posts/3/42")]


def test_an_interaction_goes_under_the_key_of_its_target(settings: Settings) -> None:
    value = encode_interaction(make_interaction())
    found = judge(settings, make_letter(topic=b"live-interactions", value=value))
    assert (found.topic, found.key) == ("live-interactions", b"twitter:u1")


def test_marks_of_a_worker_are_left_out(settings: Settings) -> None:
    marks = [("kol-forwarded", b"1"), ("kol-origin", b"live-posts/0/0")]
    letter = make_letter(topic=b"live-posts", headers=marks)
    found = judge(settings, letter)
    assert [name for name, _ in found.headers] == ["dlq-resent-from"]


def test_what_came_to_the_wrong_topic_goes_to_another(settings: Settings) -> None:
    found = judge(settings, make_letter(topic=b"live-interactions"), to="live-posts")
    assert found.topic == "live-posts"
    assert found.headers == [("dlq-resent-from", b"live-interactions/3/42")]


@pytest.mark.parametrize("topic", ["posts", "live-kol-events"])
def test_another_topic_than_the_sources_is_refused(settings: Settings, topic: str) -> None:
    with pytest.raises(BadInput, match="neither live-posts nor live-interactions"):
        judge(settings, make_letter(), to=topic)


def test_lines_that_would_be_dead_letters_again_are_named_and_the_others_kept(
    settings: Settings, tmp_path: Path
) -> None:
    letter = make_letter(topic=b"live-posts")
    wrong = json.dumps(json.loads(POST) | {"like_count": "5"})
    lines = [
        line_of(letter),
        b"{",
        b"",
        line_of(letter, value=wrong),
        line_of(letter, value=None),
        line_of(letter, to="live-interactions"),
        line_of(letter),
    ]
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"\n".join(lines))
    refused: list[BadLine] = []
    assert [one.number for one in outgoing(settings, str(path), refused.append)] == [1, 7]
    assert [(one.number, one.reason) for one in refused] == [
        (2, "invalid-json"),
        (4, "invalid-field"),
        (5, "empty"),
        (6, "missing-field"),
    ]
    assert str(refused[1]).startswith(f"{path}:4: invalid-field: like_count: ")
    assert PRIVATE not in " ".join(map(str, refused))
