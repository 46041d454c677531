"""Topics with holes: transactions committed, taken back and left open; retention; order of arrival.

Whatever stands in the topics when it can be read is counted, once; whatever was taken back is not.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable, Sequence

from tests.kafka.clients import (
    Record,
    consume,
    delete_records,
    end_offsets,
    open_transaction,
    produce,
    wait_for,
)
from tests.kafka.feeding import send
from tests.kafka.reckoning import reckon
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers
from tests.outcome import compare
from tests.stream_of_events import (
    INTERACTION_MEMORY,
    POST_MEMORY,
    Event,
    Generator,
    truth_of,
)

MEMORIES = {"post_memory": POST_MEMORY, "interaction_memory": INTERACTION_MEMORY}


def posts_of(events: Iterable[Event]) -> list[Record]:
    return [event.record for event in events if event.topic == "posts"]


def interactions_of(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if event.topic == "interactions"]


def ghosts(events: Sequence[Event]) -> list[Record]:
    """Posts of the same users that must never count."""
    return [
        dataclasses.replace(
            record, value=(record.value or b"").replace(b'"id": "', b'"id": "ghost')
        )
        for record in posts_of(events)
    ]


def test_what_a_transaction_took_back_is_not_scored_and_an_open_one_is_lag(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    generator = streams(31, events=1_000, users=200)
    system = workers(**MEMORIES)
    posts, broker = system.names.posts, system.broker
    fifth = len(generator.events) // 5
    committed, plain, late, behind, last = (
        generator.events[i * fifth : (i + 1) * fifth] for i in range(5)
    )
    worker = system.start("only")
    for start in range(0, fifth, 50):
        part = committed[start : start + 50]
        open_transaction(broker, posts, ghosts(part), "taken-back").abort_transaction(30)
        produce(broker, posts, posts_of(part), transactional_id="committed")
    forwarded = sum(event.misplaced for event in committed if event.topic == "posts")
    due = len(posts_of(committed)) + forwarded
    wait_for(lambda: worker.counter("kol_events_total", topic=posts) == due, "all to be read")
    wait_for(lambda: worker.counter("kol_lag") == 0, "markers to be no records")
    send(system, [*plain, *interactions_of(committed)])
    system.wait_until_scored(worker)

    open_one = open_transaction(broker, posts, posts_of(late), "open")
    before = worker.counter("kol_events_total", topic=posts)
    send(system, [*interactions_of(late), *behind])
    wait_for(lambda: worker.counter("kol_lag", topic=posts) >= fifth / 2, "the open one to be lag")
    wait_for(lambda: interactions_are_scored(system, worker), "the interactions to be scored")
    assert worker.is_ready()
    assert worker.counter("kol_events_total", topic=posts) == before
    open_one.commit_transaction(30)
    open_transaction(broker, posts, ghosts(behind), "taken-back").abort_transaction(30)
    send(system, last)
    reckon(system, worker, generator.truth())
    assert worker.counter("kol_lag") == 0
    assert worker.counter("kol_missed_records_total") == 0


def test_what_retention_took_unread_is_told_and_all_that_is_left_is_scored(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    generator = streams(32, events=800, users=200)
    system = workers(**MEMORIES)
    half = len(generator.events) // 2
    worker = system.start("only")
    send(system, generator.events[:half])
    system.wait_until_scored(worker)
    assert worker.terminate() == 0

    posts = system.names.posts
    read = end_offsets(system.broker, posts)
    send(system, generator.events[half:])
    ends = end_offsets(system.broker, posts)
    kept_from = {number: (read[number] + ends[number]) // 2 for number in read}
    delete_records(system.broker, posts, kept_from)
    left = {record.value for record in consume(system.broker, posts)}
    events = generator.events[:half] + [
        event
        for event in generator.events[half:]
        if event.topic == "interactions" or event.record.value in left
    ]
    truth = truth_of(events)

    worker.start()
    system.wait_until_scored(worker)
    outcome = compare(worker.users(truth.users), truth)
    assert (outcome.lost, outcome.twice, outcome.wrong[:10]) == (0, 0, [])
    lost = sum(kept_from.values()) - sum(read.values())
    wait_for(
        lambda: worker.counter("kol_missed_records_total", topic=posts) == lost,
        "what is missing to be told",
    )
    assert "retention has taken" in worker.log_path.read_text()


def test_the_order_of_arrival_changes_nothing(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    """Duplicated, and shuffled across partitions, topics and time."""
    generator = streams(33, events=900, users=150)
    system = workers(**MEMORIES)
    chance = random.Random(33)
    events = generator.in_any_order()
    truth = truth_of(events)
    events += chance.sample(events, 200)
    chance.shuffle(events)
    worker = system.start("only")
    send(system, events)
    reckon(system, worker, truth)


def interactions_are_scored(system: Workers, worker: Worker) -> bool:
    topic = system.names.interactions
    cut = worker.json("/api/v1/threshold")["cut"].get(topic, {})
    return bool(cut == {str(p): end for p, end in end_offsets(system.broker, topic).items()})
