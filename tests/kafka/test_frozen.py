"""A worker frozen for longer than its session wakes and must not spoil what others have written."""

from __future__ import annotations

from collections.abc import Callable

from tests.kafka.clients import wait_for
from tests.kafka.feeding import Flow, flowing
from tests.kafka.reckoning import reckon
from tests.kafka.worker import READY_TIMEOUT_S, Worker
from tests.kafka.workers import Workers
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

SEED = 1812
#: Well into the stream, right before a batch's rows go to the changelog.
FREEZES = "freeze@sending:users-changelog:5/sending:kol-events"
TELLS = "tell@sending:kol-events:1"
SCORED_MEANWHILE = 300


def test_a_worker_that_wakes_in_the_middle_of_a_write_ends_and_has_spoilt_nothing(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    generator = streams(SEED, events=4_000, users=300)
    system = workers(post_memory=POST_MEMORY, interaction_memory=INTERACTION_MEMORY, batch_size=32)
    other, frozen = system.make("other"), system.make("frozen")
    other.launch()
    frozen.launch("--fault", FREEZES, "--fault", TELLS)
    other.wait_ready()
    with flowing(system, generator.events) as flow:
        flow.allow(0.4)
        wait_for(frozen.is_frozen, "the worker to freeze", READY_TIMEOUT_S)
        takes_over(system, other, flow)

        frozen.thaw()
        assert frozen.wait(READY_TIMEOUT_S) == 1
    before, _, after = frozen.log_path.read_text().partition("freeze@")
    assert "tell@sending:kol-events" in before, "it has sent KOL events while it was owner"
    assert "tell@" not in after
    assert "Traceback" not in after, after
    assert after.splitlines()[-1].startswith("kol: "), after
    reckon(system, other, generator.truth())


def takes_over(system: Workers, other: Worker, flow: Flow) -> None:
    """It owns everything, and has scored more of everything."""
    numbers = {str(number) for number in range(system.settings.partitions)}
    wait_for(lambda: other.answers() and other.owned() == numbers, "all partitions to move")
    scored = other.counter("kol_events_total") + SCORED_MEANWHILE
    flow.allow(0.8)
    wait_for(lambda: other.counter("kol_events_total") >= scored, "more to be scored")
