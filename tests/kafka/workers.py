"""Real workers in processes of their own, and what a test asks of them over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote

import psutil  # type: ignore[import-untyped] # it has no types of its own
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from stream_app.engine.topics import TopicNames, create_topics, topic_names
from stream_app.settings import Settings, load_settings
from stream_app.web.auth import bearer
from tests.kafka.broker import free_port
from tests.kafka.clients import end_offsets, wait_for

ROOT = Path(__file__).parents[2]
READY_TIMEOUT_S = 60.0  # far more than the few seconds it takes, for machines that do much else
EXIT_TIMEOUT_S = 30.0  # within which a worker ends after SIGTERM, whatever it was doing
SETTLE_TIMEOUT_S = 90.0
HTTP_TIMEOUT_S = 10.0
LOG_LINES_SHOWN = 40

WITH_FAKE_ENCODER = (sys.executable, "-m", "tests.kafka.worker_process")
KOL_WORKER = (sys.executable, "-m", "stream_app", "worker")


class Worker:
    """One worker's place: port, data directory, log. It may be started, killed, started again."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], home: Path) -> None:
        self.command = list(command)
        self.environment = environment
        self.data_dir = Path(environment["KOL_DATA_DIR"])
        self.port = int(environment["KOL_WEB_PORT"])
        self.log_path = home / "worker.log"
        self._home = home
        self._token = environment.get("KOL_WEB_TOKEN")
        self._process: subprocess.Popen[bytes] | None = None

    # -- life and death

    def launch(self, *options: str, **environment: str) -> Worker:
        """Its process runs, for now or for ever; `environment` as KOL_*, for this life only."""
        assert self._process is None, "it runs already"
        changed = {f"KOL_{name.upper()}": value for name, value in environment.items()}
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.command, *options],
                env=self.environment | changed,
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal is for the tests
            )
        return self

    def start(self, *options: str, **environment: str) -> Worker:
        """It is ready to serve."""
        self.launch(*options, **environment).wait_ready()
        return self

    def wait_ready(self) -> None:
        wait_for(self.is_ready, f"{self._home.name} to be ready", READY_TIMEOUT_S)

    def is_ready(self) -> bool:
        """Fails at once when the process has ended."""
        if self.has_ended:
            raise AssertionError(f"{self._home.name} ended with {self.wait()}:\n{self.log()}")
        return self.answers()

    def answers(self) -> bool:
        """Whether /readyz says 200; no when nobody listens."""
        try:
            return self.get("/readyz")[0] == 200
        except (OSError, HTTPException):
            return False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def is_frozen(self) -> bool:
        """Whether it does nothing at all; fails with the log when the process has ended."""
        assert not self.has_ended, self.log()
        return bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """Gone at once, as by a power cut, with whatever it was doing."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It does nothing at all inside the block, as on a machine that hangs."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def freeze(self) -> None:
        """It does nothing at all, as on a machine that hangs, until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def terminate(self) -> int:
        """Told to stop; returns the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self, timeout_s: float = EXIT_TIMEOUT_S) -> int:
        """The exit code, when it has ended by itself; fails with the log if it does not."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)  # `worker_process` shows where it hangs
            self._process.wait()
            raise AssertionError(
                f"{self._home.name} still ran after {timeout_s:g} s:\n{self.log()}"
            ) from None
        finally:
            if self._process.poll() is not None:
                self._process = None
        return code

    def memory(self) -> dict[str, float]:
        """Its memory now (`rss`) and at most so far (`peak`), in MB of a million bytes."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        kilobytes = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE))
        return {
            name: int(kilobytes[field]) * 1024 / 1e6
            for name, field in (("rss", "VmRSS"), ("peak", "VmHWM"))
        }

    def log(self) -> str:
        """The last lines that it wrote."""
        lines = self.log_path.read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_LINES_SHOWN:])

    # -- questions

    @property
    def headers(self) -> dict[str, str]:
        """Of a request that this worker lets in."""
        return {} if self._token is None else bearer(self._token)

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body; fails with the log when the process has ended."""
        return self.get_with(path, self._token)

    def get_with(self, path: str, token: str | None) -> tuple[int, bytes]:
        """`get` with another token than the worker's own, or with none."""
        assert not self.has_ended, f"{self._home.name} has ended:\n{self.log()}"
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=HTTP_TIMEOUT_S)) as connection:
            return _get(connection, path, token)

    def json(self, path: str) -> Any:
        """The answer's body; fails when the status is not 200."""
        status, body = self.get(path)
        assert status == 200, f"{path}: {status} {body!r}"
        return json.loads(body)

    def users(self, keys: Iterable[str]) -> dict[str, Any]:
        """`GET /api/v1/users/{key}` of each, over one connection; None for 404."""
        found: dict[str, Any] = {}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=HTTP_TIMEOUT_S)) as connection:
            for key in keys:
                status, body = _get(connection, f"/api/v1/users/{quote(key, safe='')}", self._token)
                assert status in (200, 404), f"{key}: {status} {body!r}"
                found[key] = json.loads(body) if status == 200 else None
        return found

    def kols(self) -> list[Any]:
        """All members of the lowest tier or a higher one, page by page."""
        items: list[Any] = []
        cursor = ""
        while True:
            page = self.json(f"/api/v1/kols?limit=500{cursor}")
            items += page["items"]
            if page["next"] is None:
                return items
            cursor = f"&cursor={quote(page['next'], safe='')}"

    def counter(self, name: str, **labels: str) -> float:
        """A metric of this life summed over the labels not given; 0 where there is none yet."""
        return sum(
            sample.value
            for sample in self._samples(name)
            if labels.items() <= sample.labels.items()
        )

    def counters(self, *names: str) -> dict[str, float]:
        """Metrics as of one moment, each summed over its labels."""
        found = dict.fromkeys(names, 0.0)
        for sample in _parsed(self.get("/metrics")[1]):
            if sample.name in found:
                found[sample.name] += sample.value
        return found

    def owned(self) -> set[str]:
        """The numbers of the partitions that it owns."""
        return {sample.labels["partition"] for sample in self._samples("kol_lag")}

    def _samples(self, name: str) -> list[Sample]:
        return [s for s in _parsed(self.get("/metrics")[1]) if s.name == name]


