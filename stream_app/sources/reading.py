"""Files of public posts, in any format we know, as posts and interactions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from stream_app.errors import UsageError
from stream_app.sources import facebook_csv, jsonl, twitter_v1, weibo_ced, xhs
from stream_app.sources.events import Event
from stream_app.sources.lines import BadLine, read_lines

EventsOfFiles = Callable[[Sequence[str]], Iterator[Event | BadLine]]
"""Reads all files of a command by their paths (`-` is standard input), or raises UsageError."""


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """How files of one kind are read.

    Attributes:
        events_of_files: the reader.
        is_by_line: every line stands for itself, so that events come while a file is being written.
    """

    events_of_files: EventsOfFiles
    is_by_line: bool


def by_line(events_of_line: Callable[[bytes], Sequence[Event]]) -> Format:
    """A format in which every line stands for itself."""

    def events_of_files(paths: Sequence[str]) -> Iterator[Event | BadLine]:
        return read_lines(paths, lambda line: events_of_line(line.content))

    return Format(events_of_files=events_of_files, is_by_line=True)


FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        "jsonl": by_line(jsonl.events_of_line),
        "twitter-v1": by_line(twitter_v1.posts_of_line),
        "xhs": Format(events_of_files=xhs.posts_of_files, is_by_line=False),
        "weibo-ced": Format(events_of_files=weibo_ced.events_of_files, is_by_line=False),
        "facebook-csv": Format(events_of_files=facebook_csv.posts_of_files, is_by_line=False),
    }
)
"""Every value of `--format`."""


def format_named(name: str) -> Format:
    """The format of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in FORMATS:
        raise UsageError(f"{name}: no such format; there are {', '.join(FORMATS)}")
    return FORMATS[name]


def read_events(paths: Sequence[str], format_name: str = "jsonl") -> Iterator[Event | BadLine]:
    """All events and bad lines of the files.

    They come line by line in the order of the files where the format allows it, else events come
    when all is read.

    Raises:
        UsageError: an unknown format, or a file that cannot be read.
    """
    yield from format_named(format_name).events_of_files(paths)
