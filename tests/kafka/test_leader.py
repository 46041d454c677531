"""The leader is killed: another draws the line, and no version goes backwards."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from stream_app.engine.internal_records import LineRecord, decode
from tests.kafka.clients import assignments, consume, wait_for
from tests.kafka.feeding import flowing
from tests.kafka.reckoning import reckon
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

SEED = 1848


def test_a_killed_leader_is_replaced_and_no_version_goes_backwards(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    generator = streams(SEED, events=4_000, users=300)
    system = workers(post_memory=POST_MEMORY, interaction_memory=INTERACTION_MEMORY)
    ones = [system.make(name).launch() for name in ("first", "second")]
    for one in ones:
        one.wait_ready()
    seen: list[int] = []
    with flowing(system, generator.events) as flow:
        flow.allow(0.4)
        wait_for(lambda: grows(seen, ones[0]) and grows(seen, ones[1]), "a line")
        leader, other = sorted(ones, key=lambda one: not leads(system, one))
        grows(seen, other)
        before = seen[-1]
        leader.kill()
        flow.allow(0.9)
        wait_for(lambda: grows(seen, other) and seen[-1] > before, "a new leader's line", 60.0)
    reckon(system, other, generator.truth())
    grows(seen, other)
    assert all(before <= after for before, after in pairwise(seen)), seen
    for partition in range(system.settings.partitions):
        versions = published(system, partition)
        assert versions == sorted(versions)
        assert versions[-1] == seen[-1]


def leads(system: Workers, worker: Worker) -> bool:
    """Whether it owns the snapshots; it is known by the partitions of posts that it owns."""
    (held,) = [
        places
        for places in assignments(system.broker, system.settings.app_id)
        if {str(p) for topic, p in places if topic == system.names.posts} == worker.owned()
    ]
    return (system.names.snapshots, 0) in held


def grows(seen: list[int], worker: Worker) -> bool:
    """Notes the version that a worker shows; whether it has one."""
    status, _ = worker.get("/api/v1/threshold")
    if status != 200:
        return False
    line: Any = worker.json("/api/v1/threshold")
    seen.append(line["version"])
    return line["tiers"][0]["enter"] is not None


def published(system: Workers, partition: int) -> list[int]:
    return [
        decode(LineRecord, record.value).line.version
        for record in consume(system.broker, system.names.thresholds)
        if record.partition == partition and record.value
    ]
