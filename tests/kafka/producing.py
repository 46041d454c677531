"""A system on which producers are tried: what each was given, and what came of it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream_app.messages import KINDS, partition_of, rfc3339
from tests.builders import NOON
from tests.kafka.batches import producer_ids
from tests.kafka.broker import KafkaBroker
from tests.kafka.clients import StoredRecord, consume
from tests.kafka.reader import Reader
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers

USERS = [*(f"u{n}" for n in range(38)), "影响者:7", 'a "b"']
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


def send(system: System, reader: Reader, run: Callable[[str], None]) -> Sent:
    """Runs a producer on posts of a new platform, whose name it gets, until they are scored."""
    platform = f"p{secrets.token_hex(4)}"
    topic = system.workers.names.posts
    lines = lines_of(platform)
    reader.write("posts.jsonl", lines)
    before = counters(system.worker)
    run(platform)
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
