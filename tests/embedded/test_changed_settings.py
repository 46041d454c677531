"""Settings that may change take effect on a restart with the state that is there; others refuse."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from stream_app.embedded import EmbeddedBroker
from stream_app.engine.topics import topic_table
from tests.kafka.clients import consume, wait_for
from tests.kafka.feeding import send
from tests.kafka.refusing import refusal
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers
from tests.outcome import LINE_REL, chains
from tests.stream_of_events import Generator

MEMORIES = {"post_memory": 64, "interaction_memory": 64}
REFUSED: dict[str, Any] = {
    "half_life": "5d",
    "weights": "like=7",
    "preset": "article",
    "post_memory": "10",
    "interaction_memory": "10",
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workers, Worker]]:
    """A worker with scored users, at rest. Tests start it with a change and stop it again."""
    home = tmp_path_factory.mktemp("changed")
    with (
        EmbeddedBroker() as broker,
        closing(Workers(broker.bootstrap, "", home, **MEMORIES)) as workers,
    ):
        for spec in topic_table(workers.settings):
            broker.create_topic(spec.name, spec.partitions or 1)
        worker = workers.start("only")
        send(workers, Generator(31, events=1_500, users=250).events)
        workers.wait_until_scored(worker)
        assert worker.kols()
        assert worker.terminate() == 0
        yield workers, worker


def tier(worker: Worker, index: int = 0) -> Any:
    return worker.json("/api/v1/rankings?limit=500")["tiers"][index]


def scores(worker: Worker) -> list[float]:
    return [item["score"] for item in worker.json("/api/v1/rankings?limit=500")["items"]]


def is_percentile(value: float | None, of: list[float], quantile: float) -> bool:
    due = float(np.percentile(of, 100 * quantile))
    return value is not None and value == pytest.approx(due, rel=LINE_REL)


def renamed(worker: Worker) -> bool:
    items = worker.kols()
    return bool(items) and {item["tier"] for item in items} == {"star"}


def two_tiers(worker: Worker) -> bool:
    tiers = worker.json("/api/v1/rankings?limit=500")["tiers"]
    return [t["name"] for t in tiers] == ["kol", "top"] and all(
        is_percentile(t["enter"], scores(worker), t["quantile"]) and t["members"] for t in tiers
    )


def wider_margin(worker: Worker) -> bool:
    return is_percentile(tier(worker)["leave"], scores(worker), 0.9 - 0.3)


def other_exponents(worker: Worker) -> bool:
    first = worker.json("/api/v1/rankings?limit=500")["items"][0]
    exponents = {factor["name"]: factor["exponent"] for factor in first["factors"]}
    return exponents["reach"] == 0.0 and is_percentile(tier(worker)["enter"], scores(worker), 0.9)


def more_posts(worker: Worker) -> bool:
    items = worker.json("/api/v1/rankings?limit=500")["items"]
    return bool(items) and all(item["posts"] >= 3 for item in items)


def shorter_window(worker: Worker) -> bool:
    threshold = worker.json("/api/v1/rankings?limit=500")
    return bool(0 < threshold["population"] == len(threshold["items"]) < 150)


def larger_population(worker: Worker) -> bool:
    return tier(worker)["enter"] is None and len(worker.kols()) > 0  # members stay


def smaller_ranking(worker: Worker) -> bool:
    return len(worker.json("/api/v1/rankings?limit=500")["items"]) == 5


def has_ranking(worker: Worker) -> bool:
    status, body = worker.get("/api/v1/rankings")
    return status == 200 and bool(json.loads(body)["items"])


EFFECTS: dict[str, tuple[str, Callable[[Worker], bool]]] = {
    "tiers": ("star=0.9", renamed),
    "tiers, two": ("kol=0.5,top=0.9", two_tiers),
    "tiers, one again": ("kol=0.9", lambda worker: tier(worker)["enter"] is not None),
    "leave_margin": ("0.3", wider_margin),
    "exponents": ("reach=0", other_exponents),
    "min_posts": ("3", more_posts),
    "active_window": ("10m", shorter_window),
    "min_population": ("100000", larger_population),
    "ranking_size": ("5", smaller_ranking),
}


@pytest.mark.parametrize("change", EFFECTS)
def test_a_setting_that_may_change_takes_effect_on_restart(
    scene: tuple[Workers, Worker], change: str
) -> None:
    workers, worker = scene
    value, is_in_effect = EFFECTS[change]
    worker.start(**{change.partition(",")[0]: value})
    # Other exponents make all scores anew: until then there is no ranking to show.
    wait_for(lambda: has_ranking(worker), "a ranking")
    wait_for(lambda: is_in_effect(worker), f"{change}={value} to take effect")
    # Whoever was moved was moved by events: the last one of everybody names her tier.
    wait_for(lambda: events_tell_the_tiers(workers, worker), "events to tell the tiers")
    assert worker.terminate() == 0


def events_tell_the_tiers(workers: Workers, worker: Worker) -> bool:
    users, _ = chains(consume(workers.broker, workers.names.events))
    told = {key: events[-1]["tier"] for key, events in users.items() if events[-1]["tier"]}
    return told == {item["user"]["key"]: item["tier"] for item in worker.kols()}


@pytest.mark.parametrize("change", REFUSED)
def test_a_setting_that_gives_stored_numbers_another_meaning_is_refused(
    scene: tuple[Workers, Worker], change: str
) -> None:
    line = refusal(scene[1], **{change: REFUSED[change]})
    assert "another meaning" in line
    assert "kol rebuild" in line
