"""The value decides whose a record is; a misplaced one reaches its user once, as it was."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from stream_app.messages import partition_of
from tests.kafka.broker import KafkaBroker
from tests.kafka.clients import Record, StoredRecord, consume, produce
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers, running
from tests.stream_of_events import START

PARTITIONS = 4
COMPRESSED = {"compression_type": "gzip", "message_max_bytes": 10_000_000}
#: Seconds and milliseconds that no float of seconds holds exactly among them.
TIMES = (1, 1_001, START + 1, START + 999)
FOLLOW, LONG = "follow", "long"


def home(user: str) -> int:
    return partition_of(f"x:{user}".encode(), PARTITIONS)


def away(user: str) -> int:
    return (home(user) + 1) % PARTITIONS


def post(user: str, **changes: Any) -> bytes:
    content = {"id": "p", "platform": "x", "user_id": user, "text": "A text.", "created_at": 0}
    return json.dumps(content | changes).encode()


def follow(name: str, origin_offset: int) -> Record:
    """A record as another worker has forwarded it."""
    content = {
        "id": name,
        "platform": "x",
        "kind": "follow",
        "actor_id": "a",
        "target_user_id": FOLLOW,
        "created_at": START,
    }
    return Record(
        key=f"x:{FOLLOW}".encode(),
        value=json.dumps(content).encode(),
        headers=(("kol-forwarded", b"1"), ("kol-origin", b"%s/%d/%d" % (TOPIC, 0, origin_offset))),
    )


PREFIX = f"t{secrets.token_hex(4)}-"
TOPIC = f"{PREFIX}interactions".encode()


@dataclass
class Scene:
    workers: Workers
    worker: Worker
    posts: list[StoredRecord]


@pytest.fixture(scope="module")
def scene(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    place = tmp_path_factory.mktemp("placing")
    settings = {"partitions": PARTITIONS, "interaction_memory": 1}
    with running(kafka.bootstrap, PREFIX, place, **settings) as workers:
        worker = workers.start("only")
        misplaced = [
            Record(
                key=key,
                value=post(f"u{time}"),
                partition=away(f"u{time}"),
                timestamp_ms=time,
                headers=(("trace", b"1"), ("trace", None)),
            )
            for time, key in zip(TIMES, (None, b"", b"x:other", b"\xff"), strict=True)
        ]
        right = Record(key=b"x:liar", value=post("honest"), partition=home("honest"))
        large = Record(value=post(LONG, text="😀" * 100_000), partition=away(LONG))
        produce(workers.broker, workers.names.posts, [*misplaced, right, large], **COMPRESSED)
        # Origins must be places that there are: not even a worker forwards from behind the end.
        there = [Record(value=b"{", partition=0)] * 8
        produce(workers.broker, workers.names.interactions, there)
        repeated = [follow("a", 5), follow("forged", 2**62), follow("b", 6)]
        repeated += [follow("a", 5), follow("b", 6), follow("c", 7)]
        produce(workers.broker, workers.names.interactions, repeated)
        workers.wait_until_scored(worker)
        yield Scene(workers, worker, consume(workers.broker, workers.names.posts))


@pytest.mark.parametrize("time", TIMES)
def test_a_misplaced_record_arrives_with_its_time_its_headers_and_the_right_key(
    scene: Scene, time: int
) -> None:
    user = f"u{time}"
    origin, copy = sorted(
        (record for record in scene.posts if record.value == post(user)),
        key=lambda record: record.partition == home(user),
    )
    assert (origin.partition, copy.partition) == (away(user), home(user))
    assert (copy.key, copy.timestamp_ms) == (f"x:{user}".encode(), time)
    place = f"{origin.topic}/{origin.partition}/{origin.offset}".encode()
    app = scene.workers.settings.app_id.encode()
    marks = (("kol-forwarded", b"1"), ("kol-origin", place), ("kol-app", app))
    assert copy.headers == (*origin.headers, *marks)
    assert raw(scene, user)["posts"] == 1


def test_a_post_that_fits_its_topic_only_compressed_is_forwarded_too(scene: Scene) -> None:
    assert raw(scene, LONG)["posts"] == 1
    letters = consume(scene.workers.broker, scene.workers.names.dead_letters)
    assert {letter.value for letter in letters} == {b"{"}


def test_the_key_of_a_record_in_its_place_is_not_looked_at(scene: Scene) -> None:
    assert raw(scene, "honest")["posts"] == 1
    assert scene.worker.users(["x:liar"]) == {"x:liar": None}
    assert scene.worker.counter("kol_forwarded_total") == len(TIMES) + 1


def test_a_forwarding_that_was_repeated_after_a_crash_counts_once(scene: Scene) -> None:
    """Though the memory of ids, of one here, no longer knows the first.

    A forged origin far ahead counts, and keeps nothing behind it from counting.
    """
    assert raw(scene, FOLLOW)["interactions"]["follow"] == 4
    assert scene.worker.counter("kol_duplicates_total") == 2


def test_rows_are_kept_under_the_user_key_in_its_partition(scene: Scene) -> None:
    stored = consume(scene.workers.broker, scene.workers.names.changelog)
    rows = [r for r in stored if r.key is not None and not r.key.startswith(b"\x00")]
    assert {r.key for r in rows} == {
        f"x:{user}".encode() for user in (*(f"u{t}" for t in TIMES), LONG, "honest", FOLLOW)
    }
    for record in rows:
        assert partition_of(record.key or b"", PARTITIONS) == record.partition


def test_the_app_id_is_the_consumer_group(scene: Scene) -> None:
    admin = AdminClient({"bootstrap.servers": scene.workers.broker})
    groups = admin.list_consumer_groups(request_timeout=10).result()
    assert scene.workers.settings.app_id in {group.group_id for group in groups.valid}


def raw(scene: Scene, user: str) -> Any:
    return scene.worker.users([f"x:{user}"])[f"x:{user}"]["raw"]
