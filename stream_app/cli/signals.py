"""Ctrl-C and its kin end a command once, and nothing disturbs the clearing up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# A terminal that closes and a supervisor that stops us mean the same as Ctrl-C.
_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
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
