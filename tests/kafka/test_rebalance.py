"""Workers come and go while events flow: nothing is lost and nothing counts twice."""

from __future__ import annotations

from collections.abc import Callable

from tests.kafka.feeding import flowing, send
from tests.kafka.reckoning import SEEN_AGAIN, reckon, tell
from tests.kafka.workers import Workers
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

SEED = 4711
EVENTS = 20_000
#: The goal for what a rebalance among workers that come and go in order brings again.
MOST_SEEN_AGAIN = 0.02


def test_workers_joining_and_leaving_lose_nothing(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    generator = streams(SEED, events=EVENTS)
    system = workers(post_memory=POST_MEMORY, interaction_memory=INTERACTION_MEMORY)
    stays = system.start("stays")
    others = [system.make(name) for name in ("second", "third", "fourth")]
    seen_again = 0.0
    with flowing(system, generator.events) as flow:
        for number, other in enumerate(others, 1):
            flow.allow(0.2 * number)
            other.start()
        for number, other in enumerate(others, 1):
            flow.allow(0.6 + 0.12 * number)
            seen_again += other.counter(SEEN_AGAIN)
            assert other.terminate() == 0
            stays.wait_ready()
    reckon(system, stays, generator.truth(), seen_again=seen_again)
    share = (seen_again + stays.counter(SEEN_AGAIN)) / len(generator.events)
    tell(f"share redelivered over six rebalances {100 * share:.2f} %")
    assert share <= MOST_SEEN_AGAIN


def test_the_first_posts_of_a_new_system_survive_a_join_before_anything_is_committed(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    """The first worker is at its first texts until the second one has joined."""
    generator = streams(SEED, events=2_000)
    system = workers(post_memory=POST_MEMORY, interaction_memory=INTERACTION_MEMORY)
    first = system.start("first", "--first-texts-take", "20")
    send(system, generator.events)
    system.start("second")
    reckon(system, first, generator.truth())
