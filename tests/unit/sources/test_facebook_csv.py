import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stream_app.errors import UsageError
from stream_app.messages import Post, parse_time
from tests.unit.sources.written import read


def record(**changes: Any) -> dict[str, Any]:
    return {
        "page_name": "person_neil_cavuto",
        "created_time": "2016-10-15T18:00:00+0000",
        "description": "",
        "link": "https://www.facebook.com/TeamCavuto/videos/1215231611869045/",
        "message": "Don't miss, \"live\",\nNeil's coverage",
        "page_id": "101988643193353",
        "post_id": "101988643193353_1215231611869045",
        "react_angry": 1,
        "react_haha": 0,
        "react_like": 154,
        "react_love": 9,
        "react_sad": 2,
        "react_wow": 3,
        "scrape_time": "2017-07-14 12:15:24.298166",
        "shares": 7,
    } | changes


def csv_bytes(*records: dict[str, Any], columns: Sequence[str] = ()) -> bytes:
    """A header and these records; all columns unless some are named."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(
        text, columns or list(record()), extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def csv_file(folder: Path, *records: dict[str, Any], columns: Sequence[str] = ()) -> str:
    path = folder / "p.csv"
    path.write_bytes(csv_bytes(*records, columns=columns))
    return str(path)


def only_post(path: str) -> Post:
    (post,), bad = read("facebook-csv", path)
    assert bad == []
    assert isinstance(post, Post)
    return post


def test_a_record_is_a_post_of_its_page_read_at_the_scrape(tmp_path: Path) -> None:
    post = only_post(csv_file(tmp_path, record()))
    assert (post.key, post.handle) == ("facebook:101988643193353", "person_neil_cavuto")
    assert post.id == "101988643193353_1215231611869045"
    assert post.text == "Don't miss, \"live\",\nNeil's coverage"
    assert post.created_at == parse_time("2016-10-15T18:00:00Z")
    assert post.observed_at == parse_time("2017-07-14T12:15:24.298Z")
    assert (post.like_count, post.repost_count, post.reply_count) == (169, 7, None)
    assert (post.follower_count, post.lang) == (None, "en")
    assert post.url == "https://www.facebook.com/101988643193353_1215231611869045"


@pytest.mark.parametrize(
    ("message", "description", "text"),
    [
        ("breaking", "the whole story", "breaking\nthe whole story"),
        ("breaking: the whole story", "the whole story", "breaking: the whole story"),
        ("story", "the whole story", "the whole story"),
        ("", "the whole story", "the whole story"),
        (" breaking ", "", "breaking"),
        ("", "", ""),
    ],
)
def test_a_description_joins_the_message_when_it_says_something_else(
    tmp_path: Path, message: str, description: str, text: str
) -> None:
    path = csv_file(tmp_path, record(message=message, description=description))
    assert only_post(path).text == text


def test_counts_that_are_not_all_there_are_unknown(tmp_path: Path) -> None:
    post = only_post(csv_file(tmp_path, record(react_wow="", shares="")))
    assert (post.like_count, post.repost_count) == (None, None)


def test_columns_that_a_post_can_do_without_may_be_absent(tmp_path: Path) -> None:
    columns = ["post_id", "page_id", "created_time"]
    post = only_post(csv_file(tmp_path, record(), columns=columns))
    assert (post.text, post.handle, post.like_count, post.repost_count) == ("", None, None, None)
    assert post.observed_at == post.created_at


@pytest.mark.parametrize(
    "time", ["2016-10-15T20:00:00+0200", "2016-10-15T18:00:00Z", "2016-10-15 18:00:00"]
)
def test_times_have_an_offset_or_are_in_utc(tmp_path: Path, time: str) -> None:
    post = only_post(csv_file(tmp_path, record(created_time=time)))
    assert post.created_at == parse_time("2016-10-15T18:00:00Z")


def test_a_bad_record_has_the_number_of_the_line_where_it_begins(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path,
        record(),  # two lines each
        record(shares="many"),
        record(created_time="yesterday"),
        record(react_like="-1"),
        record(created_time="1914-10-15T18:00:00+0000"),
        record(page_id=""),
        record(post_id="good"),
    )
    events, bad = read("facebook-csv", path)
    assert [event.id for event in events] == [record()["post_id"], "good"]
    assert [line.split(": ")[:3] for line in bad] == [
        ["p.csv:4", "invalid-field", "shares"],
        ["p.csv:6", "invalid-field", "created_time"],
        ["p.csv:8", "invalid-field", "react_like"],
        ["p.csv:10", "invalid-field", "created_time"],
        ["p.csv:12", "invalid-field", "user_id"],
    ]


def test_what_is_no_csv_costs_its_own_record_alone(tmp_path: Path) -> None:
    good = record(message="short")
    header, line = csv_bytes(good).splitlines()
    path = tmp_path / "p.csv"
    lines = (
        header,
        line.replace(b"short", b'"sho"rt'),
        b"too,few",
        b"",
        line.replace(b"short", b"sh\xffrt"),
        line.replace(b"short", b"sh\rrt"),
        line,
        line.replace(b"short", b'"never ends'),
        line,
    )
    path.write_bytes(b"\n".join(lines) + b"\n")
    events, bad = read("facebook-csv", str(path))
    assert [event.id for event in events] == [good["post_id"]]
    assert bad == [
        "p.csv:2: invalid-field: value: no CSV record: ',' expected after '\"'",
        "p.csv:3: invalid-field: value: 2 fields, 15 in the header",
        "p.csv:5: invalid-field: message: not UTF-8",
        "p.csv:6: invalid-field: value: no CSV record: new-line character seen in unquoted field",
        "p.csv:8: invalid-field: value: no CSV record: unexpected end of data",
    ]


def test_lines_may_end_as_on_windows_and_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(b"\xef\xbb\xbf" + csv_bytes(record()).replace(b"\n", b"\r\n"))
    post = only_post(str(path))
    assert (post.id, post.handle) == (record()["post_id"], record()["page_name"])


def test_a_file_without_the_columns_of_a_post_is_wrong_usage(tmp_path: Path) -> None:
    path = csv_file(tmp_path, columns=["page_id", "message"])
    with pytest.raises(UsageError, match=r"p\.csv: no column post_id, created_time; "):
        read("facebook-csv", path)
    (tmp_path / "p.jsonl").write_text('{"id": "no csv"}\n')
    with pytest.raises(UsageError, match=r"p\.jsonl: no column page_id, post_id, created_time; "):
        read("facebook-csv", str(tmp_path / "p.jsonl"))


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(b"")
    assert read("facebook-csv", str(tmp_path / "p.csv")) == ([], [])
