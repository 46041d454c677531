"""The real commands with the real bundled encoder, as a user would type them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stream_app.engine.topics import topic_table
from tests.kafka.broker import KafkaBroker
from tests.kafka.clients import Record, partitions, produce
from tests.kafka.worker import Worker
from tests.kafka.workers import KOL_WORKER, Workers
from tests.stream_of_events import START

COMMAND_TIMEOUT_S = 60
TEXTS = (
    "Quarterly earnings beat estimates and the chipmaker raised its outlook.",
    "My sourdough finally rose overnight, the kitchen smells wonderful.",
    "昨天的球赛太精彩了，最后一分钟绝杀！",
    "Train strike again tomorrow; who wants to share a cab from the airport?",
    "Reading old letters from my grandmother, I learned where our name comes from.",
)


def kol(worker: Worker, *arguments: str) -> str:
    """What the command prints; it must end with 0."""
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", *arguments],
        env=worker.environment,
        cwd=worker.log_path.parent,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def post(user: str, number: int, text: str) -> Record:
    content = {
        "id": f"{user}-{number}",
        "platform": "x",
        "user_id": user,
        "text": text,
        "created_at": START + number * 1000,
        "follower_count": 100,
        "like_count": 10,
    }
    return Record(key=f"x:{user}".encode(), value=json.dumps(content).encode())


@pytest.fixture
def system(kafka: KafkaBroker, prefix: str, tmp_path: Path) -> Iterator[Workers]:
    """A place for workers; there are no topics yet."""
    settings = {"encoder": "bundled", "min_population": 2, "tiers": "kol=0.5"}
    with closing(Workers(kafka.bootstrap, prefix, tmp_path, **settings)) as workers:
        yield workers


def test_topics_worker_and_questions_as_a_user_types_them(system: Workers) -> None:
    worker = system.make("only", command=KOL_WORKER)
    names = [spec.name for spec in topic_table(system.settings)]
    made = kol(worker, "topics", "create")
    assert all(f"created {name}\n" in made for name in names)
    assert "created" not in kol(worker, "topics", "create"), "they were there"
    kol(worker, "topics", "check")
    assert all(partitions(system.broker, name) for name in names)
    worker.start()

    same = [post("copycat", n, TEXTS[0]) for n in range(len(TEXTS))]
    various = [post("various", n, text) for n, text in enumerate(TEXTS)]
    empty = [post("silent", 0, "")]
    produce(system.broker, system.names.posts, [*same, *various, *empty])
    system.wait_until_scored(worker)

    users: dict[str, Any] = {
        name: json.loads(kol(worker, "user", f"x:{name}", "--json"))
        for name in ("copycat", "various", "silent")
    }
    text = {name: factors(user)["text"] for name, user in users.items()}
    assert text["various"] > 0.9 > 0.5 > text["copycat"]
    assert text["silent"] == 1.0
    assert users["various"]["score"] > users["copycat"]["score"]
    assert users["various"]["embedding"]["norm"] > 0
    ranking = json.loads(kol(worker, "rankings", "--json"))
    assert ranking["items"][0]["user"]["user_id"] == "various"
    assert json.loads(kol(worker, "threshold", "--json"))["population"] == 3
    assert worker.terminate() == 0


def factors(user: Any) -> dict[str, float]:
    return {factor["name"]: factor["value"] for factor in user["factors"]}
