"""The producers of docs/formats.md, run as the page says: each post at home, as it was, once."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stream_app.messages import KINDS, partition_of, rfc3339
from tests.builders import NOON
from tests.kafka.absence import need, skip
from tests.kafka.batches import producer_ids
from tests.kafka.broker import CONNECT_POM, KafkaBroker, KafkaUnavailable, free_port, jars
from tests.kafka.clients import StoredRecord, consume, end_offsets, wait_for
from tests.kafka.reader import ROOT, Reader, commands
from tests.kafka.workers import Worker, Workers, running

USERS = [*(f"u{n}" for n in range(38)), "影响者:7", 'a "b"']
CONNECT = "ConnectStandalone"
#: Part of a command of the page -> what must be installed for it.
KEYED = {
    "produce_aiokafka.py": (),
    "produce_confluent.py": (),
    "ProducePosts.java": (),
    "produce_kcat.sh posts": ("kcat", "jq"),
}
INTERACTIONS = "produce_kcat.sh interactions"
MINUTE_MS = 60_000


@dataclass(frozen=True)
class System:
    """A worker for all the producers; each has a platform, so users, of its own."""

    broker: KafkaBroker
    workers: Workers
    worker: Worker
    kafka_home: Path

    def reader(self, folder: Path) -> Reader:
        return Reader(
            folder,
            {
                "KOL_BROKER": self.broker.bootstrap,
                "KOL_PREFIX": self.workers.settings.prefix,
                "KAFKA_HOME": str(self.kafka_home),
            },
        )

    def stored(self, topic: str, platform: str) -> list[StoredRecord]:
        """What came from one producer, and was not sent on by the worker."""
        return [
            record
            for record in consume(self.broker.bootstrap, topic)
            if json.loads(record.value or b"")["platform"] == platform
            and "kol-forwarded" not in dict(record.headers)
        ]

    def home_of(self, key: bytes) -> int:
        return partition_of(key, self.workers.settings.partitions)


@dataclass(frozen=True)
class Sent:
    """What a producer was given, what came of it in Kafka, and what the worker made of that."""

    lines: Sequence[bytes]
    records: Sequence[StoredRecord]
    forwarded: float
    dead: float
    users: dict[str, Any]
    producers: Sequence[int]


@pytest.fixture(scope="module")
def system(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    home = tmp_path_factory.mktemp("producers")
    try:
        libraries = jars(CONNECT_POM)
    except KafkaUnavailable as error:
        skip(str(error))
    (home / "kafka").mkdir()
    (home / "kafka" / "libs").symlink_to(libraries)
    with running(kafka.bootstrap, f"t{secrets.token_hex(4)}-", home) as workers:
        yield System(kafka, workers, workers.start("only"), home / "kafka")


@pytest.fixture(scope="module", params=KEYED)
def sent(
    request: pytest.FixtureRequest, system: System, tmp_path_factory: pytest.TempPathFactory
) -> Sent:
    """By each producer that gives its records keys."""
    need(*KEYED[request.param])
    reader = system.reader(tmp_path_factory.mktemp("reader"))
    return send(system, reader, lambda: reader.run(command(request.param)))


def test_each_post_arrives_as_it_was_written_and_in_its_users_order(sent: Sent) -> None:
    assert by_user(record.value or b"" for record in sent.records) == by_user(sent.lines)


def test_each_record_has_its_users_key_and_lies_in_that_keys_partition(
    system: System, sent: Sent
) -> None:
    keys = [user_key(record.value or b"") for record in sent.records]
    assert [record.key for record in sent.records] == keys
    assert [record.partition for record in sent.records] == [system.home_of(key) for key in keys]
    assert len({record.partition for record in sent.records}) > 1


def test_records_come_from_an_idempotent_producer(sent: Sent) -> None:
    assert min(sent.producers) >= 0


def test_a_worker_counts_each_post_once_and_sends_none_of_them_on(sent: Sent) -> None:
    assert_counted_once(sent)
    assert sent.forwarded == 0


def test_interactions_sent_with_kcat_reach_whom_they_are_aimed_at(
    system: System, tmp_path: Path
) -> None:
    need("kcat", "jq")
    reader = system.reader(tmp_path)
    platform = f"p{secrets.token_hex(4)}"
    lines = [interaction(platform, n, user) for n, user in enumerate(USERS)]
    reader.write("interactions.jsonl", lines)
    forwarded = system.worker.counter("kol_forwarded_total")
    reader.run(command(INTERACTIONS))
    system.workers.wait_until_scored(system.worker)

    records = system.stored(system.workers.names.interactions, platform)
    assert sorted(record.value or b"" for record in records) == sorted(lines)
    keys = [user_key(record.value or b"", "target_user_id") for record in records]
    assert [record.key for record in records] == keys
    assert [record.partition for record in records] == [system.home_of(key) for key in keys]
    assert system.worker.counter("kol_forwarded_total") == forwarded
    for n, user in enumerate(USERS):
        shown = system.worker.users([f"{platform}:{user}"])[f"{platform}:{user}"]
        assert shown["raw"]["interactions"] == dict.fromkeys(KINDS, 0) | {KINDS[n % len(KINDS)]: 1}


def test_connect_sends_lines_without_a_key_and_the_worker_brings_each_post_home_once(
    system: System, tmp_path: Path
) -> None:
    reader = system.reader(tmp_path)
    names, broker = system.workers.names, system.broker.bootstrap
    reader.edit(
        "examples/connect/worker.properties",
        bootstrap_servers=broker,
        listeners=f"http://127.0.0.1:{free_port()}",
    )
    reader.edit("examples/connect/posts-from-file.properties", topic=names.posts)

    def run() -> None:
        due = sum(end_offsets(broker, names.posts).values()) + len(lines_of("x"))
        with reader.running(command(CONNECT)) as process:
            wait_for(
                lambda: (
                    process.poll() is not None
                    or sum(end_offsets(broker, names.posts).values()) >= due
                ),
                "Connect to send the file",
                60.0,
            )
            assert process.poll() is None, reader.said()

    sent = send(system, reader, run)
    assert [record.key for record in sent.records] == [None] * len(sent.lines)
    assert sorted(record.value or b"" for record in sent.records) == sorted(sent.lines)
    assert min(sent.producers) >= 0
    astray = [r for r in sent.records if system.home_of(user_key(r.value or b"")) != r.partition]
    assert sent.forwarded == len(astray) > 0
    assert_counted_once(sent)


def test_every_command_of_the_page_is_run_here() -> None:
    parts = (*KEYED, INTERACTIONS, CONNECT)
    assert sorted(commands()) == sorted(command(part) for part in parts)


def test_connect_is_of_the_brokers_version() -> None:
    versions = {
        line.strip()
        for pom in (CONNECT_POM, CONNECT_POM.with_name("pom.xml"))
        for line in pom.read_text(encoding="utf-8").splitlines()
        if "<kafka.version>" in line
    }
    assert len(versions) == 1


def test_every_example_is_shown_on_the_page() -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    for path in (ROOT / "examples").rglob("*.*"):
        assert f"<!-- generated: file {path.relative_to(ROOT)} -->" in page


def send(system: System, reader: Reader, run: Callable[[], None]) -> Sent:
    """Runs a producer on posts of a new platform, and waits until they are scored."""
    platform = f"p{secrets.token_hex(4)}"
    topic = system.workers.names.posts
    lines = lines_of(platform)
    reader.write("posts.jsonl", lines)
    before = counters(system.worker)
    run()
    system.workers.wait_until_scored(system.worker)
    after = counters(system.worker)
    records = system.stored(topic, platform)
    producers = {
        p: producer_ids(system.broker.directory, topic, p)
        for p in {record.partition for record in records}
    }
    return Sent(
        lines=lines,
        records=records,
        forwarded=after[0] - before[0],
        dead=after[1] - before[1],
        users=system.worker.users(f"{platform}:{user}" for user in USERS),
        producers=[producers[record.partition][record.offset] for record in records],
    )


def counters(worker: Worker) -> tuple[float, float]:
    return worker.counter("kol_forwarded_total"), worker.counter("kol_dead_letters_total")


def command(part: str) -> str:
    """The one of the page's commands that contains `part`."""
    (found,) = (text for text in commands() if part in text)
    return found


