"""`kol watch` reads each event once, from now or from the beginning."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from stream_app.cli.commands.watch import concerns
from stream_app.cli.event_reader import EventReader
from stream_app.cli.main import main
from stream_app.embedded import EmbeddedBroker
from stream_app.errors import BrokerError, TopicsError
from stream_app.messages import KolEvent, encode_event
from stream_app.settings import Settings, load_settings
from tests.builders import make_event


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Settings]:
    monkeypatch.chdir(tmp_path)
    with EmbeddedBroker() as broker:
        broker.create_topic("kol-events", 2)
        monkeypatch.setenv("KOL_BROKER", broker.bootstrap)
        yield load_settings()


def send(settings: Settings, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": settings.broker, "linger.ms": 0})
    for number, value in enumerate(values):
        producer.produce("kol-events", value=value, partition=number % 2)
    producer.flush()


def event(number: int, **changes: object) -> KolEvent:
    return make_event(event_id=f"e{number}", **changes)


def read(events: EventReader, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        one = events.poll(5)
        assert one is not None
        found.append(one[0].event_id)
    return found


def test_events_are_read_from_the_moment_of_asking(settings: Settings) -> None:
    send(settings, encode_event(event(1)))
    with EventReader(settings) as events:
        send(settings, encode_event(event(2)), encode_event(event(3)))
        assert sorted(read(events, 2)) == ["e2", "e3"]


def test_from_the_beginning_nothing_is_left_out(settings: Settings) -> None:
    send(settings, *(encode_event(event(number)) for number in range(20)))
    with EventReader(settings, from_beginning=True) as events:
        assert sorted(read(events, 20)) == sorted(f"e{number}" for number in range(20))


def test_a_repeated_event_and_a_foreign_record_are_passed_over(settings: Settings) -> None:
    again = encode_event(event(1, emitted_at="2014-07-01T13:00:00.000Z"))
    send(settings, encode_event(event(1)), b"", again, b"{}", encode_event(event(2)))
    with EventReader(settings, from_beginning=True) as events:
        found = [one for one in (events.poll(1) for _ in range(6)) if one is not None]
    assert sorted(one[0].event_id for one in found) == ["e1", "e2"]


def test_a_missing_topic_names_the_command_that_makes_it(settings: Settings) -> None:
    elsewhere = load_settings(prefix="elsewhere-")
    with pytest.raises(TopicsError, match="kol topics create"):
        EventReader(elsewhere)


def test_a_broker_out_of_reach_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_app.cli.event_reader._TIMEOUT_S", 0.3)
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1"):
        EventReader(load_settings(broker="127.0.0.1:1"))


def test_a_tier_concerns_who_comes_and_who_goes() -> None:
    assert concerns(event(1, tier="kol", from_tier=None), None)
    assert concerns(event(1, tier="top", from_tier="kol"), "kol")
    assert not concerns(event(1, tier="top", from_tier="kol"), "star")


def test_an_unknown_tier_is_wrong_usage(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", "--tier", "nonsense"]) == 2
    assert "there is kol" in capsys.readouterr().err


@pytest.mark.parametrize("as_json", [False, True])
def test_each_event_is_one_line_at_once_and_an_interrupt_ends_it(
    settings: Settings, as_json: bool
) -> None:
    send(settings, encode_event(event(1)))
    command = [sys.executable, "-m", "stream_app", "watch", "--from-beginning"]
    with subprocess.Popen(
        [*command, *(["--json"] if as_json else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    ) as watching:
        assert watching.stdout is not None
        timer = threading.Timer(20, watching.kill)
        timer.start()
        line = watching.stdout.readline()
        watching.send_signal(2)
        rest, complaints = watching.communicate()
        timer.cancel()
    if as_json:
        assert line == encode_event(event(1)) + b"\n"
    else:
        assert line.startswith(b"2014-07-01 12:00  promoted  @one ")
    assert (rest, complaints, watching.returncode) == (b"", b"", 0)
