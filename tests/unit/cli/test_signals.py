"""What ends a command, and whom Ctrl-C reaches."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stream_app.cli.signals import apart_from_make, interrupts

# Runs argv[1:] on a terminal of its own, presses Ctrl-C once it says "up", prints what was said.
TERMINAL = """
import os, pty, signal, sys
child, terminal = pty.fork()
if child == 0:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored, where a shell's `&` began the tests
    os.execvp(sys.argv[1], sys.argv[1:])
said = b""
while True:
    try:
        read = os.read(terminal, 1_000)
    except OSError:
        break
    if not read:
        break
    was_up = b"up" in said
    said += read  # a word may come in two parts
    if b"up" in said and not was_up:
        os.write(terminal, b"\\x03")
os.waitpid(child, 0)
print(said.decode(errors="replace"))
"""
INNER = """
import time
from stream_app.cli.signals import apart_from_make, interrupts
with interrupts(), apart_from_make():
    try:
        print("up", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("inner ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_interrupts_and_the_next_are_ignored(number: int) -> None:
    before = signal.getsignal(number)
    with interrupts():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(number) == before


def test_what_nohup_started_outlives_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("level", "outer_survives"), [("MAKELEVEL=1", True), ("NOTHING=1", False)])
def test_ctrl_c_passes_by_the_make_that_started_us(level: str, outer_survives: bool) -> None:
    shell = f"{level} {sys.executable} -c '{INNER}'; echo outer goes on"
    done = subprocess.run(
        [sys.executable, "-c", TERMINAL, "sh", "-c", shell],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
        env={name: value for name, value in os.environ.items() if name != "MAKELEVEL"},
    )
    assert "inner ended" in done.stdout
    assert ("outer goes on" in done.stdout) == outer_survives


def test_without_a_terminal_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAKELEVEL", "1")
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115, PTH123 - closed with the test
    group = os.getpgrp()
    with sys.stdin, apart_from_make():
        assert os.getpgrp() == group
