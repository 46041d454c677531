"""Workers in processes of their own, timed and watched from outside."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from stream_app.core.scheme import Scheme
from stream_app.engine.topics import TopicNames, create_topics, topic_names
from stream_app.parts import create_scheme
from stream_app.settings import load_settings
from tests.kafka.broker import free_port

START_TIMEOUT_S = 480.0
STOP_TIMEOUT_S = 60.0
MIB = 1024 * 1024


class Running:
    """A worker, from its start on.

    Args:
        home: a folder for its log; its state is in `home/state` and outlives it.
        environ: settings.
        command: what Python is given; by default a worker whose encoder costs nothing.
    """

    def __init__(
        self,
        home: Path,
        environ: Mapping[str, str],
        command: Sequence[str] = ("-m", "benchmarks.null_worker"),
    ) -> None:
        home.mkdir(exist_ok=True)
        self.port = free_port()
        self._log = home / "log"
        own = {
            "KOL_DATA_DIR": str(home / "state"),
            "KOL_WEB_PORT": str(self.port),
            "KOL_WEB_ADVERTISE": f"127.0.0.1:{self.port}",
        }
        self.started = time.perf_counter()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                env=dict(os.environ) | dict(environ) | own,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, path: str) -> tuple[int, bytes]:
        """Status and body; status 0 while nobody answers. Raises when the process has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"the worker has ended:\n{self._log.read_text()[-2000:]}")
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException):
            return 0, b""
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        """The answer, None while there is none."""
        status, body = self.ask(path)
        return json.loads(body) if status == 200 else None

    def metric(self, name: str) -> float:
        """A metric summed over its labels; 0 while the worker does not answer."""
        _, body = self.ask("/metrics")
        lines = (line.rpartition(" ") for line in body.decode().splitlines())
        return sum(float(value) for key, _, value in lines if key.partition("{")[0] == name)

    def partitions(self) -> set[int]:
        """The partitions that it owns; none while it does not answer."""
        _, body = self.ask("/metrics")
        found = re.findall(r'^kol_lag\{[^}]*partition="(\d+)"', body.decode(), re.MULTILINE)
        return set(map(int, found))

    def wait_until_ready(self) -> float:
        """Seconds from its start until it is ready."""
        while self.ask("/readyz")[0] != 200:
            if time.perf_counter() - self.started > START_TIMEOUT_S:
                raise TimeoutError(f"not ready:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.02)
        return time.perf_counter() - self.started

    def peak_memory(self) -> float:
        """The most memory that it has used so far, MiB."""
        return memory(self.pid, "VmHWM")

    def memory(self) -> float:
        """The memory that it uses, MiB."""
        return memory(self.pid, "VmRSS")

    def kill(self) -> None:
        """Gone at once, as by a power cut."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> float:
        """Told to stop, and gone; seconds that it took."""
        begun = time.perf_counter()
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        return time.perf_counter() - begun


def new_app(
    app_id: str, broker: str, options: Any, **more: str
) -> tuple[dict[str, str], TopicNames, Scheme]:
    """Settings of an app's workers, for this process too, with its topics made; what follows."""
    given = {
        "KOL_BROKER": broker,
        "KOL_APP_ID": app_id,
        "KOL_PARTITIONS": str(options.partitions),
        "KOL_LOG_LEVEL": options.log_level,
        **more,
    }
    os.environ.update(given)
    settings = load_settings()
    asyncio.run(create_topics(settings))
    return given, topic_names(settings), create_scheme(settings)


class MemoryCurve(threading.Thread):
    """A worker's memory over time, until it is ended: pairs of seconds and MiB."""

    def __init__(self, worker: Running, every_s: float = 1.0) -> None:
        super().__init__(name="memory", daemon=True)
        self.curve: list[tuple[float, float]] = []
        self._worker = worker
        self._every_s = every_s
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(self._every_s):
            now = time.perf_counter() - self._worker.started
            try:
                self.curve.append((round(now, 1), round(self._worker.memory(), 1)))
            except (OSError, KeyError):
                return  # the process is gone

    def end(self) -> None:
        self._end.set()
        self.join()


def memory(pid: int, name: str) -> float:
    """A line of a process's status file, MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(values[name].split()[0]) / 1024


def folder_bytes(folder: Path) -> int:
    """The size of everything in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
