"""Workers come and go while events flow: nothing is lost and nothing counts twice."""

from __future__ import annotations

from collections.abc import Callable

from tests.kafka.feeding import flowing
from tests.kafka.reckoning import SEEN_AGAIN, reckon, tell
from tests.kafka.workers import Workers
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

SEED = 4711
EVENTS = 20_000


def test_workers_joining_and_leaving_lose_nothing(workers: Callable[..., Workers]) -> None:
    tell(f"seed {SEED}")
    generator = Generator(SEED, events=EVENTS)
    system = workers(post_memory=POST_MEMORY, interaction_memory=INTERACTION_MEMORY)
    first = system.start("first")
    second, third = system.make("second"), system.make("third")
    seen_again = 0.0
    with flowing(system, generator.events) as flow:
        flow.allow(0.3)
        second.start()
        flow.allow(0.6)
        third.start()
        flow.allow(0.8)
        seen_again += second.counter(SEEN_AGAIN)
        assert second.terminate() == 0
        first.wait_ready()
        third.wait_ready()
        flow.allow(0.95)
        seen_again += third.counter(SEEN_AGAIN)
        assert third.terminate() == 0
        first.wait_ready()
    reckon(system, first, generator.truth(), seen_again=seen_again)
