"""A worker that must not go on says why in one line, and how to mend it, with exit code 2."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.kafka.broker import KafkaBroker
from tests.kafka.clients import delete_topic, make_topic, wait_for
from tests.kafka.feeding import send
from tests.kafka.refusing import refusal
from tests.kafka.worker import Worker
from tests.kafka.workers import KOL_WORKER, WITH_FAKE_ENCODER, Workers
from tests.stream_of_events import Generator


@pytest.fixture
def stopped(workers: Callable[..., Workers]) -> tuple[Workers, Worker]:
    """A worker with state, at rest."""
    system = workers()
    worker = system.start("only")
    send(system, Generator(1, events=50, users=20).events)
    system.wait_until_scored(worker)
    assert worker.terminate() == 0
    return system, worker


def test_state_of_other_settings_or_of_a_topic_made_anew_is_refused(
    stopped: tuple[Workers, Worker],
) -> None:
    system, worker = stopped
    line = refusal(worker, half_life="7d")
    assert "half_life" in line
    assert "kol rebuild" in line

    delete_topic(system.broker, system.names.posts)
    make_topic(system.broker, system.names.posts, 4)
    line = refusal(worker)
    assert system.names.posts in line
    assert "kol rebuild" in line


def test_tiers_margins_and_exponents_may_change(stopped: tuple[Workers, Worker]) -> None:
    _, worker = stopped
    worker.start(tiers="star=0.5", leave_margin="0.1", exponents="reach=0.5")
    assert worker.json("/api/v1/scoring")["tiers"][0]["name"] == "star"


@pytest.mark.parametrize("command", [WITH_FAKE_ENCODER, KOL_WORKER], ids=["fake", "kol worker"])
def test_missing_topics_are_named_with_the_way_to_make_them(
    kafka: KafkaBroker, workers: Callable[..., Workers], command: tuple[str, ...]
) -> None:
    system = workers()
    line = refusal(system.make("only", command=command), prefix="absent-")
    assert "absent-posts" in line
    assert "kol topics create" in line


def test_a_taken_port_is_named_with_the_setting(workers: Callable[..., Workers]) -> None:
    system = workers()
    first = system.start("first")
    second = system.make("second", web_port=first.port)
    line = refusal(second)
    assert f"127.0.0.1:{first.port}" in line
    assert "KOL_WEB_PORT" in line


def test_a_second_worker_with_other_numbers_is_refused_and_the_first_goes_on(
    workers: Callable[..., Workers],
) -> None:
    system = workers()
    first = system.start("first")
    send(system, Generator(2, events=50, users=20).events)
    system.wait_until_scored(first)
    second = system.make("second", half_life="5d")
    assert "half_life=30d, this worker has half_life=5d" in refusal(second)
    wait_for(
        lambda: first.answers() and len(first.owned()) == system.settings.partitions,
        "all partitions to be the first one's again",
    )
