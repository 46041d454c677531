"""Rows on this machine are only ever those of the changelog at the broker."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable

from stream_app.engine.topics import create_topics
from tests.kafka.clients import delete_topic
from tests.kafka.feeding import send
from tests.kafka.reckoning import reckon
from tests.kafka.refusing import refusal
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers
from tests.outcome import compare
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

MEMORIES = {"post_memory": POST_MEMORY, "interaction_memory": INTERACTION_MEMORY}


def scored(system: Workers, generator: Generator) -> Worker:
    """A worker that has scored the stream, at rest."""
    worker = system.start("only")
    send(system, generator.events)
    system.wait_until_scored(worker)
    assert worker.terminate() == 0
    return worker


def create_changelog(system: Workers, app_id: str) -> None:
    settings = system.settings.model_copy(update={"app_id": app_id})
    asyncio.run(create_topics(settings))


def test_a_second_app_on_the_same_folder_does_not_see_the_rows_of_the_first(
    workers: Callable[..., Workers],
) -> None:
    system = workers(**MEMORIES)
    generator = Generator(2, events=300, users=40)
    worker = scored(system, generator)
    create_changelog(system, "other")

    worker.start(app_id="other")
    system.wait_until_scored(worker)
    outcome = compare(worker.users(generator.truth().users), generator.truth())
    assert (outcome.lost, outcome.twice, outcome.wrong) == (0, 0, [])
    # What the first app has forwarded is passed over: a repeat would be a row of the first app.
    assert worker.counter("kol_duplicates_total") == 0
    assert worker.terminate() == 0
    assert {path.name for path in worker.data_dir.iterdir()} == {"app-app", "app-other"}


def test_a_changelog_made_anew_under_the_rows_is_refused_whatever_is_deleted(
    workers: Callable[..., Workers],
) -> None:
    system = workers(**MEMORIES)
    worker = scored(system, Generator(3, events=100, users=20))
    delete_topic(system.broker, system.names.changelog)
    create_changelog(system, "app")

    line = refusal(worker)
    assert "KOL_DATA_DIR" in line
    assert system.names.changelog in line
    assert "kol rebuild" in line

    # What the line says for another Kafka, which this is not: there would be rows to come back.
    shutil.rmtree(worker.data_dir)
    line = refusal(worker)
    assert f"{system.names.changelog} is empty" in line
    assert "kol rebuild" in line


def test_a_changelog_made_anew_under_a_running_worker_is_refused_at_once_and_ever_after(
    workers: Callable[..., Workers],
) -> None:
    system = workers(**MEMORIES)
    generator = Generator(4, events=200, users=20)
    worker = system.start("only")
    send(system, generator.events[:100])
    system.wait_until_scored(worker)
    delete_topic(system.broker, system.names.changelog)
    create_changelog(system, "app")
    send(system, generator.events[100:])
    assert worker.wait() == 2
    said = worker.log()  # whichever comes first: its next write, or its next look at the topics
    assert "made again" in said
    assert "kol rebuild" in said

    shutil.rmtree(worker.data_dir)
    assert "kol rebuild" in refusal(worker)


def test_a_second_worker_on_the_same_folder_is_refused_and_the_first_goes_on(
    workers: Callable[..., Workers],
) -> None:
    system = workers(**MEMORIES)
    first = system.start("first")
    second = system.make("second", data_dir=first.data_dir)
    assert "in use by another running worker" in refusal(second)
    assert first.is_ready()


def test_rows_deleted_on_this_machine_come_back_from_the_changelog(
    workers: Callable[..., Workers],
) -> None:
    system = workers(**MEMORIES)
    generator = Generator(5, events=300, users=40)
    worker = scored(system, generator)
    shutil.rmtree(worker.data_dir)
    worker.start()
    outcome = compare(worker.users(generator.truth().users), generator.truth())
    assert (outcome.lost, outcome.twice, outcome.wrong) == (0, 0, [])


def test_a_worker_stopped_in_order_goes_on_from_the_columns_that_it_kept(
    workers: Callable[..., Workers],
) -> None:
    system = workers(**MEMORIES, min_population=20)
    generator = Generator(6, events=600, users=60)
    worker = scored(system, Generator(6, events=300, users=60))
    kept = sorted(path.name for path in (worker.data_dir / "app-app").glob("columns-*"))
    assert kept == [f"columns-{number}" for number in range(4)]
    worker.start()
    send(system, generator.events[300:])
    reckon(system, worker, generator.truth())
