"""The soak in short: `make soak` runs the same for as long as asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.kafka.soak import soak

SECONDS = 35.0


def test_random_faults_one_after_another_lose_nothing(
    kafka_jars: Path, tmp_path: Path, seeded: Callable[[int], int]
) -> None:
    report = soak(tmp_path, seconds=SECONDS, seed=seeded(7))
    assert (report.lost, report.twice, report.events_wrong, report.wrong) == (0, 0, 0, [])
    assert report.events > 0
    assert report.tried
