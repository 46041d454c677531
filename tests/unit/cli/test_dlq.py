"""`kol dlq` against the embedded broker: what it prints, writes, sends and refuses."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer

from stream_app.cli.dlq.lines import letter_json
from stream_app.cli.main import main
from stream_app.embedded import EmbeddedBroker
from stream_app.engine.topics import topic_table
from stream_app.messages import encode_post, partition_of
from stream_app.settings import load_settings
from stream_app.sources.replay import producer_options
from tests.builders import make_post
from tests.kafka.clients import consume
from tests.unit.cli.test_dlq_parts import OWN, POST, PRIVATE, line_of, make_letter

PRODUCE, FETCH = 0, 1  # numbers of the requests in the Kafka protocol
PARTITIONS = 4


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """One with all topics; the dead letters' has two partitions."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KOL_PARTITIONS", str(PARTITIONS))
    with EmbeddedBroker() as running:
        for spec in topic_table(load_settings()):
            running.create_topic(spec.name, spec.partitions or 2)
        monkeypatch.setenv("KOL_BROKER", running.bootstrap)
        yield running


def put_aside(broker: EmbeddedBroker, *values: bytes | None, **own: bytes) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 0})
    headers: Any = [(f"dlq-{name}", content) for name, content in (OWN | own).items()]
    for number, value in enumerate(values):
        producer.produce("posts-dlq", value=value, key=b"k", headers=headers, partition=number % 2)
    producer.flush()


def written(path: str, *lines: bytes) -> str:
    Path(path).write_bytes(b"\n".join(lines))
    return path


