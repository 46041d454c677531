"""A broker that refuses, or does not answer, whatever is sent: the worker ends, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable

from tests.kafka.feeding import flowing
from tests.kafka.reckoning import reckon, tell
from tests.kafka.worker import READY_TIMEOUT_S
from tests.kafka.workers import Workers
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

SEED = 606
#: KOL events, dead letters, forwarded records, lines; for rows there is `test_barrier`.
FAULTS = (
    "refuse@sending:kol-events:3",
    "time-out@sending:posts-dlq:1",
    "refuse@sending:-posts:2",
    "time-out@sending:kol-thresholds:3",
)


def test_whatever_the_broker_does_not_take_ends_the_worker_and_comes_again(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    generator = streams(SEED, events=4_000, users=300)
    system = workers(post_memory=POST_MEMORY, interaction_memory=INTERACTION_MEMORY)
    worker = system.make("only")
    with flowing(system, generator.events) as flow:
        for number, fault in enumerate(FAULTS, 1):
            tell(fault)
            flow.allow(0.9 * number / len(FAULTS))
            worker.log_path.unlink(missing_ok=True)
            worker.launch("--fault", fault)
            assert worker.wait(READY_TIMEOUT_S) == 1
            log = worker.log_path.read_text()
            assert log.splitlines()[-1].startswith("kol: the broker "), log
            assert "nothing was lost" in log
            assert "Traceback" not in log, log
        worker.start()
    reckon(system, worker, generator.truth())
