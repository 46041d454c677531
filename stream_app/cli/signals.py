"""Ctrl-C and its kin end a command once, and nothing disturbs the clearing up."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# A terminal that closes and a supervisor that stops us mean the same as Ctrl-C.
_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
_JOB_CONTROL = [getattr(signal, name) for name in ("SIGTSTP", "SIGTTOU") if hasattr(signal, name)]
_HANGUP = getattr(signal, "SIGHUP", None)


@contextmanager
def interrupts() -> Iterator[None]:
    """Inside, the first of the signals raises KeyboardInterrupt and later ones are ignored.

    Also where SIGINT came ignored, as shells start what they put into the background; but what
    `nohup` has started outlives its terminal.
    """
    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    if before.get(_HANGUP) is signal.SIG_IGN:
        numbers.remove(_HANGUP)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    try:
        for number in numbers:
            signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def apart_from_make() -> Iterator[None]:
    """Inside, Ctrl-C reaches us and not the `make` that started us, which would report a failure.

    Nothing changes where no `make` did, or where there is no terminal to press Ctrl-C on.
    """
    group = os.getpgrp() if "MAKELEVEL" in os.environ and sys.stdin.isatty() else None
    terminal = None if group is None else sys.stdin.fileno()
    if terminal is None or group == os.getpid() or os.tcgetpgrp(terminal) != group:
        yield
        return
    # Stopped by Ctrl-Z we could not be woken: the shell knows only make's group. A group that is
    # not in front yet needs the other one ignored to come there.
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _JOB_CONTROL}
    os.setpgid(0, 0)
    os.tcsetpgrp(terminal, os.getpgrp())
    try:
        yield
    finally:
        os.tcsetpgrp(terminal, group)
        os.setpgid(0, group)
        for number, handler in before.items():
            signal.signal(number, handler)
