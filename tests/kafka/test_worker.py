"""One worker on a real broker: what it shows and sends is what the contract makes of the events."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from stream_app.messages import partition_of, rfc3339
from tests.kafka.broker import KafkaBroker
from tests.kafka.clients import Record, StoredRecord, consume, produce
from tests.kafka.feeding import send
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers, running
from tests.outcome import chains, check_event, compare, line_differences
from tests.stream_of_events import (
    BAD_POSTS,
    INTERACTION_MEMORY,
    POST_MEMORY,
    Generator,
    Topic,
    Truth,
)

SEED = 20240607
EVENTS = 4_000
QUANTILES = {"kol": 0.9}
MORE = 10  # chunks in which the events come, so that there are lines in between


@dataclass
class Scene:
    """A worker that has scored a stream, and what was seen on the way."""

    workers: Workers
    worker: Worker
    generator: Generator
    truth: Truth
    thresholds: list[Any]

    def stored(self) -> dict[Topic, list[StoredRecord]]:
        names = self.workers.names
        return {
            "posts": consume(self.workers.broker, names.posts),
            "interactions": consume(self.workers.broker, names.interactions),
        }


@pytest.fixture(scope="module")
def scene(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    generator = Generator(SEED, events=EVENTS, users=300)
    home = tmp_path_factory.mktemp("worker")
    settings = {"post_memory": POST_MEMORY, "interaction_memory": INTERACTION_MEMORY}
    with running(kafka.bootstrap, f"t{secrets.token_hex(4)}-", home, **settings) as workers:
        worker = workers.start("only")
        thresholds = []
        for start in range(0, EVENTS, EVENTS // MORE):
            send(workers, generator.events[start : start + EVENTS // MORE])
            thresholds.append(worker.json("/api/v1/threshold"))
        for value, _ in BAD_POSTS:
            bad = Record(key=b"\x00k", value=value, headers=(("from", b"afar"),), partition=1)
            produce(workers.broker, workers.names.posts, [bad])
        workers.wait_until_scored(worker)
        thresholds.append(worker.json("/api/v1/threshold"))
        yield Scene(workers, worker, generator, generator.truth(), thresholds)


def test_every_users_row_is_what_the_contract_makes_of_the_events(scene: Scene) -> None:
    outcome = compare(scene.worker.users(scene.truth.users), scene.truth)
    assert (outcome.lost, outcome.twice, outcome.wrong) == (0, 0, [])


def test_a_user_nobody_has_heard_of_is_unknown(scene: Scene) -> None:
    assert scene.worker.users(["x:nobody"]) == {"x:nobody": None}


def test_bad_records_are_put_aside_byte_by_byte_with_the_reason(scene: Scene) -> None:
    names = scene.workers.names
    stored = {
        (record.partition, record.offset): record
        for record in scene.stored()["posts"]
        if record.value in {value for value, _ in BAD_POSTS}
    }
    reasons = dict(BAD_POSTS)
    dead = consume(scene.workers.broker, names.dead_letters)
    assert len(dead) == len(stored)
    for letter in dead:
        headers = dict(letter.headers)
        place = (int(headers["dlq-partition"] or b""), int(headers["dlq-offset"] or b""))
        original = stored.pop(place)
        assert (letter.key, letter.value) == (original.key, original.value)
        assert headers["dlq-topic"] == names.posts.encode()
        assert headers["dlq-reason"] == reasons[original.value].encode()
        assert (headers["dlq-detail"] or b"").split(b":")[0]
        assert [h for h in letter.headers if not h[0].startswith("dlq-")] == [*original.headers]
    assert scene.worker.counter("kol_dead_letters_total") == len(dead)


def test_a_misplaced_record_is_forwarded_once_with_its_origin_and_time(scene: Scene) -> None:
    partitions = scene.workers.settings.partitions
    misplaced = Counter(e.record.value for e in scene.generator.events if e.misplaced)
    assert misplaced
    for topic, records in scene.stored().items():
        at = {(r.partition, r.offset): r for r in records}
        forwarded = [r for r in records if dict(r.headers).get("kol-forwarded") == b"1"]
        sent = [e for e in scene.generator.events if e.misplaced and e.topic == topic]
        assert len(forwarded) == len(sent)
        for record in forwarded:
            name, partition, offset = (dict(record.headers)["kol-origin"] or b"").rsplit(b"/", 2)
            origin = at[int(partition), int(offset)]
            assert name == record.topic.encode()
            assert (origin.value, origin.timestamp_ms) == (record.value, record.timestamp_ms)
            assert record.key is not None
            assert partition_of(record.key, partitions) == record.partition != origin.partition


def test_the_line_is_the_percentile_of_all_current_scores_at_its_cut(scene: Scene) -> None:
    stored = scene.stored()
    checked = 0
    for threshold in scene.thresholds:
        if threshold["tiers"][0]["enter"] is None:
            continue
        truth = truth_at(scene, stored, threshold["cut"])
        assert threshold["as_of"] == rfc3339(truth.high_mark)
        scores = truth.scores(truth.high_mark)
        assert line_differences(threshold, scores.values(), QUANTILES) == []
        checked += 1
    assert checked >= 2, "there was only one line"


def test_members_are_explained_by_the_line(scene: Scene) -> None:
    tier = scene.worker.json("/api/v1/rankings")["tiers"][0]
    scores = scene.truth.scores(scene.truth.high_mark)
    members = {item["user"]["key"] for item in scene.worker.kols()}
    assert {key for key, score in scores.items() if score >= tier["enter"] * (1 + 1e-9)} <= members
    assert all(scores[key] >= tier["leave"] * (1 - 1e-9) for key in members)
    assert tier["members"] == len(members)
    assert all(
        (shown["tier"] is not None) == (key in members)
        for key, shown in scene.worker.users(scores).items()
    )


def test_rankings_are_all_users_by_score(scene: Scene) -> None:
    scores = scene.truth.scores(scene.truth.high_mark)
    items = scene.worker.json("/api/v1/rankings?limit=500")["items"]
    assert [item["position"] for item in items] == list(range(1, len(scores) + 1))
    due = sorted(scores, key=lambda key: (-scores[key], key.encode()))
    assert [item["user"]["key"] for item in items] == due
    assert [item["score"] for item in items] == pytest.approx(
        [scores[key] for key in due], rel=1e-9
    )


def test_events_chain_for_each_user_and_explain_themselves(scene: Scene) -> None:
    records = consume(scene.workers.broker, scene.workers.names.events)
    users, repeated = chains(records)
    assert repeated == 0, "nothing has crashed"
    for events in users.values():
        for event in events:
            check_event(event)
    members = {key for key, events in users.items() if events[-1]["tier"] is not None}
    assert members == {item["user"]["key"] for item in scene.worker.kols()}
    kinds = Counter(event["kind"] for events in users.values() for event in events)
    assert scene.worker.counter("kol_promotions_total") == kinds["promoted"]
    assert scene.worker.counter("kol_demotions_total") == kinds["demoted"]


def test_events_of_a_record_name_it(scene: Scene) -> None:
    stored = scene.stored()
    at = {
        (record.topic, record.partition, record.offset): json.loads(record.value)
        for records in stored.values()
        for record in records
        if record.value and record.value not in {value for value, _ in BAD_POSTS}
    }
    users, _ = chains(consume(scene.workers.broker, scene.workers.names.events))
    causes = [(key, event["cause"]) for key, events in users.items() for event in events]
    assert {"post", "threshold"} <= {cause["type"] for _, cause in causes}
    for key, cause in causes:
        if cause["type"] == "threshold":
            assert cause["threshold_version"] > 0
            continue
        content = at[cause["topic"], cause["partition"], cause["offset"]]
        if cause["type"] == "interaction":
            assert f"x:{content['target_user_id']}" == key
        else:
            assert (f"x:{content['user_id']}", content["id"]) == (key, cause["post_id"])


def truth_at(scene: Scene, stored: dict[Topic, list[StoredRecord]], cut: Any) -> Truth:
    """What the records before the cut amount to."""
    partitions = scene.workers.settings.partitions
    bad = {value for value, _ in BAD_POSTS}

    def valid() -> Iterator[tuple[Topic, Any]]:
        for topic, records in stored.items():
            for record in records:
                if record.offset >= cut[record.topic][str(record.partition)]:
                    continue
                if record.value is None or record.value in bad:
                    continue
                content = json.loads(record.value)
                user = content["user_id" if topic == "posts" else "target_user_id"]
                if partition_of(f"x:{user}".encode(), partitions) == record.partition:
                    yield topic, content

    return Truth(valid())
