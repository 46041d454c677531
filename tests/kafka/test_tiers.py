"""Several tiers: each change is one event straight to the final tier, with exactly its fields."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from stream_app.messages import parse_time, partition_of
from tests.kafka.clients import Record, consume, produce
from tests.kafka.test_idle_users import DAY_MS, Story, names
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers
from tests.outcome import chains
from tests.stream_of_events import START

PARTITIONS = 2
USERS = 20
QUANTILES = {"kol": 0.5, "top": 0.9}
RECORD = {"type", "topic", "partition", "offset", "post_id"}
LINE = {"type", "threshold_version"}


class Stage:
    """Twenty users under two tiers, whose line is drawn once all of them are there."""

    def __init__(self, workers: Callable[..., Workers]) -> None:
        self.system = workers(
            partitions=PARTITIONS,
            tiers="kol=0.5,top=0.9",
            min_population=USERS,
            leave_margin="0.1",
            active_window="10d",
            weights="follow=1000000",
        )
        self.worker: Worker = self.system.start("only")
        self.story = Story(self.system, self.worker)

    def star(self, likes: int, at: int) -> list[Any]:
        """One post of somebody new, or a newer observation of it."""
        content = {
            "id": "s",
            "platform": "x",
            "user_id": "star",
            "text": "Here comes the star.",
            "created_at": START,
            "observed_at": at,
            "follower_count": 100,
            "like_count": likes,
            "handle": "st",
            "display_name": "Star",
        }
        return self._send(self.system.names.posts, content)

    def follow(self, at: int) -> list[Any]:
        content = {
            "id": "f",
            "platform": "x",
            "kind": "follow",
            "actor_id": "a",
            "target_user_id": "star",
            "created_at": at,
        }
        return self._send(self.system.names.interactions, content)

    def _send(self, topic: str, content: dict[str, Any]) -> list[Any]:
        record = Record(key=b"x:star", value=json.dumps(content).encode())
        produce(self.system.broker, topic, [record])
        self.system.wait_until_scored(self.worker)
        return [e for e in self.story._new_events() if e["user"]["user_id"] == "star"]


def test_each_change_is_one_event_to_the_final_tier_with_exactly_its_fields(
    workers: Callable[..., Workers],
) -> None:
    stage = Stage(workers)
    first = stage.story.posts(0, names("u"), likes=lambda n: 10 * (n + 1))
    reached = {e["user"]["user_id"]: (e["from_tier"], e["tier"]) for e in first}
    assert len(first) == len(reached) == 10, "one event each"
    assert reached == {
        **dict.fromkeys(names("u", range(10, 18)), (None, "kol")),
        **dict.fromkeys(names("u", (18, 19)), (None, "top")),
    }

    (up,) = stage.star(10**9, START + DAY_MS)
    assert (up["kind"], up["from_tier"], up["tier"]) == ("promoted", None, "top")
    assert up["cause"]["type"] == "post"
    assert up["cause"]["post_id"] == "s"
    assert up["percentile"] == 100.0
    assert up["user"] == {
        "key": "x:star",
        "platform": "x",
        "user_id": "star",
        "handle": "st",
        "display_name": "Star",
        "follower_count": 100,
    }

    (down,) = stage.star(0, START + DAY_MS + 1)
    assert (down["kind"], down["from_tier"], down["tier"]) == ("demoted", "top", None)
    assert (down["cause"]["type"], down["cause"]["post_id"]) == ("observation", "s")

    (again,) = stage.follow(START + DAY_MS + 2)
    assert (again["kind"], again["tier"], again["cause"]["type"]) == (
        "promoted",
        "top",
        "interaction",
    )
    assert again["cause"]["post_id"] is None, "it names none"

    records = consume(stage.system.broker, stage.system.names.events)
    chains(records)
    for record in records:
        event = json.loads(record.value or b"")
        check_fields(event)
        assert record.partition == partition_of(record.key or b"", PARTITIONS)


def test_members_stay_while_the_population_is_too_small_and_expiry_needs_no_line(
    workers: Callable[..., Workers],
) -> None:
    stage = Stage(workers)
    stage.story.posts(0, names("u"), likes=lambda n: 10 * (n + 1))
    members = {item["user"]["key"] for item in stage.worker.kols()}
    assert len(members) == 10
    stage.story.posts(8, names("u", range(10, USERS)), likes=lambda n: 10 * (n + 11))

    quiet = stage.story.posts(12, ["u19"], likes=lambda n: 200)
    threshold = stage.worker.json("/api/v1/threshold")
    assert threshold["population"] == 10, "the others have been silent for too long"
    assert [tier["enter"] for tier in threshold["tiers"]] == [None, None]
    assert quiet == []
    assert {item["user"]["key"] for item in stage.worker.kols()} == members

    gone = stage.story.posts(30, ["u19"], likes=lambda n: 200)
    assert len(gone) == 9
    for event in gone:
        assert (event["kind"], event["tier"]) == ("demoted", None)
        assert event["cause"]["type"] == "inactivity"
        assert event["threshold"] is event["percentile"] is None
        check_fields(event)
    assert {item["user"]["key"] for item in stage.worker.kols()} == {"x:u19"}


def check_fields(event: Any) -> None:
    assert set(event) == {
        *("event_id", "kind", "tier", "from_tier", "user", "score", "threshold", "quantile"),
        *("population", "percentile", "factors", "cause", "occurred_at", "emitted_at"),
    }
    user = {"key", "platform", "user_id", "handle", "display_name", "follower_count"}
    assert set(event["user"]) == user
    assert [factor["name"] for factor in event["factors"]] == [
        *("reach", "attention", "resonance", "text")
    ]
    for factor in event["factors"]:
        assert set(factor) == {"name", "value", "exponent", "contribution", "known"}
    by_line = event["cause"]["type"] in ("threshold", "inactivity")
    assert set(event["cause"]) == (LINE if by_line else RECORD)
    crossed = event["tier"] if event["kind"] == "promoted" else event["from_tier"]
    assert event["quantile"] == QUANTILES[crossed]
    if event["cause"]["type"] != "inactivity":
        above = event["score"] >= event["threshold"]
        assert above == (event["kind"] == "promoted")
        assert 0 <= event["percentile"] <= 100
    parse_time(event["occurred_at"])
    parse_time(event["emitted_at"])
