"""Times from the future are clamped; partitions that end in a transaction's marker are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from stream_app.messages import partition_of, rfc3339
from tests.kafka.clients import Record, produce, wait_for
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers
from tests.stream_of_events import START

DAY_MS = 86_400_000
SKEW_MS = 5 * 60_000


def record(user: str, created_at: int, *, timestamp_ms: int | None = None, **more: Any) -> Record:
    content = {
        "id": f"p{created_at}",
        "platform": "x",
        "user_id": user,
        "text": f"What {user} thinks at {created_at}.",
        "created_at": created_at,
    }
    value = json.dumps(content | more).encode()
    return Record(key=f"x:{user}".encode(), value=value, timestamp_ms=timestamp_ms)


def test_a_time_from_the_future_becomes_the_records_and_moves_no_high_mark(
    workers: Callable[..., Workers],
) -> None:
    system = workers(partitions=2)
    worker = system.start("only")
    future = START + 3650 * DAY_MS
    posts = [
        record("allowed", START + SKEW_MS, timestamp_ms=START),
        record("clamped", future, timestamp_ms=START, observed_at=future + 1),
        record("read-late", START - 5, timestamp_ms=START, observed_at=future, like_count=3),
    ]
    produce(system.broker, system.names.posts, posts)
    system.wait_until_scored(worker)

    found = worker.users(["x:allowed", "x:clamped", "x:read-late"])
    created = {key: user["recent_posts"][0]["created_at"] for key, user in found.items()}
    assert created == {
        "x:allowed": rfc3339(START + SKEW_MS),
        "x:clamped": rfc3339(START),
        "x:read-late": rfc3339(START - 5),
    }
    assert found["x:read-late"]["raw"]["like"] == 3
    assert {user["as_of"] for user in found.values()} == {rfc3339(START + SKEW_MS)}
    assert worker.counter("kol_clamped_times_total") == 2, "once an event, not once a time"


def test_a_partition_that_ends_in_a_transactions_marker_holds_up_no_expiry(
    workers: Callable[..., Workers],
) -> None:
    system = workers(partitions=2, active_window="10d")
    worker = system.start("only")
    early, late = (
        next(f"u{n}" for n in range(99) if partition_of(b"x:u%d" % n, 2) == partition)
        for partition in (0, 1)
    )
    posts = [record(early, START), record(late, START + 30 * DAY_MS)]
    produce(system.broker, system.names.posts, posts, transactional_id=system.names.posts)

    wait_for(lambda: population(worker) == 1, "the early one to become inactive")
    assert worker.counter("kol_lag") == 0
    shown = worker.users([f"x:{early}", f"x:{late}"])
    assert [user["eligible"] for user in shown.values()] == [False, True]
    assert worker.terminate() == 0
    worker.start()
    wait_for(lambda: population(worker) == 1, "the same after a restart")


def population(worker: Worker) -> int:
    found: int = worker.json("/api/v1/threshold")["population"]
    return found
