"""The whole app on the embedded broker: one worker, a small stream, everything comes out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stream_app.embedded import OFFSET_COMMIT, PRODUCE, EmbeddedBroker
from stream_app.engine.topics import topic_table
from stream_app.messages import partition_of
from tests.kafka.clients import consume
from tests.kafka.feeding import send
from tests.kafka.odd_headers import produce_odd
from tests.kafka.reckoning import reckon
from tests.kafka.worker import wait_until_handled
from tests.kafka.workers import Workers
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

SEED = 12
PARTITIONS = 2
NOT_ENOUGH_REPLICAS, COORDINATOR_NOT_AVAILABLE = 19, 15  # errors that clients try again on


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


@pytest.fixture
def workers(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Workers]:
    memories = {"post_memory": POST_MEMORY, "interaction_memory": INTERACTION_MEMORY}
    with closing(
        Workers(broker.bootstrap, "", tmp_path, partitions=PARTITIONS, **memories)
    ) as made:
        for spec in topic_table(made.settings):
            broker.create_topic(spec.name, spec.partitions or 1)
        yield made


@pytest.fixture
def generator() -> Generator:
    return Generator(SEED, events=1_000, users=150, partitions=PARTITIONS)


def test_rows_line_members_and_events_are_what_the_stream_amounts_to(
    workers: Workers, generator: Generator
) -> None:
    worker = workers.start("only")
    send(workers, generator.events[:500])
    workers.wait_until_scored(worker)
    send(workers, generator.events[500:])

    events = reckon(workers, worker, generator.truth())

    assert any(event["kind"] == "promoted" for chain in events.values() for event in chain)
    bad = [event.record.value for event in generator.events if event.content is None]
    letters = consume(workers.broker, workers.names.dead_letters)
    assert sorted(str(letter.value) for letter in letters) == sorted(map(str, bad))
    items = worker.json("/api/v1/rankings?limit=500")["items"]
    truth = generator.truth()
    scores = truth.scores(truth.high_mark)
    assert [item["user"]["key"] for item in items] == sorted(scores, key=scores.get, reverse=True)  # type: ignore[arg-type]


def test_a_worker_stopped_and_started_goes_on_where_it_was(
    workers: Workers, generator: Generator
) -> None:
    worker = workers.start("only")
    send(workers, generator.events[:500])
    wait_until_handled(worker, 200)
    assert worker.terminate() == 0
    send(workers, generator.events[500:])
    worker.start()
    reckon(workers, worker, generator.truth())


def test_a_broker_that_refuses_for_a_moment_only_delays(
    broker: EmbeddedBroker, workers: Workers, generator: Generator
) -> None:
    worker = workers.start("only")
    send(workers, generator.events)
    broker.push_request_errors(PRODUCE, [NOT_ENOUGH_REPLICAS] * 3)
    broker.push_request_errors(OFFSET_COMMIT, [COORDINATOR_NOT_AVAILABLE])
    reckon(workers, worker, generator.truth())


def test_headers_whose_names_are_no_utf_8_stop_nobody(
    broker: EmbeddedBroker, workers: Workers
) -> None:
    worker = workers.start("only")
    home = partition_of(b"x:u", PARTITIONS)
    posts = [
        json.dumps({"id": f"p{n}", "platform": "x", "user_id": "u", "text": "", "created_at": n})
        for n in range(6)
    ]
    produce_odd(broker.bootstrap, workers.names.posts, home, *posts[:3], "{", "{", *posts[3:])

    workers.wait_until_scored(worker)
    assert worker.json("/api/v1/users/x%3Au")["raw"]["posts"] == 6
    letters = consume(workers.broker, workers.names.dead_letters)
    assert [letter.value for letter in letters] == [b"{", b"{"]
    names = [[name for name, _ in letter.headers if name[0] != "d"] for letter in letters]
    assert names == [["plain", r"h\xff\xfe"], ["plain"]]
