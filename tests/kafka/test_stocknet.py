"""Twenty months of real posts through two workers, held against the offline recomputation."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from stream_app.messages import Post, TextFeatures, parse_time
from stream_app.parts import create_scheme
from stream_app.sources import in_event_time_order, read_events
from tests.fakes import FakeEncoder
from tests.kafka.reckoning import tell
from tests.kafka.test_two_workers import answers, share
from tests.kafka.worker import Worker
from tests.kafka.workers import ROOT, Workers
from tests.oracle import Oracle, OracleUser

STOCKNET = ROOT.parent / "shared" / "data" / "stocknet_tweets_2014-01_2015-08.jsonl.gz"
REL = 1e-9


@pytest.mark.slow
@pytest.mark.skipif(not STOCKNET.exists(), reason="needs the stocknet file")
def test_the_whole_stocknet_file_gives_what_an_offline_recomputation_gives(
    workers: Callable[..., Workers],
) -> None:
    system = workers(partitions=4, batch_size=1024)
    first, second = system.make("first"), system.make("second")
    for worker in (first.launch(), second.launch()):
        worker.wait_ready()
    replay(system)
    system.wait_until_scored(first)
    system.wait_until_scored(second)
    assert answers(first) == answers(second)
    assert share(first, second)

    oracle = recomputed(system)
    shown = first.users(oracle.users)
    at = oracle.high_mark
    assert at is not None
    wrong = [
        text for key, user in oracle.users.items() for text in differences(shown[key], user, at)
    ]
    tell(f"{len(oracle.users)} users, {len(wrong)} differ")
    assert wrong[:10] == []
    check_line(first, oracle, at)


def replay(system: Workers) -> None:
    """The file through `kol replay`, as a user would send it."""
    environment = os.environ | {
        "KOL_BROKER": system.broker,
        "KOL_APP_ID": system.settings.app_id,
        "KOL_PREFIX": system.settings.prefix,
        "KOL_PARTITIONS": "4",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "stream_app", "replay", str(STOCKNET)]
    done = subprocess.run(
        [*command, "--format", "twitter-v1", "--speed", "max"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def recomputed(system: Workers) -> Oracle:
    """The same events in the same order, by the slow and obvious way."""
    encoder = FakeEncoder()

    @cache
    def features(text: str) -> TextFeatures:
        return encoder.encode([text])[0]

    lines = read_events([str(STOCKNET)], "twitter-v1")
    events = in_event_time_order(event for event in lines if isinstance(event, Post))
    return Oracle(create_scheme(system.settings), features).take(events)


def differences(shown: dict[str, object] | None, user: OracleUser, at: int) -> list[str]:
    """Attention, resonance, reach and text of one user against what the worker shows."""
    if shown is None:
        return [f"{user.key} is unknown"]
    found = {factor["name"]: factor["value"] for factor in shown["factors"]}  # type: ignore[attr-defined]
    due = {
        "reach": 1.0 + user.reach(),
        "attention": user.attention(at),
        "resonance": user.resonance(),
        "text": user.text(),
    }
    return [
        f"{user.key} {name}: {found[name]!r} instead of {value!r}"
        for name, value in due.items()
        if abs(found[name] - value) > REL * abs(value)
    ]


def check_line(worker: Worker, oracle: Oracle, at: int) -> None:
    """The line is the percentile of all current scores; it explains who is a member."""
    line = worker.json("/api/v1/threshold")
    assert parse_time(line["as_of"]) == at
    (tier,) = line["tiers"]
    scores = {user.key: user.score(at) for user in oracle.population(at)}
    assert line["population"] == len(scores)
    for name, quantile in (("enter", 90.0), ("leave", 89.0)):
        due = float(np.percentile(list(scores.values()), quantile))
        tell(f"{name}: line {tier[name]:.9g}, numpy.percentile {due:.9g}")
        assert tier[name] == pytest.approx(due, rel=1e-3)
    members = {item["user"]["key"] for item in worker.kols()}
    assert members <= scores.keys()
    inside = {key for key, score in scores.items() if score >= tier["enter"] * (1 + REL)}
    outside = {key for key, score in scores.items() if score < tier["leave"] * (1 - REL)}
    assert inside <= members
    assert not outside & members
