"""kill -9 at random points: exact totals, with the same state, an older one, and none."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.kafka.clients import consume
from tests.kafka.feeding import send
from tests.kafka.reckoning import SEEN_AGAIN, reckon
from tests.kafka.worker import wait_until_handled
from tests.kafka.workers import Workers
from tests.outcome import chains
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

MEMORIES = {"post_memory": POST_MEMORY, "interaction_memory": INTERACTION_MEMORY}


def test_a_worker_killed_at_random_points_counts_everything_once(
    workers: Callable[..., Workers],
    seeded: Callable[[int], int],
    streams: Callable[..., Generator],
) -> None:
    seed = seeded(90210)
    chance = random.Random(seed)
    generator = streams(seed, events=20_000)
    system = workers(**MEMORIES)
    send(system, generator.events)
    worker, heir = system.make("killed"), system.make("heir")
    seen_again = 0.0
    for handled in (1, *(chance.randrange(500, 4_000) for _ in range(3))):
        worker.launch()
        wait_until_handled(worker, handled)
        seen_again += worker.counter(SEEN_AGAIN)
        worker.kill()
    heir.start()
    reckon(system, heir, generator.truth(), seen_again=seen_again)


def test_a_worker_with_its_state_wiped_or_of_before_finds_everything_again(
    workers: Callable[..., Workers], streams: Callable[..., Generator], tmp_path: Path
) -> None:
    generator = streams(1701, events=4_000, users=300)
    system = workers(**MEMORIES)
    half = len(generator.events) // 2
    worker = system.start("only")
    send(system, generator.events[:half])
    wait_until_handled(worker, 1_000)
    with worker.frozen():
        shutil.copytree(worker.data_dir, tmp_path / "before")
    send(system, generator.events[half:])
    events = reckon(system, worker, generator.truth())
    rows = worker.users(generator.truth().users)

    for state in (None, tmp_path / "before"):
        worker.kill()
        shutil.rmtree(worker.data_dir)
        if state is not None:
            shutil.copytree(state, worker.data_dir)
        worker.start()
        system.wait_until_scored(worker)
        assert worker.users(rows) == rows
        after, _ = chains(consume(system.broker, system.names.events))
        assert ids(after) == ids(events)


def ids(events: dict[str, list[dict[str, str]]]) -> dict[str, list[str]]:
    return {key: [event["event_id"] for event in chain] for key, chain in events.items()}
