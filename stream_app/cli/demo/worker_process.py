"""A `kol worker` as a child process that ends with us, whatever ends us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from stream_app.errors import FatalError, KolError, UsageError

# Ctrl-C ends the demo within 5 s; nothing the worker still holds is worth more than that.
_GRACE_S = 2.5
COMMAND = (sys.executable, "-m", "stream_app", "worker", "--end-with-input")
_LAST_LINES = 15
_LAST_BYTES = 16 * 1024


class WorkerProcess:
    """One worker, started by entering and ended by leaving; a context manager.

    It has a session of its own, so that Ctrl-C reaches only us, who end it in order. Its standard
    input is a pipe that nobody writes to: when this process dies without a word, the pipe closes
    and the worker ends itself.

    Args:
        environment: settings for it, on top of our own environment.
        log_path: where its output goes.
        command: what to run.
    """

    def __init__(
        self, environment: Mapping[str, str], log_path: Path, command: Sequence[str] = COMMAND
    ) -> None:
        self._command = command
        self._environment = environment
        self.log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                self._command,
                env={**os.environ, **self._environment},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id, which is that of its process group too."""
        assert self._process is not None, "entered first"  # noqa: S101 - a programming error
        return self._process.pid

    def check(self) -> None:
        """Returns while it runs.

        Raises:
            UsageError: it found something to mend before it started; in its own words.
            FatalError: it ended for any other reason; with the last lines of its log.
        """
        code = None if self._process is None else self._process.poll()
        if code is not None:
            raise self._failure(code)

    def _failure(self, code: int) -> KolError:
        lines = self.last_lines()
        if code == UsageError.exit_code and lines and lines[-1].startswith("kol: "):
            return UsageError(lines[-1].removeprefix("kol: "))
        return WorkerDied(code, lines, self.log_path)

    def last_lines(self) -> list[str]:
        """The end of its log."""
        with self.log_path.open("rb") as log:
            log.seek(max(log.seek(0, os.SEEK_END) - _LAST_BYTES, 0))
            return log.read().decode(errors="replace").splitlines()[-_LAST_LINES:]

    def stop(self) -> None:
        """It and all it started have ended after the call, by force where asking does not help."""
        process = self._process
        if process is None or process.stdin is None:
            return
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
        # Its state is temporary: force loses nothing.
        self._signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # all of its group have ended
            os.killpg(self.pid, number)


class WorkerDied(FatalError):
    """The worker ended by itself.

    Attributes:
        lines: the last lines of its log.
        log_path: all of it.
    """

    def __init__(self, code: int, lines: list[str], log_path: Path) -> None:
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        super().__init__(f"the worker ended {how}; its log is {log_path}")
        self.lines = lines
        self.log_path = log_path
