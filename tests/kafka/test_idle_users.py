"""Users who post nothing are promoted and demoted too: by a line that moves, and by time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from tests.kafka.clients import Record, consume, produce
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers
from tests.outcome import chains
from tests.stream_of_events import START

DAY_MS = 86_400_000
GROUP = 20


class Story:
    """Groups of users who post one after the other; what was sent is told chapter by chapter."""

    def __init__(self, system: Workers, worker: Worker) -> None:
        self._system = system
        self._worker = worker
        self._told = 0
        self._posts = 0

    def posts(self, day: int, users: Iterable[str], likes: Callable[[int], int]) -> list[Any]:
        """Each user posts once on that day; returns the events that come of it, in short."""
        records = []
        for number, user in enumerate(users):
            self._posts += 1
            content = {
                "id": f"p{self._posts}",
                "platform": "x",
                "user_id": user,
                "text": f"Text {self._posts} is unlike all others.",
                "created_at": START + day * DAY_MS + number,
                "follower_count": 100,
                "like_count": likes(number),
            }
            records.append(Record(key=f"x:{user}".encode(), value=json.dumps(content).encode()))
        produce(self._system.broker, self._system.names.posts, records)
        self._system.wait_until_scored(self._worker)
        return self._new_events()

    def _new_events(self) -> list[Any]:
        stored = consume(self._system.broker, self._system.names.events)
        chains(stored)
        events = sorted((json.loads(r.value or b"") for r in stored), key=lambda e: e["emitted_at"])
        new, self._told = events[self._told :], len(events)
        return new


def names(prefix: str, numbers: Iterable[int] = range(GROUP)) -> list[str]:
    return [f"{prefix}{number:02}" for number in numbers]


def last_events(events: Iterable[Any]) -> dict[str, tuple[str, str]]:
    """Kind and cause of each user's last event."""
    return {e["user"]["user_id"]: (e["kind"], e["cause"]["type"]) for e in events}


def test_idle_users_follow_the_line_and_the_clock(workers: Callable[..., Workers]) -> None:
    system = workers(partitions=2, active_window="10d", min_population=10, leave_margin=0)
    worker = system.start("only")
    story = Story(system, worker)
    kols = names("u", (18, 19))

    story.posts(0, names("u"), likes=lambda n: 10 * (n + 1))
    assert members(worker) == set(kols), "two of twenty are the upper tenth"

    risen = last_events(story.posts(5, names("v"), likes=lambda n: 1000 * (n + 1)))
    assert {user: risen[user] for user in kols} == dict.fromkeys(kols, ("demoted", "threshold"))
    assert members(worker) == set(names("v", (16, 17, 18, 19)))

    story.posts(9, names("u"), likes=lambda n: 10 * (n + 1))
    assert members(worker) == set(names("v", (16, 17, 18, 19)))

    fallen = story.posts(16, ["u00"], likes=lambda n: 0)
    told = last_events(fallen)
    gone = names("v", (16, 17, 18, 19))
    assert {user: told[user] for user in gone} == dict.fromkeys(gone, ("demoted", "inactivity"))
    assert {user: told[user] for user in kols} == dict.fromkeys(kols, ("promoted", "threshold"))
    assert members(worker) == set(kols)
    assert worker.json("/api/v1/threshold")["population"] == GROUP
    for event in fallen:
        if event["cause"]["type"] == "inactivity":
            assert event["percentile"] is None, "she is outside the population"

    alone = last_events(story.posts(30, ["w"], likes=lambda n: 0))
    assert {user: alone[user] for user in kols} == dict.fromkeys(kols, ("demoted", "inactivity"))
    threshold = worker.json("/api/v1/threshold")
    assert (threshold["population"], threshold["tiers"][0]["enter"]) == (1, None)
    assert members(worker) == set()


def members(worker: Worker) -> set[str]:
    return {item["user"]["user_id"] for item in worker.kols()}
