"""Files of posts as commands take them: sorted by event time, bad lines told on standard error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from stream_app.messages import Post
from stream_app.sources import BadLine, in_event_time_order, read_events

STANDARD_INPUT = "-"


class PostFiles:
    """The posts of one or several files.

    Attributes:
        bad_lines: how many there were so far; each has been named on standard error.
    """

    def __init__(
        self, files: Sequence[str], format_name: str = "jsonl", limit: int | None = None
    ) -> None:
        self.bad_lines = 0
        self._files = files
        self._format = format_name
        self._limit = limit

    @property
    def is_streamed(self) -> bool:
        """Whether posts are sent as they come: what still grows cannot be sorted."""
        return list(self._files) == [STANDARD_INPUT]

    def in_order(self) -> list[Post]:
        """The first `limit` posts of all the files together by event time."""
        return in_event_time_order(self._read())[: self._limit]

    def as_they_come(self) -> Iterator[Post]:
        """The first `limit` posts in the order of the files."""
        for number, post in enumerate(self._read(), start=1):
            yield post
            if number == self._limit:
                return

    def _read(self) -> Iterator[Post]:
        for item in read_events(self._files, self._format):
            if isinstance(item, BadLine):
                self.bad_lines += 1
                click.echo(str(item), err=True)
            else:
                yield item
