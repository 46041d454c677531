"""The streaming preset `article` in real workers, held against the article's batch method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from stream_app.encoder import create_encoder
from stream_app.evaluation.article import ArticleUser, PostArchive, find_kols
from stream_app.messages import Post
from stream_app.sources import in_event_time_order
from stream_app.sources.replay import Replayer
from tests.kafka.clients import consume
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers
from tests.outcome import chains

#: Settings of the workers. The margin, the window and the precision are the user's to no avail, and
#: a memory shorter than the users' histories must not shorten their means.
SETTINGS: dict[str, Any] = {
    "preset": "article",
    "encoder": "bundled",
    "leave_margin": 0.05,
    "active_window": "1d",
    "precision": "bf16",
    "max_tokens": 16,
    "post_memory": 2,
}
QUANTILE = 0.90
SCORE_REL = 1e-6
LINE_REL = 1e-3


def send_as_replay_does(workers: Workers, posts: Sequence[Post]) -> None:
    """All of them are in Kafka after the call, sent in event-time order."""
    Replayer(workers.settings).run(in_event_time_order(posts))


def batch_users(posts: Sequence[Post], workers: Workers) -> list[ArticleUser]:
    archive = PostArchive()
    for post in posts:
        archive.add(post)
    return archive.users(create_encoder(workers.settings, logits_norm=True))


def check_agreement(workers: Workers, worker: Worker, posts: Sequence[Post]) -> None:
    """Wait until all posts are scored, and compare everything that the worker says of them."""
    workers.wait_until_scored(worker)
    users = batch_users(posts, workers)
    verdict = find_kols(users, QUANTILE)
    assert verdict.threshold is not None
    near = [u.key for u in users if abs(u.score / verdict.threshold - 1) <= 2 * LINE_REL]
    assert near == [], "such users may be on either side of a line within 0.1 %"

    shown = worker.users(user.key for user in users)
    for user in users:
        check_user(shown[user.key], user)
    line = worker.json("/api/v1/threshold")
    assert line["population"] == verdict.population
    (tier,) = line["tiers"]
    assert tier["enter"] == tier["leave"] == pytest.approx(verdict.threshold, rel=LINE_REL)
    kols = {user.key for user in verdict.kols}
    assert {item["user"]["key"] for item in worker.kols()} == kols
    check_events(workers, kols)
    check_scoring(worker.json("/api/v1/scoring"))


def check_user(shown: Any, user: ArticleUser) -> None:
    assert shown["score"] == pytest.approx(user.score, rel=SCORE_REL, abs=0.0)
    assert shown["raw"]["posts"] == user.posts
    reach, text = shown["factors"]
    assert (reach["name"], reach["exponent"]) == ("reach", 1.0)
    assert (text["name"], text["exponent"]) == ("text", 1.0)
    assert (reach["value"], reach["known"]) == (user.followers or 0, user.followers is not None)
    assert text["value"] == pytest.approx(user.mean_norm, rel=SCORE_REL)
    check_contributions(shown["score"], shown["factors"])


def check_contributions(score: float, factors: list[Any]) -> None:
    contributions = [factor["contribution"] for factor in factors]
    if score == 0:
        assert contributions == [None, None]
    else:
        assert contributions == [pytest.approx(math.log(factor["value"])) for factor in factors]
        assert sum(contributions) == pytest.approx(math.log(score), rel=1e-9, abs=1e-9)


def check_events(workers: Workers, kols: set[str]) -> None:
    """The KOLs are those whose last event says so; every event explains its score."""
    events, _ = chains(consume(workers.broker, workers.names.events))
    assert {key for key, chain in events.items() if chain[-1]["tier"] == "kol"} == kols
    for chain in events.values():
        for event in chain:
            assert [factor["name"] for factor in event["factors"]] == ["reach", "text"]
            assert [factor["exponent"] for factor in event["factors"]] == [1.0, 1.0]
            check_contributions(event["score"], event["factors"])


def check_scoring(scoring: Any) -> None:
    """What is forced is shown, whatever the user has set."""
    assert scoring["preset"] == "article"
    assert scoring["exponents"] == {"reach": 1.0, "text": 1.0}
    assert scoring["leave_margin"] == 0.0
    assert scoring["active_window_s"] is None
    assert scoring["neutral_reach"] == 0
