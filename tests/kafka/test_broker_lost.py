"""A broker out of reach is waited for, with the reason on /readyz, and not for ever."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.kafka.broker import KafkaBroker, free_port
from tests.kafka.clients import STURDY, wait_for
from tests.kafka.feeding import flowing, send
from tests.kafka.reckoning import reckon
from tests.kafka.refusing import refusal
from tests.kafka.worker import Worker, wait_until_handled
from tests.kafka.workers import KOL_WORKER, Workers
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

SHORT = "15s"  # KOL_BROKER_TIMEOUT of workers that are to give up
WAITING = "waiting for the broker"


@pytest.fixture
def broker(kafka_jars: Path, tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker of the test's own, which does not run yet."""
    own = KafkaBroker(tmp_path / "kafka")
    try:
        yield own
    finally:
        own.stop(kill=True)


@pytest.fixture
def system(broker: KafkaBroker, tmp_path: Path) -> Iterator[Workers]:
    memories = {"post_memory": POST_MEMORY, "interaction_memory": INTERACTION_MEMORY}
    with closing(Workers(broker.bootstrap, "", tmp_path, **memories)) as made:
        yield made


def readiness(worker: Worker) -> tuple[int, str]:
    """Status and reason of /readyz; (0, "") while nobody listens."""
    assert not worker.has_ended, worker.log()
    try:
        status, body = worker.get("/readyz")
    except (OSError, HTTPException):
        return 0, ""
    return status, json.loads(body).get("detail", "")


def waits_for_broker(worker: Worker) -> bool:
    status, reason = readiness(worker)
    return status == 503 and WAITING in reason


def check_that_it_waits(worker: Worker) -> None:
    wait_for(lambda: waits_for_broker(worker), "503 with the broker as the reason")
    assert worker.get("/healthz")[0] == 200
    assert worker.counter("kol_ready") == 0


def test_a_broker_that_is_down_at_the_start_is_waited_for(
    broker: KafkaBroker, system: Workers
) -> None:
    worker = system.make("only").launch()
    check_that_it_waits(worker)
    assert worker.get("/api/v1/rankings")[0] == 503  # not "nobody": that is not known

    # Topics from an earlier life of the broker: it comes back with them.
    assert worker.terminate() == 0
    broker.start()
    system.create_topics()
    broker.stop()
    worker.launch()
    check_that_it_waits(worker)
    broker.start()
    worker.wait_ready()


def test_a_broker_that_goes_away_and_comes_back_costs_nothing(
    broker: KafkaBroker, system: Workers, streams: Callable[..., Generator]
) -> None:
    generator = streams(11, events=2_000, users=250)
    broker.start()
    system.create_topics()
    stays, leaves = system.make("stays"), system.make("leaves")
    for worker in (stays.launch(), leaves.launch()):
        worker.wait_ready()
    with flowing(system, generator.events, **STURDY) as flow:
        flow.allow(0.5)
        wait_until_handled(leaves, 100)
        broker.stop(kill=True)
        check_that_it_waits(stays)
        check_that_it_waits(leaves)
        check_that_it_stops_without_the_broker(leaves)

        broker.start()
        stays.wait_ready()
        flow.allow(0.9)
    reckon(system, stays, generator.truth())


def check_that_it_stops_without_the_broker(worker: Worker) -> None:
    """Told to stop, it does not wait until the broker is back; it says so in one line."""
    assert worker.terminate() == 0
    log = worker.log_path.read_text()
    assert "Traceback" not in log
    last = log.splitlines()[-1]
    assert last.startswith("kol: told to stop while waiting for the broker")
    assert "nothing was lost" in last


@pytest.mark.parametrize("hangs", [False, True], ids=["gone", "hanging"])
def test_a_broker_away_for_too_long_ends_the_worker_with_1_and_one_line(
    broker: KafkaBroker, system: Workers, streams: Callable[..., Generator], *, hangs: bool
) -> None:
    generator = streams(12, events=900, users=250)
    broker.start()
    system.create_topics()
    worker = system.make("only", broker_timeout=SHORT).start()
    send(system, generator.events)
    if hangs:
        broker.pause()
    else:
        broker.stop(kill=True)
    check_that_it_waits(worker)

    assert worker.wait(60.0) == 1
    log = worker.log_path.read_text()
    last = log.splitlines()[-1]
    assert last.startswith(f"kol: the broker at {broker.bootstrap} has been out of reach for 15s")
    assert "KOL_BROKER_TIMEOUT" in last
    assert "Traceback" not in log
    assert len(log.splitlines()) < 60, "the clients' complaints about it are said now and then"

    if hangs:
        broker.resume()
    else:
        broker.start()
    worker.start(broker_timeout="5m")
    reckon(system, worker, generator.truth())


def test_a_broker_that_never_comes_ends_the_worker_with_1(system: Workers) -> None:
    worker = system.make("only", command=KOL_WORKER)
    line = refusal(worker, code=1, broker_timeout="1s", broker=f"127.0.0.1:{free_port()}")
    assert "no answer from the broker" in line
    assert "KOL_BROKER" in line


def test_a_signal_ends_a_worker_that_waits_for_the_broker(system: Workers) -> None:
    worker = system.make("only").launch()
    check_that_it_waits(worker)
    assert worker.terminate() == 0
