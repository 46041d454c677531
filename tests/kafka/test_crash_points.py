"""kill -9 exactly where it could hurt: between two steps that belong together.

Each test draws after how many passings of a point the worker dies, and restarts it once on its own
state and once on that of another machine, which is older or none.
"""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.kafka.feeding import Flow, flowing
from tests.kafka.reckoning import reckon, tell
from tests.kafka.worker import READY_TIMEOUT_S, Worker
from tests.kafka.workers import Workers
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

EVENTS = 3_000
USERS = 300
SEED = 2718
#: Small batches, so that points are passed often.
SETTINGS = {
    "post_memory": POST_MEMORY,
    "interaction_memory": INTERACTION_MEMORY,
    "batch_size": 32,
}


class Scene:
    """A stream in flow, and a worker that dies again and again, on one of two machines in turn."""

    def __init__(self, system: Workers, flow: Flow, chance: random.Random) -> None:
        self.system = system
        self.homes = [system.make("here"), system.make("there")]
        self._flow = flow
        self._chance = chance
        self._share = 0.0

    def go_on(self, share: float) -> None:
        """So much more of the stream may flow."""
        self._share += share
        self._flow.allow(self._share)

    def die(self, point: str, *, within: int, share: float = 0.15) -> Worker:
        """The worker has died at a passing of the point, drawn from the first few."""
        self.go_on(share)
        worker = self.homes[0]
        self.homes.reverse()
        fault = f"kill@{point}:{self._chance.randint(1, within)}"
        tell(fault)
        worker.launch("--fault", fault)
        assert worker.wait(READY_TIMEOUT_S) == -signal.SIGKILL
        return worker


Scenes = Callable[[], AbstractContextManager[Scene]]


@pytest.fixture
def scenes(
    workers: Callable[..., Workers],
    seeded: Callable[[int], int],
    streams: Callable[..., Generator],
) -> Scenes:
    """Makes the scene; at the end of its block an heir takes over and everything is reckoned."""

    @contextmanager
    def open_scene() -> Iterator[Scene]:
        seed = seeded(SEED)
        generator = streams(seed, events=EVENTS, users=USERS)
        system = workers(**SETTINGS)
        with flowing(system, generator.events) as flow:
            scene = Scene(system, flow, random.Random(seed))
            yield scene
            heir = scene.homes[0].start()
        reckon(system, heir, generator.truth())

    return open_scene


def test_killed_between_the_changelog_and_the_commit_it_counts_everything_once(
    scenes: Scenes,
) -> None:
    with scenes() as scene:
        for point in ("confirmed:users-changelog", "stored"):
            scene.die(point, within=12)


def test_killed_between_a_kol_event_and_the_commit_it_tells_everything_once(
    scenes: Scenes,
) -> None:
    with scenes() as scene:
        scene.die("confirmed:kol-events", within=3)
        for point in ("applied", "acknowledged"):
            scene.die(point, within=12)


def test_killed_while_its_rows_come_back_it_counts_everything_once(scenes: Scenes) -> None:
    with scenes() as scene:
        scene.die("stored", within=12, share=0.5)
        for point in ("reading", "recovered"):
            shutil.rmtree(scene.homes[0].data_dir, ignore_errors=True)
            scene.die(point, within=1)


def test_killed_in_a_rebalance_it_counts_everything_once(scenes: Scenes) -> None:
    with scenes() as scene:
        scene.go_on(0.2)
        scene.system.start("stays")
        scene.die("assigned", within=1)
        leaves, joins = scene.homes
        leaves.start("--fault", "kill@revoked:2")  # the first time is its own joining
        scene.go_on(0.2)
        joins.launch()
        assert leaves.wait(READY_TIMEOUT_S) == -signal.SIGKILL
        joins.wait_ready()