def lines_of(platform: str) -> list[bytes]:
    """Two posts of each user, then newer counts of the first; JSON of several shapes."""
    lines = []
    for round_, minutes in enumerate((0, 1, 60)):
        for n, user in enumerate(USERS):
            post = {
                "id": f"{platform}-{n}-{round_ % 2}",
                "platform": platform,
                "user_id": user,
                "text": f'芯片 "up" again 🚀\t\\ {n} é',
                "created_at": rfc3339(NOON + round_ % 2 * MINUTE_MS),
                "observed_at": NOON + minutes * MINUTE_MS,
                "follower_count": 2**63 - 1 - n,
                "like_count": [7, None, 12][round_],
                "topics": [],
            }
            spaces = (",", ":") if n % 3 else (" , ", ":  ")
            text = json.dumps(post, ensure_ascii=n % 2 == 0, separators=spaces)
            lines.append(text.encode())
    return lines


def interaction(platform: str, n: int, user: str) -> bytes:
    content = {
        "id": f"i{n}",
        "platform": platform,
        "kind": KINDS[n % len(KINDS)],
        "actor_id": "somebody",
        "target_user_id": user,
        "created_at": rfc3339(NOON),
    }
    return json.dumps(content).encode()


def user_key(line: bytes, owner: str = "user_id") -> bytes:
    content = json.loads(line)
    return f"{content['platform']}:{content[owner]}".encode()


def by_user(lines: Any) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for line in lines:
        found.setdefault(user_key(line), []).append(line)
    return found


def assert_counted_once(sent: Sent) -> None:
    assert sent.dead == 0
    for n, shown in enumerate(sent.users.values()):
        assert (shown["raw"]["posts"], shown["raw"]["like"]) == (2, 12)
        assert shown["user"]["follower_count"] == 2**63 - 1 - n
        assert shown["score"] > 0
