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
from stream_app.embedded import EmbeddedBroker
from stream_app.engine.topics import topic_table
from stream_app.messages import decode_post, encode_post
from stream_app.settings import Settings, load_settings
from stream_app.sources.group_lag import GroupLag
from tests.builders import NOON, make_post
from tests.unit.sources.test_replay import records

TWEET = {
    "id_str": "7",
    "created_at": "Tue Jul 01 12:00:00 +0000 2014",
    "text": "$AAPL up",
    "user": {"id_str": "1", "followers_count": 12},
}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Settings]:
    monkeypatch.chdir(tmp_path)
    with EmbeddedBroker() as broker:
        monkeypatch.setenv("KOL_BROKER", broker.bootstrap)
        monkeypatch.setenv("KOL_PARTITIONS", "3")
        found = load_settings()
        for spec in topic_table(found):
            broker.create_topic(spec.name, spec.partitions or 1)
        yield found


def lines_of(*times: int, user_id: str = "u1") -> bytes:
    posts = [make_post(id=f"p{time}", user_id=user_id, created_at=NOON + time) for time in times]
    return b"".join(encode_post(post) + b"\n" for post in posts)


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
    class Input:
        buffer = io.BufferedReader(io.BytesIO(lines_of(3, 1, 2)))

    monkeypatch.setattr("sys.stdin", Input())
    assert main(["replay", "-", "--limit", "2"]) == 0
    assert ids(settings) == ["p3", "p1"]


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
