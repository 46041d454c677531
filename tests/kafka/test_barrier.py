"""Nothing is acknowledged before the changelog has it."""

from __future__ import annotations

from collections.abc import Callable

from tests.kafka.feeding import send
from tests.kafka.reckoning import reckon
from tests.kafka.workers import Workers
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

SEED = 33


def test_a_refused_changelog_stops_the_worker_and_loses_nothing(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    generator = streams(SEED, events=4_000, users=300)
    system = workers(post_memory=POST_MEMORY, interaction_memory=INTERACTION_MEMORY)
    worker = system.make("only").launch("--fault", "refuse@sending:users-changelog:21")
    send(system, generator.events)

    assert worker.wait(60) == 1
    assert "it takes no more of this" in worker.log_path.read_text()

    worker.start()
    reckon(system, worker, generator.truth())
