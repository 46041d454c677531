"""Files of public posts, in any format we know, as posts in event-time order."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from stream_app.errors import UsageError
from stream_app.messages import BadInput, Post
from stream_app.sources import jsonl, twitter_v1
from stream_app.sources.lines import BadLine, numbered_lines

PostsOfFile = Callable[[str], Iterator[Post | BadLine]]
"""Reads one file by its path (`-` is standard input), or raises UsageError."""


def by_line(posts_of_line: Callable[[bytes], list[Post]]) -> PostsOfFile:
    """A reader for formats in which every line stands for itself."""

    def posts_of_file(path: str) -> Iterator[Post | BadLine]:
        for number, line in numbered_lines(path):
            try:
                yield from posts_of_line(line)
            except BadInput as bad:
                yield BadLine.of(path, number, bad)

    return posts_of_file


FORMATS: Final[Mapping[str, PostsOfFile]] = MappingProxyType(
    {
        "jsonl": by_line(jsonl.posts_of_line),
        "twitter-v1": by_line(twitter_v1.posts_of_line),
    }
)
"""Every value of `--format`. A format that is not line by line brings its own PostsOfFile."""


def read_events(paths: Sequence[str], format_name: str = "jsonl") -> Iterator[Post | BadLine]:
    """All posts and bad lines of the files, in the order of the files.

    Raises:
        UsageError: an unknown format, or a file that cannot be read.
    """
    posts_of_file = FORMATS.get(format_name)
    if posts_of_file is None:
        raise UsageError(f"{format_name}: no such format; there are {', '.join(FORMATS)}")
    for path in paths:
        yield from posts_of_file(path)


def in_event_time_order(posts: Iterable[Post]) -> list[Post]:
    """The posts by event time; equal times keep their order. Holds them all, about 1 kB each."""
    return sorted(posts, key=lambda post: post.event_time)
