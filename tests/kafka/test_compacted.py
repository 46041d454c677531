"""Kafka has compacted a topic, which leaves holes: what is left counts, and counts once."""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from collections.abc import Callable, Sequence

from stream_app.messages import partition_of
from tests.kafka.clients import StoredRecord, consume, end_offsets, set_config, wait_for
from tests.kafka.feeding import send
from tests.kafka.reckoning import reckon, tell
from tests.kafka.workers import Workers
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Event, Generator, truth_of

MEMORIES = {"post_memory": POST_MEMORY, "interaction_memory": INTERACTION_MEMORY}
#: Everything but the newest segment is compacted as soon as Kafka looks.
EAGER = {"min_cleanable_dirty_ratio": "0", "min_compaction_lag_ms": "0"}
SEGMENT_MS = 60_000
COMPACTED_S = 60.0  # Kafka looks every 15 s


def test_posts_that_compaction_took_leave_holes_and_all_that_is_left_counts_once(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    generator = streams(34, events=2_500, users=200)
    system = workers(**MEMORIES)
    posts = system.names.posts
    third = len(generator.events) // 3
    worker = system.start("only")
    send(system, generator.events[:third])
    system.wait_until_scored(worker)
    assert worker.terminate() == 0

    # Such a topic takes nothing without a key.
    unread = [event for event in generator.events[third:] if event.record.key is not None]
    set_config(system.broker, posts, cleanup_policy="compact", segment_ms=str(SEGMENT_MS), **EAGER)
    send_in_segments(system, unread)
    before = sum(end_offsets(system.broker, posts).values())
    wait_for(lambda: is_compacted(consume(system.broker, posts)), "compaction", COMPACTED_S)
    set_config(system.broker, posts, cleanup_policy="delete")
    left = {record.value for record in consume(system.broker, posts)}
    tell(f"{before} posts before compaction, {len(left)} after")

    events = generator.events[:third] + [
        event for event in unread if event.topic == "interactions" or event.record.value in left
    ]
    worker.start()
    reckon(system, worker, truth_of(events))
    assert worker.counter("kol_missed_records_total") == 0


def send_in_segments(system: Workers, events: Sequence[Event]) -> None:
    """A segment for each part, by the records' times, and a newest one with one record in it."""
    start = int(time.time() * 1000) - 10 * SEGMENT_MS
    size = math.ceil(len(events) / 5)
    parts = [events[number : number + size] for number in range(0, len(events), size)]
    parts.append(one_of_each_partition(system, events))
    for number, part in enumerate(parts, 1):
        at = start + 2 * number * SEGMENT_MS
        send(
            system,
            [
                dataclasses.replace(e, record=dataclasses.replace(e.record, timestamp_ms=at))
                for e in part
            ],
        )


def one_of_each_partition(system: Workers, events: Sequence[Event]) -> list[Event]:
    owners = {}
    for event in events:
        if event.topic == "posts" and event.content is not None:
            owners[partition_of(event.record.key or b"", system.settings.partitions)] = event
    return list(owners.values())


def is_compacted(records: Sequence[StoredRecord]) -> bool:
    """Each key is there once, the newest record of a partition aside."""
    last = {record.partition: record.offset for record in records}
    closed = [(r.partition, r.key) for r in records if r.offset < last[r.partition]]
    return len(closed) == len(set(closed))


def test_a_changelog_that_was_compacted_has_every_row(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    generator = streams(35, events=2_500, users=200)
    system = workers(**MEMORIES)
    changelog, truth = system.names.changelog, generator.truth()
    set_config(system.broker, changelog, segment_ms="100", **EAGER)
    worker = system.start("only")
    third = math.ceil(len(generator.events) / 3)
    for start in (0, third, 2 * third):
        send(system, generator.events[start : start + third])
        system.wait_until_scored(worker)
    reckon(system, worker, truth)
    written = sum(end_offsets(system.broker, changelog).values())
    wait_for(
        lambda: len(consume(system.broker, changelog)) < written / 2, "compaction", COMPACTED_S
    )
    assert worker.terminate() == 0

    shutil.rmtree(worker.data_dir)
    worker.start()
    reckon(system, worker, truth)
