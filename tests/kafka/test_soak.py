"""The soak in short: `make soak` runs the same for as long as asked."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

from tests.kafka.chaos import FAULTS, plan
from tests.kafka.soak import soak

SECONDS = 30.0


def test_a_seed_gives_one_plan_in_which_every_fault_has_its_turn() -> None:
    steps = list(islice(plan(3), 2 * len(FAULTS)))
    assert steps == list(islice(plan(3), 2 * len(FAULTS)))
    assert steps != list(islice(plan(4), 2 * len(FAULTS)))
    for turn in (steps[: len(FAULTS)], steps[len(FAULTS) :]):
        assert {step.fault for step in turn} == set(FAULTS)


def test_random_faults_one_after_another_lose_nothing(
    kafka_jars: Path, tmp_path: Path, seeded: Callable[[int], int]
) -> None:
    report = soak(tmp_path, seconds=SECONDS, seed=seeded(7))
    assert (report.lost, report.twice, report.events_wrong, report.wrong) == (0, 0, 0, [])
    assert report.events > 0
    assert report.tried
