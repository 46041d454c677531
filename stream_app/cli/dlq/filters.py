"""`--reason`, `--topic`, `--since` and `--last`: which dead letters are meant."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from stream_app.messages import REASONS

if TYPE_CHECKING:
    from stream_app.cli.dlq.letter import Letter

F = TypeVar("F", bound=Callable[..., Any])

SOURCES = ("posts", "interactions")


class Duration(click.ParamType):
    """Seconds, written as durations are in settings."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from stream_app.settings.parsing import duration

        try:
            return duration(value)
        except ValueError as error:
            self.fail(f"{value!r} is not {error}", param, ctx)


def filter_options(command: F) -> F:
    """The options; the command gets them by name, for `Wanted`."""
    options = (
        click.option(
            "--reason",
            "reasons",
            multiple=True,
            type=click.Choice(list(REASONS)),
            help="only those put aside for this reason; may be given several times",
        ),
        click.option("--topic", type=click.Choice(SOURCES), help="only those read from this topic"),
        click.option(
            "--since",
            type=Duration(),
            metavar="DURATION",
            help="only those of the last 30m, 12h, 7d",
        ),
        click.option("--last", type=click.IntRange(min=1), help="only the newest so many of these"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which dead letters are meant; each None or empty condition leaves all.

    Attributes:
        reasons: one of them is why it was put aside.
        topic: full name of the topic where it was read.
        since: seconds within which it was put aside.
        last: only so many, the newest.
    """

    reasons: tuple[str, ...] = ()
    topic: str | None = None
    since: float | None = None
    last: int | None = None

    def of(self, found: Iterable[Letter]) -> Iterable[Letter]:
        """Those that are meant: in their order, or by time where only the last are."""
        oldest_ms = None if self.since is None else time.time() * 1_000 - self.since * 1_000
        meant = (letter for letter in found if self._is_meant(letter, oldest_ms))
        if self.last is None:
            return meant
        numbered = ((letter.time_ms, number, letter) for number, letter in enumerate(meant))
        return [letter for _, _, letter in sorted(heapq.nlargest(self.last, numbered))]

    def _is_meant(self, letter: Letter, oldest_ms: float | None) -> bool:
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (self.topic is None or letter.topic == self.topic)
            and (oldest_ms is None or letter.time_ms >= oldest_ms)
        )
