"""The reckoning after a fault: every user and every KOL event, once each."""

from __future__ import annotations

import sys
from typing import Any

from tests.kafka.clients import consume
from tests.kafka.workers import Worker, Workers
from tests.outcome import chains, check_event, compare, line_differences
from tests.stream_of_events import Truth

#: Counts records that came again and were not applied twice.
SEEN_AGAIN = "kol_duplicates_total"


def reckon(
    workers: Workers, worker: Worker, truth: Truth, *, seen_again: float = 0
) -> dict[str, Any]:
    """Nothing lost, nothing counted twice, events chain, line and members fit; prints figures.

    Args:
        workers: of the test.
        worker: the one that is asked.
        truth: what all events amount to.
        seen_again: records that workers which have ended since saw again, for the figures.

    Returns:
        KOL events by user, repeated ones left out.
    """
    workers.wait_until_scored(worker)
    outcome = compare(worker.users(truth.users), truth)
    events, repeated = chains(consume(workers.broker, workers.names.events))
    seen_again += worker.counter(SEEN_AGAIN)
    tell(
        f"lost {outcome.lost}, counted twice {outcome.twice}, records seen again "
        f"{seen_again:.0f}, KOL events {sum(map(len, events.values()))}, sent again {repeated}"
    )
    assert (outcome.lost, outcome.twice, outcome.wrong[:10]) == (0, 0, [])
    for chain in events.values():
        for event in chain:
            check_event(event)
    members = {key for key, chain in events.items() if chain[-1]["tier"] is not None}
    assert members == {item["user"]["key"] for item in worker.kols()}
    scores = truth.scores(truth.high_mark).values()
    assert line_differences(worker.json("/api/v1/threshold"), scores, {"kol": 0.9}) == []
    return events


def tell(line: str) -> None:
    """Shown with `pytest -rP`, and with every failure."""
    sys.stdout.write(f"{line}\n")
