"""What differs between a terminal and a pipe: tables, colours, bars. Imports rich late."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import click

from stream_app.cli.wording import cells, fitted

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

EVENT_COLOURS = {"promoted": "green", "demoted": "yellow"}
_GAP = "  "


def is_terminal(*, err: bool = False) -> bool:
    """Whether standard output, or standard error, is a terminal that can move its cursor."""
    stream = sys.stderr if err else sys.stdout
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def columns() -> int | None:
    """Width of the terminal; None where output goes elsewhere and need not be cut."""
    return shutil.get_terminal_size().columns if is_terminal() else None


def json_text(value: object, *, indent: int | None = None) -> str:
    """The value as JSON, with an escape for what does not print.

    Strangers' names may hold commands for a terminal, and characters that turn its lines about.
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def print_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    flexible: str | None = None,
) -> None:
    """A table: drawn by rich on a terminal, plain aligned columns elsewhere.

    Args:
        headers: the columns' names.
        rows: cells, as many in each row as there are headers.
        right: names of the columns that are aligned to the right.
        flexible: name of the column that gives way where a terminal is too narrow.
    """
    if is_terminal():
        _print_rich_table(headers, rows, right, flexible)
        return
    widths = [max(cells(row[i]) for row in (headers, *rows)) for i in range(len(headers))]
    for row in (headers, *rows):
        line = _GAP.join(
            " " * (width - cells(cell)) + cell if header in right else fitted(cell, width)
            for header, cell, width in zip(headers, row, widths, strict=True)
        )
        click.echo(line.rstrip())


def _print_rich_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[str],
    flexible: str | None,
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for header in headers:
        table.add_column(
            header,
            justify="right" if header in right else "left",
            no_wrap=header != flexible,
            overflow="fold" if header == flexible else "ellipsis",
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: brackets in names are no markup
    Console(highlight=False).print(table)


class Bar(Protocol):
    """A running count that someone may be watching."""

    def move(self, done: int) -> None:
        """So many are done now, of all."""

    def say(self, line: str, style: str = "") -> None:
        """One line that stays, above whatever moves."""


@contextmanager
def bar(title: str, total: int | None, *, err: bool = False) -> Iterator[Bar]:
    """A progress bar with count, rate and time left; elsewhere a line each fifth of the way.

    With `err` it is drawn on standard error, and standard output is left to somebody's data.
    """
    if not is_terminal(err=err):
        yield _Lines(title, total)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(highlight=False, stderr=err),
        transient=True,
    ) as progress:
        yield _RichBar(progress, progress.add_task(title, total=total, rate=""))


class _RichBar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def move(self, done: int) -> None:
        speed = self._progress.tasks[0].speed
        rate = "" if speed is None else f"{speed:,.0f}/s"
        self._progress.update(self._task, completed=done, rate=rate)

    def say(self, line: str, style: str = "") -> None:
        from rich.text import Text

        self._progress.console.print(Text(line, style=style, no_wrap=True, overflow="ellipsis"))


class _Lines:
    """For logs and pipes: nothing is overwritten, so little is said."""

    _STEPS = 5

    def __init__(self, title: str, total: int | None) -> None:
        self._title = title
        self._total = total
        self._said = 0

    def move(self, done: int) -> None:
        if not self._total:
            return
        step = done * self._STEPS // self._total
        if self._said < step < self._STEPS:
            self._said = step
            click.echo(f"{self._title}: {done:,} of {self._total:,}", err=True)

    def say(self, line: str, style: str = "") -> None:  # noqa: ARG002 - a pipe has no colours
        click.echo(line)


@contextmanager
def spinner(title: str, *, err: bool = False) -> Iterator[None]:
    """Something turns while we wait; elsewhere the title is said once. `err` as in `bar`."""
    if not is_terminal(err=err):
        click.echo(f"{title} ...", err=err)
        yield
        return
    from rich.console import Console

    with Console(highlight=False, stderr=err).status(title):
        yield
