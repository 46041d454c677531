"""A reader of docs/formats.md, who types its commands in a folder with the examples and posts."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.kafka.broker import SHORT_RUN

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "formats.md"
TIMEOUT_S = 60.0

_COMMAND = re.compile(r"^\$ (.+)$", re.MULTILINE)


def commands() -> list[str]:
    """What the page says to type."""
    page = PAGE.read_text(encoding="utf-8")
    part = page.split("\n## Your own producer\n")[1].split("\n## ")[0]
    return _COMMAND.findall(part)


class Reader:
    """Types the page's commands into a shell; `python` is the one that runs the tests."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "examples", folder / "examples")
        self._log = folder / "output.log"
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "JAVA_TOOL_OPTIONS": " ".join((*SHORT_RUN, quiet)),
            **environment,
        }

    def write(self, name: str, lines: Sequence[bytes]) -> None:
        (self.folder / name).write_bytes(b"".join(line + b"\n" for line in lines))

    def edit(self, name: str, **settings: str) -> None:
        """Other values in a properties file, as the page tells to put in; dots are underscores."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        for setting, value in settings.items():
            line = re.compile(rf"^{re.escape(setting.replace('_', '.'))}=.*$", re.MULTILINE)
            assert len(line.findall(text)) == 1, f"{name} has no {setting}"
            text = line.sub(f"{setting.replace('_', '.')}={value}", text)
        path.write_text(text, encoding="utf-8")

    def add(self, name: str, *texts: str) -> None:
        """More lines at the end of a file."""
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write("\n".join(("", *texts, "")))

    def run(self, command: str) -> None:
        """It has ended well."""
        with self.running(command) as process:
            code = process.wait(TIMEOUT_S)
        assert code == 0, f"{command} ended with {code}:\n{self.said()}"

    @contextmanager
    def running(self, command: str) -> Iterator[subprocess.Popen[bytes]]:
        """It runs inside the block, unless it ends by itself; nothing of it is left afterwards."""
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def said(self) -> str:
        """What the last command printed."""
        return self._log.read_text(errors="replace")[-4000:]
