"""`kol rebuild`: a new app beside the old one, from the posts in Kafka or from now on."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.kafka.clients import consume, end_offsets
from tests.kafka.feeding import send
from tests.kafka.refusing import refusal
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers
from tests.outcome import chains, compare
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator, truth_of

COMMAND_TIMEOUT_S = 60
MEMORIES = {"post_memory": POST_MEMORY, "interaction_memory": INTERACTION_MEMORY}


def kol(worker: Worker, *arguments: str, code: int = 0) -> str:
    """What the command prints under the worker's settings; its error line when it must fail."""
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", *arguments],
        env=worker.environment,
        cwd=worker.log_path.parent,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == code, done.stderr
    if code == 0:
        return done.stdout
    (line,) = done.stderr.splitlines()
    return line


def shown(worker: Worker, keys: Iterable[str]) -> dict[str, Any]:
    """What makes a user's answer, without what tells of the way there: leaves by their path."""
    told = ("score", "factors", "raw", "decayed", "recent_posts")
    users = worker.users(keys)
    return dict(leaves({key: {name: user[name] for name in told} for key, user in users.items()}))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers apart from what must be the very same: sums depend on the order by a last digit."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, part in items:
            yield from leaves(part, f"{path}/{name}")
    else:
        is_number = isinstance(value, float)
        yield path, pytest.approx(value, rel=1e-9, abs=1e-9) if is_number else value


def test_all_posts_are_scored_again_under_the_new_settings_as_a_fresh_system_would(
    workers: Callable[..., Workers],
) -> None:
    system = workers(**MEMORIES)
    generator = Generator(21, events=600, users=150)
    truth = generator.truth()
    worker = system.start("only")
    send(system, generator.events)
    system.wait_until_scored(worker)
    before = shown(worker, truth.users)
    assert worker.terminate() == 0

    worker.environment["KOL_HALF_LIFE"] = "5d"
    assert "kol rebuild" in refusal(worker)
    done = json.loads(kol(worker, "rebuild", "--json"))
    assert (done["old_app_id"], done["app_id"], done["start"]) == ("app", "app-2", "posts")
    assert done["made"] == [done["changelog"]] == [f"{system.settings.prefix}app-2-users-changelog"]
    ends = end_offsets(system.broker, system.names.posts)
    assert done["offsets"][system.names.posts] == {str(p): 0 for p in ends}
    interactions = end_offsets(system.broker, system.names.interactions)
    assert done["records"] == sum(ends.values()) + sum(interactions.values())

    # A fresh system under the same settings, as one started in the first place with them.
    kol(worker, "topics", "create")
    fresh = system.make("fresh", app_id="fresh", half_life="5d")
    kol(fresh, "topics", "create")
    fresh.start()
    system.wait_until_scored(fresh)
    worker.start(app_id="app-2")
    system.wait_until_scored(worker)
    after = shown(worker, truth.users)
    assert after == shown(fresh, truth.users)
    assert after != before
    assert compare(worker.users(truth.users), truth).lost == 0
    check_chains_by_source(system, {"app", "app-2", "fresh"})


def check_chains_by_source(system: Workers, apps: set[str]) -> None:
    """The events of every app chain for themselves."""
    by_source: dict[str, list[Any]] = {}
    for record in consume(system.broker, system.names.events):
        headers = dict(record.headers)
        source = (headers["ce_source"] or b"").decode().removeprefix("/kol-stream/")
        headers["ce_source"] = b"/kol-stream/app"  # which `chains` expects of all
        same = dataclasses.replace(record, headers=tuple(headers.items()))
        by_source.setdefault(source, []).append(same)
    assert by_source.keys() == apps
    for records in by_source.values():
        assert chains(records)[1] == 0


def test_from_now_on_only_new_posts_count_and_each_once(workers: Callable[..., Workers]) -> None:
    system = workers(**MEMORIES)
    generator = Generator(22, events=600, users=60)
    old, new = generator.events[:400], generator.events[400:]
    worker = system.make("only")
    send(system, old)

    said = kol(worker, "rebuild", "--app-id", "anew", "--from", "now")
    assert "created" in said
    assert "KOL_APP_ID=anew" in said
    assert "what is in Kafka already does not count" in said
    send(system, new)
    worker.start(app_id="anew")
    system.wait_until_scored(worker)

    handled = len(new) + sum(event.misplaced for event in new)
    assert worker.counter("kol_events_total") == handled
    truth = truth_of(new)
    outcome = compare(worker.users(truth.users), truth)
    assert (outcome.lost, outcome.twice, outcome.wrong) == (0, 0, [])
    others = generator.truth().users.keys() - truth.users.keys()
    assert others
    assert not any(worker.users(others).values())
    assert worker.counter("kol_duplicates_total") == 0

    assert worker.terminate() == 0
    worker.start(app_id="anew")
    system.wait_until_scored(worker)
    assert worker.counter("kol_events_total") == 0, "they were handled before"


def test_an_app_id_that_was_used_is_refused_and_passed_over(
    workers: Callable[..., Workers],
) -> None:
    system = workers(**MEMORIES)
    worker = system.make("only")
    assert "app is in use" in kol(worker, "rebuild", "--app-id", "app", code=2)
    assert json.loads(kol(worker, "rebuild", "--json"))["app_id"] == "app-2"
    assert json.loads(kol(worker, "rebuild", "--json"))["app_id"] == "app-3"
    line = kol(worker, "rebuild", "--app-id", "app-2", code=2)
    assert "its topic" in line
    assert "--app-id" in line


@pytest.mark.parametrize("app_id", ["a b", "x" * 201])
def test_an_app_id_that_kafka_does_not_take_is_refused(
    workers: Callable[..., Workers], app_id: str
) -> None:
    worker = workers(**MEMORIES).make("only")
    assert "KOL_APP_ID" in kol(worker, "rebuild", "--app-id", app_id, code=2)
