"""A worker that is told to stop stops in order, however busy it is."""

from __future__ import annotations

from collections.abc import Callable

from tests.kafka.feeding import send
from tests.kafka.reckoning import SEEN_AGAIN, reckon
from tests.kafka.worker import wait_until_handled
from tests.kafka.workers import Workers
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

SEED = 77
BATCH = 128
#: Of both workers, when the rebalance begins.
BATCHES_UNDER_WAY = 4


def test_a_worker_told_to_stop_under_load_ends_in_order_and_goes_on_where_it_was(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    generator = streams(SEED, events=10_000)
    system = workers(post_memory=POST_MEMORY, interaction_memory=INTERACTION_MEMORY)
    worker = system.start("only")
    send(system, generator.events)
    wait_until_handled(worker, 1_000)

    assert worker.terminate() == 0

    worker.start()
    assert worker.counter("kol_events_total") < len(generator.events), "it was not under load"
    reckon(system, worker, generator.truth())
    assert worker.counter(SEEN_AGAIN) == 0, "an orderly end commits all that was handled"


def test_the_heir_of_a_worker_told_to_stop_under_load_sees_little_again(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    generator = streams(SEED, events=10_000)
    system = workers(
        post_memory=POST_MEMORY, interaction_memory=INTERACTION_MEMORY, batch_size=BATCH
    )
    leaves, heir = system.make("leaves"), system.make("heir")
    for worker in (leaves.launch(), heir.launch()):
        worker.wait_ready()
    send(system, generator.events)
    wait_until_handled(leaves, 500)
    handled = heir.counter(SEEN_AGAIN)

    assert leaves.terminate() == 0

    heir.wait_ready()
    reckon(system, heir, generator.truth())
    assert heir.counter(SEEN_AGAIN) - handled <= BATCHES_UNDER_WAY * BATCH


def test_an_idle_worker_that_is_told_to_stop_ends_at_once(workers: Callable[..., Workers]) -> None:
    assert workers().start("only").terminate() == 0