def test_a_bare_dlq_lists_every_letter_and_no_text(
    broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    put_aside(broker, POST, PRIVATE.encode(), POST)
    put_aside(broker, None, reason=b"empty")
    assert main(["dlq"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 4
    assert PRIVATE not in said.out
    assert said.err == "4 dead letters: 3 invalid-field, 1 empty\n"


def test_options_without_a_command_are_those_of_the_list(
    broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    put_aside(broker, POST)
    put_aside(broker, None, reason=b"empty")
    assert main(["dlq", "--reason", "empty", "--topic", "posts", "--since", "1h", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["reason"] == "empty"
    assert main(["dlq", "--topic", "interactions"]) == 0
    assert capsys.readouterr() == ("", "no dead letters\n")


def test_the_help_is_that_of_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dlq", "--help"]) == 0
    assert "resend" in capsys.readouterr().out


def test_an_empty_topic_ends_at_once(
    broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dlq", "list", "--last", "3"]) == 0
    assert capsys.readouterr() == ("", "no dead letters\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "yesterday"], "'yesterday' is not a number with a unit: 500ms, 30s"),
        (["--reason", "bad"], "is not one of 'empty'"),
        (["--last", "0"], "0 is not in the range"),
        (["export"], "--out"),
        (["resend", "missing.jsonl"], "does not exist"),
        (["restore"], "No such command"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dlq", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_missing_topic_of_dead_letters_names_the_command_that_makes_it(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KOL_PREFIX", "elsewhere-")
    assert main(["dlq"]) == 2
    assert "no topic elsewhere-posts-dlq" in capsys.readouterr().err


def test_a_broker_out_of_reach_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("stream_app.cli.dlq.reader._TIMEOUT_S", 0.3)
    assert main(["dlq", "--broker", "127.0.0.1:1"]) == 1
    assert "no answer from the broker at 127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (KafkaError.NOT_LEADER_FOR_PARTITION, "; try again"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "authorization failed"),
    ],
)
def test_a_broker_that_shows_nothing_is_one_line_with_the_reason(
    broker: EmbeddedBroker,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: int,
    said: str,
) -> None:
    put_aside(broker, POST)
    monkeypatch.setattr("stream_app.cli.dlq.reader._TIMEOUT_S", 1.0)
    broker.push_request_errors(FETCH, [code] * 1_000)
    assert main(["dlq"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "does not show all of posts-dlq" in line
    assert said in line


# -- export


def test_an_export_is_lines_that_resend_reads(
    broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    put_aside(broker, POST, b"\xff")
    assert main(["dlq", "export", "--out", "bad.jsonl"]) == 0
    assert capsys.readouterr() == ("", "2 dead letters written\n")
    found = [json.loads(line) for line in Path("bad.jsonl").read_bytes().splitlines()]
    assert sorted(one.get("value", "") for one in found) == ["", POST.decode()]
    assert sorted(one.get("value_base64", "") for one in found) == ["", "/w=="]
    assert main(["dlq", "resend", "--dry-run", "bad.jsonl"]) == 1
    said = capsys.readouterr()
    assert said.out == "1 dead letter would be sent back\n"
    assert "bad.jsonl:" in said.err
    assert said.err.endswith("kol: 1 line refused: correct what is said above, send again\n")


def test_an_export_to_a_pipe_is_lines_and_nothing_else(
    broker: EmbeddedBroker, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    put_aside(broker, POST)
    assert main(["dlq", "export", "--out", "-"]) == 0
    assert json.loads(capsysbinary.readouterr().out)["value"] == POST.decode()


def test_a_file_that_is_there_is_not_written_over(
    broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    written("mine.jsonl", b"mine")
    assert main(["dlq", "export", "--out", "mine.jsonl"]) == 2
    assert "name another file" in capsys.readouterr().err
    assert Path("mine.jsonl").read_bytes() == b"mine"
    assert main(["dlq", "export", "--out", "no/such/folder"]) == 2


def test_an_export_that_fails_leaves_no_part_of_a_file(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOL_PREFIX", "elsewhere-")
    assert main(["dlq", "export", "--out", "bad.jsonl"]) == 2
    assert not Path("bad.jsonl").exists()


def test_no_texts_are_exported_to_a_terminal(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_aside(broker, POST)
    monkeypatch.setattr("stream_app.cli.commands.dlq.is_terminal", lambda: True)
    assert main(["dlq", "export", "--out", "-"]) == 2
    assert "not shown on a terminal" in capsys.readouterr().err


# -- resend


def test_good_lines_are_sent_bad_ones_refused_and_the_end_is_1(
    broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written("x.jsonl", letter_json(make_letter()), line_of(make_letter(), value="{"))
    assert main(["dlq", "resend", "--json", path]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out) == {"accepted": 1, "refused": 1, "dry_run": False}
    assert said.err.splitlines()[0].startswith("x.jsonl:2: invalid-json: value: ")
    (record,) = consume(broker.bootstrap, "posts")
    assert (record.key, record.value) == (b"twitter:u1", POST)
    assert record.partition == partition_of(b"twitter:u1", PARTITIONS)
    assert record.headers == (("dlq-resent-from", b"posts/3/42"),)


def test_standard_input_is_read_where_no_file_is_named(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = io.BytesIO(letter_json(make_letter()))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(lines)))
    assert main(["dlq", "resend"]) == 0
    assert capsys.readouterr() == ("1 dead letter sent back\n", "")
    assert len(consume(broker.bootstrap, "posts")) == 1


def test_a_dry_run_needs_no_broker_and_sends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(str(tmp_path / "x.jsonl"), letter_json(make_letter()))
    assert main(["dlq", "resend", path, "--dry-run", "--broker", "127.0.0.1:1"]) == 0
    assert capsys.readouterr() == ("1 dead letter would be sent back\n", "")


def test_topics_that_do_not_fit_are_refused_before_anything_is_sent(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KOL_PARTITIONS", "2")
    assert main(["dlq", "resend", written("x.jsonl", letter_json(make_letter()))]) == 2
    assert "KOL_PARTITIONS=4" in capsys.readouterr().err
    assert consume(broker.bootstrap, "posts") == []


def test_a_record_that_the_broker_finds_too_large_is_refused_alone(
    broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    letters = [make_letter(value=encode_post(make_post(id=f"p{n}"))) for n in range(3)]
    path = written("x.jsonl", *map(letter_json, letters))
    broker.push_request_errors(PRODUCE, [KafkaError.MSG_SIZE_TOO_LARGE])
    assert main(["dlq", "resend", path]) == 1
    said = capsys.readouterr()
    assert said.out == "2 dead letters sent back\n"
    assert said.err.startswith("x.jsonl:1: too-large: value: larger than the broker accepts\n")


def test_a_broker_that_takes_nothing_fails_and_says_what_has_arrived(
    broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written("x.jsonl", letter_json(make_letter()))
    broker.push_request_errors(PRODUCE, [KafkaError.TOPIC_AUTHORIZATION_FAILED])
    assert main(["dlq", "resend", path]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"kol: x.jsonl:1: not delivered to {broker.bootstrap} (")
    assert "0 were" in line


def test_a_full_queue_is_waited_for(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "stream_app.cli.dlq.resend.producer_options",
        lambda settings: producer_options(settings) | {"queue.buffering.max.messages": 1},
    )
    letters = [make_letter(value=encode_post(make_post(id=f"p{n}"))) for n in range(5)]
    assert main(["dlq", "resend", written("x.jsonl", *map(letter_json, letters))]) == 0
    assert [record.value for record in consume(broker.bootstrap, "posts")] == [
        letter.value for letter in letters
    ]
