"""Colours, bars and cursor movements are for terminals alone."""

from __future__ import annotations

import io
import sys

import pytest

from stream_app.cli.terminal import bar, is_terminal, print_table, spinner

ESCAPE = "\x1b"


class Terminal(io.StringIO):
    """Standard output as a terminal, which remembers what it was told."""

    def isatty(self) -> bool:
        return True


def show_everything() -> None:
    with spinner("waiting"):
        print_table(["user", "score"], [["@a", "1"]], right=["score"])
    with bar("posts", 10) as progress:
        progress.move(5)
        progress.say("promoted @a", "green")
        progress.move(10)


def test_output_that_is_no_terminal_has_no_colours_and_no_bars(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    show_everything()
    said = capsys.readouterr()
    assert ESCAPE not in said.out + said.err
    assert "promoted @a" in said.out
    assert "@a" in said.out


def test_a_terminal_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    show_everything()
    assert ESCAPE in terminal.getvalue()


def test_a_terminal_that_cannot_move_its_cursor_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert not is_terminal()
