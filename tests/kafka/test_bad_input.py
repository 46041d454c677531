"""What cannot be used is put aside byte for byte, whatever it is, and nothing stops the worker."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from stream_app.messages import MAX_VALUE_BYTES, parse_time, partition_of
from tests.kafka.broker import KafkaBroker
from tests.kafka.clients import Record, StoredRecord, consume, produce
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers, running
from tests.stream_of_events import START

PARTITIONS = 4
COMPRESSED = {"compression_type": "gzip", "message_max_bytes": 10_000_000}
GOOD: dict[str, Any] = {
    "id": "p1",
    "platform": "x",
    "user_id": "u",
    "text": "What user u thinks.",
    "created_at": START,
}
HOME = partition_of(b"x:u", PARTITIONS)


def post(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def interaction(**changes: Any) -> bytes:
    content = {
        "id": "i1",
        "platform": "x",
        "kind": "like",
        "actor_id": "a",
        "target_user_id": "u",
        "created_at": START,
    }
    return json.dumps(content | changes).encode()


@dataclass(frozen=True)
class Bad:
    """A record of one source topic, and what its dead letter must say."""

    topic: str
    record: Record
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.topic} {self.reason} {self.detail}"


def bad(topic: str, value: bytes | None, reason: str, detail: str, **changes: Any) -> Bad:
    fields: dict[str, Any] = {"key": b"\x00\xff", "value": value, "partition": 1} | changes
    return Bad(topic, Record(**fields), reason, detail)


#: In another partition than its user's, where a good one would be forwarded.
AWAY = (HOME + 1) % PARTITIONS
MARKED = (("kol-forwarded", b"1"), ("kol-origin", b"posts/0/0"))
HEADERS = (("trace", b"a"), ("trace", b"b"), ("none", None), ("dlq-reason", b"forged"))

BAD = [
    bad("posts", None, "empty", "value", key=None),
    bad("posts", None, "empty", "value"),
    bad("posts", b"", "empty", "value", key=b""),
    bad("posts", b"{", "invalid-json", "value", key=None),
    bad("posts", b"[]", "invalid-json", "value"),
    bad("posts", b"\xef\xbb\xbf" + post(), "invalid-json", "value"),
    bad("posts", post(x="@").replace(b"@", b"\xff"), "invalid-json", "value"),
    bad("posts", post()[:-1] + b', "like_count": NaN}', "invalid-json", "like_count"),
    bad("posts", post()[:-1] + rb', "\ud800": NaN}', "invalid-json", "value"),
    bad("posts", b'{"x":' * 5_000 + b"1" + b"}" * 5_000, "invalid-json", "value"),
    bad("posts", post(text=None), "invalid-field", "text", headers=HEADERS),
    bad("posts", post(text="\ud800"), "invalid-field", "text"),
    bad("posts", post(like_count="5"), "invalid-field", "like_count", partition=AWAY),
    bad("posts", b'{"id":"p"}', "missing-field", "platform"),
    bad("posts", b"{" * (MAX_VALUE_BYTES + 1), "too-large", "value"),
    bad("posts", post(url="u" * 300_000), "invalid-field", "url"),
    bad("posts", post(), "wrong-partition", "user_id", partition=AWAY, headers=MARKED),
    bad("interactions", None, "empty", "value", key=None),
    bad("interactions", interaction(kind="love"), "invalid-field", "kind"),
    bad("interactions", post(), "missing-field", "kind"),
    bad(
        "interactions",
        interaction(),
        "wrong-partition",
        "target_user_id",
        partition=AWAY,
        headers=MARKED,
    ),
]


@dataclass
class Scene:
    workers: Workers
    worker: Worker
    letters: list[StoredRecord]
    stored: dict[str, list[StoredRecord]]


@pytest.fixture(scope="module")
def scene(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    home = tmp_path_factory.mktemp("bad")
    prefix = f"t{secrets.token_hex(4)}-"
    with running(kafka.bootstrap, prefix, home, partitions=PARTITIONS) as workers:
        worker = workers.start("only")
        for one in BAD:
            produce(workers.broker, prefix + one.topic, [one.record], **COMPRESSED)
        produce(workers.broker, workers.names.posts, [Record(key=b"x:u", value=post())])
        workers.wait_until_scored(worker)
        stored = {
            topic: consume(workers.broker, prefix + topic) for topic in ("posts", "interactions")
        }
        yield Scene(workers, worker, consume(workers.broker, workers.names.dead_letters), stored)


def letter_of(scene: Scene, one: Bad) -> tuple[StoredRecord, StoredRecord]:
    """The record as it stands in its topic, and its dead letter."""
    record = one.record
    (original,) = [
        stored
        for stored in scene.stored[one.topic]
        if (stored.partition, stored.key, stored.value)
        == (record.partition, record.key, record.value)
    ]
    place = (original.topic.encode(), b"%d" % original.partition, b"%d" % original.offset)
    (letter,) = [
        letter
        for letter in scene.letters
        if tuple(dict(letter.headers)[f"dlq-{n}"] for n in ("topic", "partition", "offset"))
        == place
    ]
    return original, letter


@pytest.mark.parametrize("one", BAD, ids=str)
def test_a_bad_record_is_put_aside_with_its_key_and_bytes_where_it_stands(
    scene: Scene, one: Bad
) -> None:
    original, letter = letter_of(scene, one)
    assert (letter.key, letter.value) == (original.key, original.value)
    headers = dict(letter.headers)
    assert headers["dlq-reason"] == one.reason.encode()
    assert (headers["dlq-detail"] or b"").startswith(one.detail.encode() + b": ")
    parse_time((headers["dlq-at"] or b"").decode())


def test_a_dead_letter_has_the_original_headers_and_six_of_its_own(scene: Scene) -> None:
    (one,) = [one for one in BAD if one.record.headers == HEADERS]
    _, letter = letter_of(scene, one)
    names = ["trace", "trace", "none"]
    names += [f"dlq-{n}" for n in ("reason", "detail", "topic", "partition", "offset", "at")]
    assert [name for name, _ in letter.headers] == names
    assert letter.headers[:3] == HEADERS[:3]


def test_every_dead_letter_is_counted_by_its_reason_and_nothing_else_is_put_aside(
    scene: Scene,
) -> None:
    assert len(scene.letters) == len(BAD)
    for reason in {one.reason for one in BAD}:
        due = sum(one.reason == reason for one in BAD)
        assert scene.worker.counter("kol_dead_letters_total", reason=reason) == due


def test_the_worker_goes_on_behind_bad_records(scene: Scene) -> None:
    shown = scene.worker.json("/api/v1/users/x%3Au")
    assert shown["raw"]["posts"] == 1
    assert scene.worker.counter("kol_forwarded_total") == 0, "bad records are not forwarded"
