"""One real worker: a process that is started, frozen, killed and asked."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from time import monotonic, sleep

import psutil  # type: ignore[import-untyped] # it has no types of its own

from tests.kafka.answering import Answering
from tests.kafka.clients import wait_for

READY_TIMEOUT_S = 60.0  # far more than the few seconds it takes, for machines that do much else
EXIT_TIMEOUT_S = 30.0  # within which a worker ends after SIGTERM, whatever it was doing
LOG_LINES_SHOWN = 40


class Worker(Answering):
    """One worker's place: port, data directory, log. It may be started, killed, started again."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], home: Path) -> None:
        super().__init__(int(environment["KOL_WEB_PORT"]), environment.get("KOL_WEB_TOKEN"))
        self.command = list(command)
        self.environment = environment
        self.data_dir = Path(environment["KOL_DATA_DIR"])
        self.log_path = home / "worker.log"
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None

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

    def get_with(self, path: str, token: str | None) -> tuple[int, bytes]:
        """Fails with the log when the process has ended."""
        assert not self.has_ended, f"{self._home.name} has ended:\n{self.log()}"
        return super().get_with(path, token)


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