class Workers:
    """The workers of one test: same broker, prefix, app id and topics."""

    def __init__(self, broker: str, prefix: str, home: Path, **settings: Any) -> None:
        self.broker = broker
        self.settings: Settings = load_settings(
            **{"broker": broker, "prefix": prefix, "app_id": "app", "partitions": 4} | settings
        )
        self.names: TopicNames = topic_names(self.settings)
        self._given = {"partitions": 4} | settings
        self._prefix = prefix
        self._home = home
        self._made: list[Worker] = []

    def create_topics(self) -> None:
        asyncio.run(create_topics(self.settings))

    def make(
        self, name: str, *, command: Sequence[str] = WITH_FAKE_ENCODER, **settings: Any
    ) -> Worker:
        """A worker that does not run yet."""
        home = self._home / name
        home.mkdir()
        given = self._given | {
            "broker": self.broker,
            "prefix": self._prefix,
            "app_id": self.settings.app_id,
            "web_port": free_port(),
            "data_dir": home / "data",
        }
        environment = {k: v for k, v in os.environ.items() if not k.upper().startswith("KOL_")}
        environment |= {f"KOL_{k.upper()}": str(v) for k, v in (given | settings).items()}
        environment["PYTHONPATH"] = str(ROOT)
        worker = Worker(command, environment, home)
        self._made.append(worker)
        return worker

    def adopt(self, workers: Iterable[Worker]) -> None:
        """Workers made elsewhere are ended with the others, and their logs shown."""
        self._made += workers

    def start(self, name: str, *options: str, **settings: Any) -> Worker:
        """A new worker, ready."""
        return self.make(name, **settings).start(*options)

    def cut_reached_the_end(self, worker: Worker) -> bool:
        """Whether the line in force reflects every record that the source topics hold now."""
        cut = worker.json("/api/v1/threshold")["cut"]
        ends = {
            topic: {str(p): end for p, end in end_offsets(self.broker, topic).items()}
            for topic in (self.names.posts, self.names.interactions)
        }
        return bool(cut == ends)

    def wait_until_scored(self, worker: Worker) -> None:
        """Everything produced so far is in the rows and the line, and the line has been applied."""
        self._wait(worker, lambda: self.cut_reached_the_end(worker), "all events to be scored")
        self._wait(worker, lambda: line_is_applied(worker), "the line to be applied")

    def _wait(self, worker: Worker, condition: Callable[[], bool], what: str) -> None:
        try:
            wait_for(condition, what, SETTLE_TIMEOUT_S)
        except AssertionError as error:
            logs = "\n".join(w.log() for w in self._made if w.log_path.exists())
            line = worker.get("/api/v1/threshold")[1]
            raise AssertionError(f"{error}; line {line!r}\n{logs}") from None

    def close(self) -> None:
        for worker in self._made:
            if not worker.has_ended:
                worker.kill()


def line_is_applied(worker: Worker) -> bool:
    """Whether members and line agree: nobody from `enter` up is out, nobody below `leave` is in."""
    rankings = worker.json("/api/v1/rankings?limit=500")
    tier = rankings["tiers"][0]
    if tier["enter"] is None:
        return True
    members = worker.kols()
    above = [item for item in rankings["items"] if item["score"] >= tier["enter"]]
    return (
        len(members) == tier["members"]
        and all(item["tier"] is not None for item in above)
        and all(item["score"] >= tier["leave"] for item in members)
    )


@contextmanager
def running(broker: str, prefix: str, home: Path, **settings: Any) -> Iterator[Workers]:
    """Topics made, and no worker left behind."""
    workers = Workers(broker, prefix, home, **settings)
    workers.create_topics()
    try:
        yield workers
    finally:
        workers.close()


def _get(connection: HTTPConnection, path: str, token: str | None) -> tuple[int, bytes]:
    connection.request("GET", path, headers={} if token is None else bearer(token))
    response = connection.getresponse()
    return response.status, response.read()


def _parsed(metrics: bytes) -> Iterator[Sample]:
    for family in text_string_to_metric_families(metrics.decode()):
        yield from family.samples


def wait_until_handled(worker: Worker, records: int) -> None:
    """Returns at the moment when it has handled so many records in this life, or soon after."""
    deadline = monotonic() + READY_TIMEOUT_S
    while not _has_handled(worker, records):
        assert monotonic() < deadline, worker.log()
        assert not worker.has_ended, worker.log()
        sleep(0.002)  # so little that any moment can be hit


def _has_handled(worker: Worker, records: int) -> bool:
    try:
        return worker.counter("kol_events_total") >= records
    except OSError:
        return False  # its web server does not listen yet
