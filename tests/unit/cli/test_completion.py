"""Pressing Tab behind `kol`, in the shells themselves where they are installed."""

import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from stream_app.cli.commands.completion import SHELLS
from stream_app.cli.main import ENTRIES, main
from tests.unit.cli.test_start import HEAVY, PROGRAM

TIMEOUT_S = 30
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
# Bells and colours are of no matter, and zsh draws what it lists below the line.
ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[=>(][A-Z0-9]?)|\x07")


def completions(*words: str) -> list[str]:
    """What the shell is told for the last of the words."""
    done = asked("bash", *words)
    return [line.partition(",")[2] for line in done.splitlines()]


def asked(shell: str, *words: str) -> str:
    environment = {
        **os.environ,
        "_KOL_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": shlex.join(("kol", *words[:-1])) + f" {words[-1]}",
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-m", "stream_app"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_asks_kol(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    if shell == "bash":
        needed("bash")
    assert main(["completion", shell]) == 0
    assert f"_KOL_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_another_shell_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err


def test_commands_options_and_choices_are_completed() -> None:
    assert completions("") == list(ENTRIES)
    assert completions("t") == ["topics", "threshold"]
    assert completions("topics", "") == ["check", "create"]
    assert completions("dlq", "") == ["export", "list", "resend"]
    assert "--speed" in completions("replay", "--")
    assert "twitter-v1" in completions("replay", "--format", "")
    assert completions("worker", "--log-level", "wa") == ["warning"]
    assert completions("completion", "z") == ["zsh"]
    assert "--end-with-input" not in completions("worker", "--")


def test_zsh_is_told_what_each_command_does() -> None:
    assert asked("zsh", "rank").splitlines() == ["plain", "rankings", ENTRIES["rankings"].summary]


@pytest.mark.parametrize("words", ["kol ", "kol replay --format ", "kol topics ", "kol dlq "])
def test_completing_imports_nothing_heavy(words: str) -> None:
    program = PROGRAM.replace("code = main(sys.argv[1:])", "code = ending()")
    ending = "def ending():\n    try: main([])\n    except SystemExit as end: return end.code\n"
    done = subprocess.run(
        [sys.executable, "-c", program.replace("code =", ending + "code =")],
        env={
            **os.environ,
            "_KOL_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split())),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    *told, last = done.stdout.splitlines()
    code, modules = json.loads(last)
    assert code == 0
    assert told
    assert not set(modules) & HEAVY


def needed(shell: str) -> None:
    """Skips where the shell is not installed, but not in CI."""
    if shutil.which(shell) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{shell} is not installed")
        pytest.skip(f"{shell} is not installed")


class Terminal:
    """A terminal with a shell in it, and somebody who types."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._seen = ""

    def type(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def wait_for(self, words: str) -> None:
        """They have appeared since the last call."""
        deadline = monotonic() + TIMEOUT_S
        while words not in self._seen:
            ready, _, _ = select.select([self._descriptor], [], [], deadline - monotonic())
            assert ready, f"{words!r} never appeared in {self._seen!r}"
            self._seen += ESCAPE.sub("", os.read(self._descriptor, 4_096).decode(errors="replace"))
        self._seen = self._seen.partition(words)[2]


@contextmanager
def terminal(shell: str, tools: Path) -> Iterator[Terminal]:
    process, descriptor = pty.fork()
    if process == 0:
        home = {"HOME": str(tools), "TERM": "xterm", "PS1": "ready> ", "ZDOTDIR": str(tools)}
        path = f"{tools}:{os.environ['PATH']}"
        os.execvpe(  # noqa: S606 - the shell itself is what is wanted
            START[shell][0], START[shell], {**os.environ, **home, "PATH": path}
        )
    try:
        yield Terminal(descriptor)
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(descriptor)


@pytest.mark.filterwarnings("ignore:.*use of forkpty:DeprecationWarning")  # it execs at once
@pytest.mark.parametrize("shell", START)
def test_tab_completes_in_a_real_shell(shell: str, tmp_path: Path) -> None:
    needed(shell)
    kol = tmp_path / "kol"
    kol.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m stream_app "$@"\n')
    kol.chmod(0o755)
    with terminal(shell, tmp_path) as person:
        person.wait_for("ready> ")
        if shell == "zsh":
            person.type("autoload -Uz compinit; compinit -u -D\n")
        person.type(f'eval "$(kol completion {shell})"; echo in""stalled\n')
        person.wait_for("installed")
        person.type("kol rank\t")
        person.wait_for("ings")
        person.type("\x15kol worker --log-level deb\t")
        person.wait_for("ug")
        person.type("\x15kol completion fi\t")
        person.wait_for("sh")
