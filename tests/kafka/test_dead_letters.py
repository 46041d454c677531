"""A bad record is listed, exported, corrected and sent back as a user would do it, and scored."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stream_app.cli.dlq.resend import RESENT_FROM
from stream_app.messages import partition_of
from tests.kafka.clients import Record, StoredRecord, consume, produce, wait_for
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers
from tests.stream_of_events import START

PARTITIONS = 4
COMMAND_TIMEOUT_S = 60
TEXT = "What user u thinks of it."
GOOD: dict[str, Any] = {
    "id": "p1",
    "platform": "x",
    "user_id": "u",
    "text": TEXT,
    "created_at": START,
    "like_count": 5,
}
INTERACTION: dict[str, Any] = {
    "id": "i1",
    "platform": "x",
    "kind": "like",
    "actor_id": "a",
    "target_user_id": "u",
    "target_post_id": "p1",
    "created_at": START,
}
HOME = partition_of(b"x:u", PARTITIONS)
AWAY = (HOME + 1) % PARTITIONS
ESCAPE = b"\x1b[31mred"


def kol(worker: Worker, *arguments: str, code: int = 0) -> tuple[str, str]:
    """What the command prints, and what it says on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", *arguments],
        env=worker.environment,
        cwd=worker.log_path.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def put_aside(system: Workers, count: int) -> list[StoredRecord]:
    """The dead letters, once there are so many."""
    wait_for(
        lambda: len(consume(system.broker, system.names.dead_letters)) >= count,
        f"{count} dead letters",
    )
    return consume(system.broker, system.names.dead_letters)


def test_a_bad_record_is_listed_exported_corrected_sent_back_and_scored(
    workers: Callable[..., Workers],
) -> None:
    system = workers(partitions=PARTITIONS)
    worker = system.start("only")
    posts, interactions = system.names.posts, system.names.interactions
    bad = json.dumps(GOOD | {"like_count": "5"}).encode()
    marked = (("trace", b"a"), ("kol-forwarded", b"1"), ("kol-origin", posts.encode() + b"/0/0"))
    produce(
        system.broker,
        posts,
        [
            Record(key=ESCAPE, value=bad, partition=AWAY, headers=marked),
            Record(key=b"x:u", value=b'{"text": "' + TEXT.encode() + ESCAPE),
        ],
    )
    like = json.dumps(INTERACTION | {"kind": "likes"}).encode()
    produce(system.broker, interactions, [Record(key=b"x:u", value=like)])
    put_aside(system, 3)

    listed, tally = kol(worker, "dlq")
    assert tally == "3 dead letters: 2 invalid-field, 1 invalid-json\n"
    assert TEXT not in listed
    assert "\x1b" not in listed
    (line,) = [one for one in listed.splitlines() if "like_count: " in one]
    assert f"{posts}/{AWAY}/0" in line
    assert r"key \x1b[31mred" in line
    of_posts, _ = kol(worker, "dlq", "--reason", "invalid-field", "--topic", "posts", "--json")
    assert json.loads(of_posts)["detail"].startswith("like_count: ")
    newest, _ = kol(worker, "dlq", "--since", "1h", "--last", "1")
    assert newest == listed.splitlines(keepends=True)[-1]

    home = worker.log_path.parent
    kol(worker, "dlq", "export", "--reason", "invalid-field", "--out", "bad.jsonl")
    exported = map(json.loads, (home / "bad.jsonl").read_bytes().splitlines())
    lines = {one["topic"]: one for one in exported}
    assert lines[posts]["value"] == bad.decode()

    # One corrected by hand in the text, one given as the object itself, one still wrong.
    lines[posts]["value"] = lines[posts]["value"].replace('"5"', "5")
    mistaken = lines[posts] | {"value": json.dumps(GOOD | {"created_at": "yesterday"})}
    lines[interactions]["value"] = INTERACTION
    write(home / "fixed.jsonl", lines[posts], mistaken, lines[interactions])
    refusal = "fixed.jsonl:2: invalid-field: created_at: "
    said, complaint = kol(worker, "dlq", "resend", "--dry-run", "fixed.jsonl", code=1)
    assert said == "2 dead letters would be sent back\n"
    assert complaint.startswith(refusal)
    assert len(consume(system.broker, posts)) == 2, "a dry run sends nothing"

    said, complaint = kol(worker, "dlq", "resend", "fixed.jsonl", code=1)
    assert said == "2 dead letters sent back\n"
    assert complaint.startswith(refusal)
    assert TEXT not in complaint

    system.wait_until_scored(worker)
    shown = worker.json("/api/v1/users/x%3Au")
    assert shown["raw"]["posts"] == 1
    assert shown["raw"]["like"] == 5
    assert shown["raw"]["interactions"]["like"] == 1
    assert worker.counter("kol_forwarded_total") == 0, "it came to its user's partition at once"
    (resent,) = [one for one in consume(system.broker, posts) if RESENT_FROM in dict(one.headers)]
    assert (resent.key, resent.partition) == (b"x:u", HOME)
    origin = f"{posts}/{AWAY}/0".encode()
    assert resent.headers == (("trace", b"a"), (RESENT_FROM, origin))
    assert len(consume(system.broker, system.names.dead_letters)) == 3, "nothing new, nothing gone"

    kol(worker, "dlq", "resend", "fixed.jsonl", code=1)
    system.wait_until_scored(worker)
    again = worker.json("/api/v1/users/x%3Au")
    assert again["raw"] == shown["raw"], "what is sent again counts once"


def write(path: Path, *lines: Any) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
