"""Two workers, one system: whoever is asked, the answer is the same."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from tests.kafka.clients import wait_for
from tests.kafka.feeding import send
from tests.kafka.reckoning import tell
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers
from tests.outcome import compare
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

SEED = 5
PARTITIONS = 4


def test_both_workers_answer_the_same(workers: Callable[..., Workers]) -> None:
    generator = Generator(SEED, events=2_000, users=200)
    system = workers(
        partitions=PARTITIONS, post_memory=POST_MEMORY, interaction_memory=INTERACTION_MEMORY
    )
    first, second = system.make("first"), system.make("second")
    for worker in (first.launch(), second.launch()):
        worker.wait_ready()
    wait_for(lambda: share(first, second), "the partitions to be shared")
    send(system, generator.events[:-1])
    system.wait_until_scored(first)

    send(system, generator.events[-1:])
    sent_at = monotonic()
    system.wait_until_scored(first)
    system.wait_until_scored(second)
    tell(f"seen on both workers {monotonic() - sent_at:.2f} s after the last post")

    truth = generator.truth()
    wait_for(lambda: answers(first) == answers(second), "both to say the same")
    by_first, by_second = first.users(truth.users), second.users(truth.users)
    assert by_first == by_second
    outcome = compare(by_first, truth)
    assert (outcome.lost, outcome.twice, outcome.wrong[:10]) == (0, 0, [])
    assert first.users(["x:nobody"]) == second.users(["x:nobody"]) == {"x:nobody": None}


def share(*workers: Worker) -> bool:
    """Whether each of them is ready and owns part of the partitions."""
    return all(worker.is_ready() and 0 < len(worker.owned()) < PARTITIONS for worker in workers)


def answers(worker: Worker) -> list[Any]:
    paths = ("rankings?limit=500", "threshold", "kols?limit=500", "scoring")
    return [worker.json(f"/api/v1/{path}") for path in paths]
