"""Topics that are changed under us are refused with what to do, and nothing is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable

import pytest

from tests.kafka.clients import (
    Record,
    add_partitions,
    delete_records,
    delete_topic,
    end_offsets,
    make_topic,
    produce,
    set_config,
)
from tests.kafka.feeding import send
from tests.kafka.refusing import refusal
from tests.kafka.test_rebuild import kol
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers
from tests.outcome import compare
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator, truth_of

#: A change is seen within seconds, and the end takes as long as a stop may.
REFUSAL_S = 60.0

MEMORIES = {"post_memory": POST_MEMORY, "interaction_memory": INTERACTION_MEMORY}


def last_words(worker: Worker) -> str:
    """The one line for its operator of a worker that has ended by itself, with exit code 2."""
    assert worker.wait(REFUSAL_S) == 2, worker.log()
    (line,) = {
        line
        for line in worker.log_path.read_text().splitlines()
        if line.startswith("kol: ") or "Traceback" in line
    }
    return line


def test_a_source_topic_made_anew_under_a_running_worker_is_refused_and_not_swallowed(
    workers: Callable[..., Workers],
) -> None:
    system = workers(**MEMORIES)
    generator = Generator(41, events=200, users=40)
    worker = system.start("only")
    send(system, generator.events)
    system.wait_until_scored(worker)

    delete_topic(system.broker, system.names.posts)
    make_topic(system.broker, system.names.posts, 4)
    send(system, generator.events[:20])
    for line in (last_words(worker), refusal(worker)):
        assert f"{system.names.posts} was deleted and made again" in line
        assert "kol rebuild" in line


def test_more_partitions_are_refused_with_the_way_to_go_on_on_which_nothing_is_lost(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    events = streams(42, events=900, users=150).in_any_order()  # partitions are read side by side
    system = workers(**MEMORIES)
    third = len(events) // 3
    names = system.names
    members = [system.make("first").launch(), system.make("second").launch()]
    for worker in members:
        worker.wait_ready()
    send(system, events[:third])
    add_partitions(system.broker, names.posts, 6)
    send(system, events[third : 2 * third])
    for worker in members:
        line = last_words(worker)
        assert f"{names.posts} has 6 partitions now" in line
    line = refusal(members[0])
    assert f"{names.posts} has 6 instead of 4 partitions" in line
    others = (names.interactions, names.events, names.thresholds)
    assert f"give {', '.join(others)} 6 too" in line
    assert "KOL_PARTITIONS=6" in line

    for topic in others:
        add_partitions(system.broker, topic, 6)
    heir = members[0]
    heir.environment["KOL_PARTITIONS"] = "6"
    done = json.loads(kol(heir, "rebuild", "--json"))
    heir.environment["KOL_APP_ID"] = done["app_id"]
    send(system, events[2 * third :])
    heir.start()
    system.wait_until_scored(heir)
    truth = truth_of(events)
    outcome = compare(heir.users(truth.users), truth)
    assert (outcome.lost, outcome.twice, outcome.wrong[:10]) == (0, 0, [])


def test_a_changelog_whose_beginning_was_deleted_is_told_and_refused_where_rows_are_missing(
    workers: Callable[..., Workers],
) -> None:
    system = workers(**MEMORIES)
    generator = Generator(43, events=200, users=40)
    worker = system.start("only")
    send(system, generator.events)
    system.wait_until_scored(worker)
    assert worker.terminate() == 0
    changelog = system.names.changelog
    half = {number: end // 2 for number, end in end_offsets(system.broker, changelog).items()}
    set_config(system.broker, changelog, cleanup_policy="compact,delete")
    delete_records(system.broker, changelog, half)
    set_config(system.broker, changelog, cleanup_policy="compact")

    worker.start()
    truth = generator.truth()
    outcome = compare(worker.users(truth.users), truth)
    assert (outcome.lost, outcome.twice, outcome.wrong) == (0, 0, [])
    assert f"{changelog}/0 has lost its first {half[0]} records" in worker.log_path.read_text()
    assert worker.terminate() == 0
    shutil.rmtree(worker.data_dir)
    line = refusal(worker)
    assert f"{changelog} begins at offset" in line
    assert "kol rebuild" in line


@pytest.mark.parametrize(
    ("topic", "key", "kind"),
    [
        ("thresholds", b"app/line", "LineRecord"),
        ("snapshots", b"app/0", "Snapshot"),
        ("rankings", b"app/0", "RankingChunk"),
    ],
)
def test_internal_records_of_a_newer_format_are_refused_with_what_to_do(
    workers: Callable[..., Workers], topic: str, key: bytes, kind: str
) -> None:
    system = workers()
    worker = system.start("only")
    newer = Record(key=key, value=b"\x02\x90", partition=0)
    produce(system.broker, getattr(system.names, topic), [newer])
    line = last_words(worker)
    assert f"{kind}: format 2 is not known to this program" in line
    assert "stop all workers, then start that program" in line
