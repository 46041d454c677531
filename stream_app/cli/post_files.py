"""Files of posts as commands take them: sorted by event time, bad lines told on standard error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import click

from stream_app.sources import FORMATS, BadLine, Event, format_named, in_event_time_order
from stream_app.sources.lines import STANDARD_INPUT

#: `FILE...`, `-` among them for standard input
files_argument = click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
)

format_option = click.option(
    "--format",
    "format_name",
    type=click.Choice(list(FORMATS)),
    default="jsonl",
    show_default=True,
    help="what the files hold",
)


class PostFiles:
    """The posts and interactions of one or several files.

    Attributes:
        bad_lines: how many there were so far; each has been named on standard error.
    """

    def __init__(
        self, files: Sequence[str], format_name: str = "jsonl", limit: int | None = None
    ) -> None:
        self.bad_lines = 0
        self._files = files
        self._format = format_named(format_name)
        self._limit = limit

    @property
    def is_streamed(self) -> bool:
        """Whether events are sent as they come: what still grows cannot be sorted."""
        return list(self._files) == [STANDARD_INPUT] and self._format.is_by_line

    def in_order(self) -> list[Event]:
        """The first `limit` events of all the files together by event time."""
        return in_event_time_order(self._read())[: self._limit]

    def as_they_come(self) -> Iterator[Event]:
        """The first `limit` events in the order of the files."""
        return islice(self._read(), self._limit)

    def _read(self) -> Iterator[Event]:
        for item in self._format.events_of_files(self._files):
            if isinstance(item, BadLine):
                self.bad_lines += 1
                click.echo(str(item), err=True)
            else:
                yield item
