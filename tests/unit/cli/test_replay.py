"""`kol replay` on the embedded broker."""

import gzip
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from stream_app.cli.main import main
from stream_app.cli.speed import SPEED
from stream_app.embedded import PRODUCE, EmbeddedBroker
from stream_app.engine.topics import topic_table
from stream_app.messages import (
    decode_interaction,
    decode_post,
    encode_interaction,
    encode_post,
)
from stream_app.settings import Settings, load_settings
from stream_app.sources.group_lag import GroupLag
from tests.builders import NOON, make_interaction, make_post
from tests.unit.sources.test_replay import MESSAGE_SIZE_TOO_LARGE, records

TWEET = {
    "id_str": "7",
    "created_at": "Tue Jul 01 12:00:00 +0000 2014",
    "text": "$AAPL up",
    "user": {"id_str": "1", "followers_count": 12},
}


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


@pytest.fixture
def settings(broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KOL_BROKER", broker.bootstrap)
    monkeypatch.setenv("KOL_PARTITIONS", "3")
    found = load_settings()
    for spec in topic_table(found):
        broker.create_topic(spec.name, spec.partitions or 1)
    return found


def test_posts_too_large_for_the_broker_are_counted_at_the_end(
    broker: EmbeddedBroker, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "posts.jsonl").write_bytes(lines_of(1))
    broker.push_request_errors(PRODUCE, [MESSAGE_SIZE_TOO_LARGE])
    assert main(["replay", "posts.jsonl"]) == 1
    assert "1 post larger than the broker accepts, not delivered; " in capsys.readouterr().err


def lines_of(*times: int, user_id: str = "u1") -> bytes:
    posts = [make_post(id=f"p{time}", user_id=user_id, created_at=NOON + time) for time in times]
    return b"".join(encode_post(post) + b"\n" for post in posts)


CASCADE = (
    b'{"mid":"o","uid":"7","epoch":1291262818,"text":"","reposts":9}\n'
    b'{"root_mid":"o","mid":"r2","uid":"b","date":"2010-12-02 12:31:06"}\n'
    b'{"root_mid":"o","mid":"r1","uid":"a","date":"2010-12-02 12:26:08"}\n'
    b'{"root_mid":"o","mid":"r3","uid":"c","date":"01-01 18:46"}\n'
)


class Input:
    """Standard input that holds this."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BufferedReader(io.BytesIO(data))


def interaction_ids(settings: Settings) -> list[str]:
    found = records(settings, "interactions")
    return [decode_interaction(value).id for arrived in found.values() for _, value in arrived]


def ids(settings: Settings) -> list[str]:
    found = records(settings, "posts")
    return [decode_post(value).id for arrived in found.values() for _, value in arrived]


def test_several_files_are_merged_in_event_time_order(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines_of(5, 1))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines_of(4, 2, 3)))
    assert main(["replay", "a.jsonl", "b.jsonl.gz"]) == 0
    assert ids(settings) == ["p1", "p2", "p3", "p4", "p5"]
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"5 posts, no bad lines, in \d+\.\d s: \d[\d,]* posts/s", last)


def test_bad_lines_are_named_by_number_counted_and_passed_over(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines_of(1) + b"\nnonsense\n" + lines_of(2) + b"{}\n")
    assert main(["replay", "a.jsonl"]) == 0
    captured = capsys.readouterr()
    assert ids(settings) == ["p1", "p2"]
    assert [line.split(": ")[:2] for line in captured.err.splitlines()] == [
        ["a.jsonl:3", "invalid-json"],
        ["a.jsonl:5", "missing-field"],
    ]
    assert "2 posts, 2 bad lines, " in captured.out


def test_a_limit_keeps_the_earliest(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines_of(3, 2, 1))
    assert main(["replay", "a.jsonl", "--limit", "2"]) == 0
    assert ids(settings) == ["p1", "p2"]


def test_standard_input_is_sent_in_its_own_order(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Input(lines_of(3, 1, 2)))
    assert main(["replay", "-", "--limit", "2"]) == 0
    assert ids(settings) == ["p3", "p1"]


def test_standard_input_is_sorted_where_lines_need_one_another(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Input(CASCADE))
    assert main(["replay", "-", "--format", "weibo-ced"]) == 0
    assert ids(settings) == ["o"]
    assert interaction_ids(settings) == ["r1", "r2"]


def test_posts_and_interactions_are_merged_and_counted_apart(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    liked = [make_interaction(id=f"i{n}", created_at=NOON + n) for n in (9, 2)]
    (tmp_path / "i.jsonl").write_bytes(b"".join(encode_interaction(i) + b"\n" for i in liked))
    (tmp_path / "p.jsonl").write_bytes(lines_of(3, 1))
    assert main(["replay", "i.jsonl", "p.jsonl", "--limit", "3"]) == 0
    assert ids(settings) == ["p1", "p3"]
    assert interaction_ids(settings) == ["i2"]
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(
        r"2 posts, 1 interaction, no bad lines, in \d+\.\d s: \d[\d,]* events/s", last
    )


def test_as_json_the_summary_is_one_object_and_all_else_is_on_standard_error(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ced.jsonl").write_bytes(CASCADE)
    assert main(["replay", "ced.jsonl", "--format", "weibo-ced", "--json"]) == 0
    captured = capsys.readouterr()
    summary = json.loads(captured.out)
    assert summary.pop("seconds") >= 0
    assert summary == {"posts": 1, "interactions": 2, "bad_lines": 1, "too_large": 0}
    assert captured.err.startswith("reading ...\nced.jsonl:4: invalid-field: date: ")


def test_other_formats_are_read_when_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "tweets.jsonl").write_text(json.dumps(TWEET))
    assert main(["replay", "tweets.jsonl", "--format", "twitter-v1"]) == 0
    assert ids(settings) == ["7"]


def test_nothing_is_sent_before_the_topics_fit(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines_of(1))
    monkeypatch.setenv("KOL_PREFIX", "elsewhere-")
    assert main(["replay", "a.jsonl"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "kol topics create" in line
    with GroupLag(settings) as lag:
        assert lag.records() == 0


@pytest.mark.parametrize(
    ("text", "speed"), [("max", None), ("real", 1.0), ("60x", 60.0), ("0.5x", 0.5), ("60", 60.0)]
)
def test_speeds(text: str, speed: float | None) -> None:
    assert SPEED.convert(text, None, None) == speed


@pytest.mark.parametrize("text", ["", "x", "-1x", "0x", "fast", "60y", "1e3x", "inf"])
def test_other_speeds_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="60x"):
        SPEED.convert(text, None, None)
