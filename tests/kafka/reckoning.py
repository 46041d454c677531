"""The reckoning after a fault: every user and every KOL event, once each."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from stream_app.group_offsets import GroupOffsets
from tests.kafka.clients import consume, wait_for
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers
from tests.outcome import (
    check_event,
    compare,
    line_differences,
    read_chains,
    tier_differences,
)
from tests.stream_of_events import Truth

#: Counts records that came again and were not applied twice.
SEEN_AGAIN = "kol_duplicates_total"


@dataclass
class Account:
    """How far a system at rest is from the truth."""

    lost: int
    twice: int
    #: users or lines that are not what they should be
    wrong: list[str]
    #: KOL events that are missing, contradict each other or the rows
    events_wrong: list[str]
    events: dict[str, list[Any]]
    repeated: int

    def __str__(self) -> str:
        count = sum(map(len, self.events.values()))
        return (
            f"lost {self.lost}, counted twice {self.twice}, KOL events {count}, "
            f"sent again {self.repeated}"
        )


def audit(workers: Workers, worker: Worker, truth: Truth) -> Account:
    """What a worker of a system at rest shows, and the KOL events, held against the truth."""
    shown = worker.users(truth.users)
    outcome = compare(shown, truth)
    found = read_chains(consume(workers.broker, workers.names.events))
    for chain in found.users.values():
        for event in chain:
            check_event(event)
    members = {key for key, chain in found.users.items() if chain[-1]["tier"] is not None}
    listed = {item["user"]["key"] for item in worker.kols()}
    scores = truth.scores(truth.high_mark).values()
    line_wrong = line_differences(worker.json("/api/v1/threshold"), scores, {"kol": 0.9})
    return Account(
        lost=outcome.lost,
        twice=outcome.twice,
        wrong=outcome.wrong + line_wrong,
        events_wrong=[
            *found.broken,
            *tier_differences(shown, found.users),
            *(f"{key}: member and event disagree" for key in members ^ listed),
        ],
        events=dict(found.users),
        repeated=found.repeated,
    )


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
    account = audit(workers, worker, truth)
    seen_again += worker.counter(SEEN_AGAIN)
    tell(f"{account}, records seen again {seen_again:.0f}")
    for differences in (account.wrong[:10], account.events_wrong[:10]):
        assert not differences, differences
    assert (account.lost, account.twice) == (0, 0)
    wait_for(lambda: commits_reached_the_end(workers), "all that was handled to be committed")
    return account.events


def commits_reached_the_end(workers: Workers) -> bool:
    """Whether the group has committed everything that the source topics and the lines hold."""
    names = workers.names
    with GroupOffsets(workers.settings, workers.settings.app_id) as group:
        places = group.places((names.posts, names.interactions, names.thresholds))
        committed = group.committed(places)
        ends = {place: group.bounds(place)[1] for place in places}
    return all(
        end == (committed[place].offset if place in committed else 0) for place, end in ends.items()
    )


def tell(line: str) -> None:
    """Shown with `pytest -rP`, and with every failure."""
    sys.stdout.write(f"{line}\n")
