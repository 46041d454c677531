"""Every client of the program at a Kafka that asks who comes: those of the worker and of `kol`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.kafka.clients import Record, consume, produce, wait_for
from tests.kafka.secured import KEY_PASSWORD, PASSWORD, SecuredBroker
from tests.kafka.worker import READY_TIMEOUT_S, Worker
from tests.kafka.workers import Workers

COMMAND_TIMEOUT_S = 60
USERS = 6
TEXT = "the words of a post zxqv"
WRONG = "wrong-Pm3"
SECRETS = (PASSWORD, KEY_PASSWORD, "sesame-Rk8")


@pytest.fixture(scope="module")
def guarded(kafka_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    with SecuredBroker(tmp_path_factory.mktemp("secured") / "kafka") as broker:
        yield broker


@pytest.fixture
def system(
    guarded: SecuredBroker, prefix: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Workers]:
    """A place for workers that come this way; there are no topics yet."""
    settings = guarded.settings(getattr(request, "param", "scram over tls"))
    settings |= {"min_population": 2, "tiers": "kol=0.5", "web_token": SECRETS[-1]}
    with closing(Workers(settings.pop("broker"), prefix, tmp_path, **settings)) as workers:
        yield workers


def kol(worker: Worker, *arguments: str, **changes: Any) -> subprocess.CompletedProcess[str]:
    changed = {f"KOL_{name.upper()}": str(value) for name, value in changes.items()}
    return subprocess.run(
        [sys.executable, "-m", "stream_app", *arguments],
        env=worker.environment | changed,
        cwd=worker.log_path.parent,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )


def told(worker: Worker, *arguments: str) -> str:
    """What the command prints; it must end with 0."""
    done = kol(worker, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def posts() -> bytes:
    lines = (
        {
            "id": f"p{number}",
            "platform": "x",
            "user_id": f"u{number}",
            "text": TEXT,
            "created_at": 1_700_000_000_000 + number,
            "like_count": number**3,
        }
        for number in range(USERS)
    )
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@pytest.mark.parametrize("system", ["scram over tls", "plain"], indirect=True)
def test_every_client_gets_in_and_no_secret_gets_out(
    system: Workers, guarded: SecuredBroker
) -> None:
    worker = system.make("only", log_level="debug")
    home = worker.log_path.parent
    said = told(worker, "topics", "create")
    worker.start()
    command_line = Path(f"/proc/{worker.pid}/cmdline").read_text()
    Path(home, "posts.jsonl").write_bytes(posts())
    # Forwarded by Faust's producer, and one that goes to the dead letters.
    records = [Record(value=posts().splitlines()[0], partition=number) for number in range(4)]
    bad = json.dumps({"id": "p", "platform": "x", "user_id": "u", "text": [TEXT]}).encode()
    produce(guarded.bootstrap, system.names.posts, [*records, Record(value=bad)])
    said += told(worker, "replay", "posts.jsonl", "--speed", "max")

    def is_shown() -> bool:
        ranking = worker.json("/api/v1/rankings")  # comes by the worker's own readers
        return bool(ranking["population"] == USERS and ranking["tiers"][0]["members"])

    wait_for(is_shown, "the ranking", READY_TIMEOUT_S)
    wait_for(lambda: len(consume(guarded.bootstrap, system.names.events)) > 0, "a promotion")
    assert b"event: promoted\n" in first_lines_of_the_stream(worker)
    said += told(worker, "topics", "check")
    said += told(worker, "dlq", "export", "--out", "bad.jsonl")
    mended = json.loads(Path(home, "bad.jsonl").read_bytes().splitlines()[0])
    mended["value"] = json.loads(posts().splitlines()[0])
    Path(home, "mended.jsonl").write_text(json.dumps(mended) + "\n")
    said += told(worker, "dlq", "resend", "mended.jsonl")
    said += told(worker, "rankings")
    letters = told(worker, "dlq", "list")
    assert "missing-field" in letters or "invalid-field" in letters
    settings = told(worker, "settings", "--json")
    assert '"(hidden)"' in settings
    shown = told(worker, "settings") + settings + letters + said
    assert watched(worker)
    assert worker.terminate() == 0
    shown += told(worker, "rebuild")
    written = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    for secret in SECRETS:
        assert secret not in shown + command_line
        assert secret.encode() not in written
    assert TEXT.encode() not in worker.log_path.read_bytes()
    assert TEXT not in shown


@pytest.mark.parametrize("system", ["tls"], indirect=True)
def test_a_certificate_lets_a_worker_in_too(system: Workers) -> None:
    worker = system.make("only")
    Path(worker.log_path.parent, "posts.jsonl").write_bytes(posts())
    told(worker, "topics", "create")
    worker.start()
    told(worker, "replay", "posts.jsonl", "--speed", "max")
    wait_for(lambda: worker.json("/api/v1/rankings")["population"] == USERS, "the ranking")
    assert watched(worker)
    assert KEY_PASSWORD not in worker.log_path.read_text()


def first_lines_of_the_stream(worker: Worker) -> list[bytes]:
    with closing(HTTPConnection("127.0.0.1", worker.port, timeout=30)) as connection:
        connection.request("GET", "/api/v1/events?last_event_id=0", headers=worker.headers)
        answer = connection.getresponse()
        return [answer.readline() for _ in range(4)]


def watched(worker: Worker) -> bool:
    """Whether `kol watch` shows a promotion."""
    command = [sys.executable, "-m", "stream_app", "watch", "--from-beginning"]
    with subprocess.Popen(
        command, env=worker.environment, cwd=worker.log_path.parent, stdout=subprocess.PIPE
    ) as watching:
        assert watching.stdout is not None
        line = watching.stdout.readline()
        watching.kill()
    return b"promoted" in line


@pytest.mark.parametrize(
    ("way", "changes", "words"),
    [
        ("scram over tls", {"sasl_password": "wrong"}, "check KOL_SASL_USER"),
        ("scram over tls", {"sasl_user": "nobody"}, "check KOL_SASL_USER"),
        ("scram over tls", {"broker_ca": "wrong"}, "check KOL_BROKER_CA"),
        ("scram over tls", {"broker_ca": ""}, "check KOL_BROKER_CA"),
        ("scram over tls", {"broker": "localhost"}, "check KOL_BROKER_CA"),
        ("plain", {"sasl_password": "wrong"}, "check KOL_SASL_USER"),
        ("plain", {"sasl_mechanism": "scram-sha-256"}, "PLAIN,SCRAM-SHA-512"),
        (
            "tls",
            {"broker_cert": "", "broker_key": "", "broker_key_password": ""},
            "check KOL_BROKER_CA, KOL_BROKER_CERT",
        ),
    ],
)
def test_who_is_not_let_in_is_told_so_at_once(
    guarded: SecuredBroker,
    tmp_path: Path,
    way: str,
    changes: dict[str, Any],
    words: str,
) -> None:
    settings = guarded.settings(way)
    changes = dict(changes)
    if changes.get("broker_ca"):
        changes["broker_ca"] = guarded.certificates.wrong_ca
    if "broker" in changes:  # its certificate is for another name
        changes["broker"] = settings["broker"].replace("127.0.0.1", "localhost")
    with closing(Workers(settings.pop("broker"), "", tmp_path, **settings)) as workers:
        done = kol(workers.make("only"), "topics", "check", **changes)
    assert_refused(done.returncode, done.stderr, words)


def assert_refused(code: int, said: str, words: str) -> None:
    assert code == 2, said
    (line,) = [line for line in said.splitlines() if line.startswith("kol: ")]
    assert "127.0.0.1" in line or "localhost" in line
    assert words in line
    assert "Traceback" not in said
    assert all(secret not in said for secret in SECRETS)


@pytest.mark.parametrize("command", ["watch", "replay", "dlq", "rebuild"])
def test_every_command_says_so(system: Workers, command: str) -> None:
    worker = system.make("only", sasl_password="wrong")  # noqa: S106 - it is wrong
    Path(worker.log_path.parent, "posts.jsonl").write_bytes(posts())
    more = {"replay": ["posts.jsonl"], "dlq": ["list"]}.get(command, [])
    done = kol(worker, command, *more)
    assert_refused(done.returncode, done.stderr, "does not let us in")


def test_a_worker_with_a_wrong_password_does_not_wait_for_the_broker(system: Workers) -> None:
    worker = system.make("only", sasl_password=WRONG, log_level="debug").launch()
    assert worker.wait() == 2
    log = worker.log_path.read_text()
    assert_refused(2, log, "does not let us in")
    assert WRONG not in log
