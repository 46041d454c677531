"""Where commands of the documentation run: a folder like the checkout, free ports, one broker."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Final, Self

from tests.kafka.broker import free_port

ROOT: Final = Path(__file__).parents[2]
COMMAND_TIMEOUT_S: Final = 300.0
READY_TIMEOUT_S: Final = 300.0
END_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.1
_BASH: Final = "/bin/bash"
_SHOWN_BYTES: Final = 3_000

# What the pages say, so that nothing that runs on this machine already is disturbed.
_PORTS: Final = ("6066", "6067", "9092")
# 0; or SIGINT, as the shell, as Python and as make tell of it.
_ENDED_WELL: Final = {0, 130, -signal.SIGINT, 2}


class CheckFailedError(Exception):
    """A command of the documentation does not do what it should; says what happened."""


@dataclass(frozen=True, kw_only=True)
class Lasting:
    """A kind of command that goes on until Ctrl-C.

    Attributes:
        pattern: what it looks like.
        ready_when: in its output when the next command may come; None: a worker, asked itself.
        says: in its output before it is ended.
    """

    pattern: re.Pattern[str]
    ready_when: str | None = ""
    says: str = ""


LASTING: Final = (
    Lasting(pattern=re.compile(r"\bkol worker\b"), ready_when=None),
    Lasting(pattern=re.compile(r"\b(kol|make) demo\b(?!.*--once)"), ready_when="replay done"),
    Lasting(pattern=re.compile(r"\bkol watch\b"), says="promoted"),
    Lasting(pattern=re.compile(r"-m tests\.kafka\.broker\b"), ready_when="Kafka listens"),
    Lasting(pattern=re.compile(r"\bcurl -N\b"), ready_when="retry:"),
)


def lasting(command: str) -> Lasting | None:
    """What is known of the command if it does not end by itself."""
    return next((kind for kind in LASTING if kind.pattern.search(command)), None)


class _Running:
    """A command that goes on."""

    def __init__(
        self, command: str, kind: Lasting, log: Path, process: subprocess.Popen[bytes]
    ) -> None:
        self.command = command
        self.kind = kind
        self.log = log
        self.process = process

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, is_reached: Callable[[], bool], what: str) -> None:
        """Raises CheckFailedError when it ends before, or takes far too long."""
        deadline = monotonic() + READY_TIMEOUT_S
        while not is_reached():
            if self.process.poll() is not None:
                raise CheckFailedError(f"`{self.command}` ended too early:\n{self.tail()}")
            if monotonic() > deadline:
                raise CheckFailedError(f"`{self.command}`: {what} never came:\n{self.tail()}")
            sleep(_POLL_S)

    def tail(self) -> str:
        return self.said()[-_SHOWN_BYTES:]


class Session:
    """Runs commands one after the other; what goes on is ended by `end_lasting` or at the end."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._running: list[_Running] = []
        self._ports = {port: str(free_port()) for port in _PORTS}
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Self:
        home = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="kol-docs-")))
        self.folder, self._tools, self._logs = home / "checkout", home / "bin", home / "logs"
        for folder in (self.folder, self._tools, self._logs):
            folder.mkdir()
        for path in ROOT.iterdir():
            if path.name not in {".git", ".env", "var", "kol-data"}:
                (self.folder / path.name).symlink_to(path)
        self._write_tools()
        self.environment = self._make_environment()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            self._kill_all()

    def _write_tools(self) -> None:
        """`kol`, `python` and `make` are those of this environment, wherever it is."""
        python = shlex.quote(sys.executable)
        venv = shlex.quote(sys.prefix)
        stamps = f"-o {venv}/.run -o {venv}/.dev"  # nothing is installed
        for name, command in {
            "kol": f"{python} -m stream_app",
            "python": python,
            "python3": python,
            "make": f"{shutil.which('make')} {stamps} VENV={venv}",
        }.items():
            script = self._tools / name
            script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            script.chmod(0o755)
        (self._tools / ".curlrc").write_text("fail\nsilent\nshow-error\n")

    def _make_environment(self) -> dict[str, str]:
        ours = {name: v for name, v in os.environ.items() if not name.startswith(("KOL_", "MAKE"))}
        return ours | {
            "PATH": f"{self._tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "CURL_HOME": str(self._tools),
            "KOL_BROKER": f"127.0.0.1:{self._ports['9092']}",
            "KOL_WEB_PORT": self._ports["6066"],
        }

    def here(self, text: str) -> str:
        """The text with this session's ports in place of those that pages name."""
        for named, port in self._ports.items():
            text = re.sub(rf"\b{named}\b", port, text)
        if "tests.kafka.broker" in text and "--port" not in text:
            broker = "tests.kafka.broker"
            text = text.replace(broker, f"{broker} --port {self._ports['9092']}")
        return text

    def url(self, path: str) -> str:
        """The address of a path of the web API."""
        return f"http://127.0.0.1:{self._ports['6066']}{path}"

    def run(self, command: str) -> str:
        """What the command prints on standard output; it has ended, with exit code 0.

        Raises:
            CheckFailedError: it did not.
        """
        if export := re.fullmatch(r"export (\w+)=(\S*)( *#.*)?", command):
            self.environment[export[1]] = self.here(export[2])
            return ""
        try:
            done = subprocess.run(  # noqa: S603 - what our own pages say
                [_BASH, "-c", self.here(command)],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CheckFailedError(f"`{command}` goes on after {COMMAND_TIMEOUT_S:g} s") from None
        if done.returncode != 0:
            said = (done.stdout + done.stderr)[-_SHOWN_BYTES:]
            raise CheckFailedError(f"`{command}` ends with {done.returncode}:\n{said}")
        return done.stdout

    def start(self, command: str, kind: Lasting) -> None:
        """The command goes on, and is ready for what the page does next."""
        path = self._logs / f"{len(list(self._logs.iterdir()))}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - what our own pages say
                [_BASH, "-c", self.here(command)],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        running = _Running(command, kind, path, process)
        self._running.append(running)
        wanted = kind.ready_when
        if wanted is None:
            address = self._readiness(command)
            running.wait_until(lambda: _answers(address), address)
        else:
            running.wait_until(lambda: wanted in running.said(), wanted)

    def _readiness(self, command: str) -> str:
        port = re.search(r"--web-port (\d+)", self.here(command))
        default = self.environment["KOL_WEB_PORT"]
        return f"http://127.0.0.1:{port[1] if port else default}/readyz"

    def end_lasting(self) -> None:
        """What still goes on is ended as by Ctrl-C, the last one first; all of it ends well."""
        while self._running:
            self._end(self._running[-1])
            self._running.pop()

    def _end(self, running: _Running) -> None:
        says = running.kind.says
        running.wait_until(lambda: says in running.said(), says)
        os.killpg(running.process.pid, signal.SIGINT)
        try:
            code = running.process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise CheckFailedError(f"Ctrl-C does not end `{running.command}`") from None
        if code not in _ENDED_WELL:
            raise CheckFailedError(f"`{running.command}` ends with {code}:\n{running.tail()}")

    def _kill_all(self) -> None:
        for running in reversed(self._running):
            with suppress(ProcessLookupError):  # it has ended, and that was the failure
                os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2.0) as answer:  # noqa: S310 - ours, on loopback
            return bool(answer.status == 200)
    except OSError:
        return False
