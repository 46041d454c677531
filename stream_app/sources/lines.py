"""Lines of text files: plain, gzipped, or standard input; with numbers, and never unbounded."""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, TypeVar, cast

import msgspec

from stream_app.errors import UsageError
from stream_app.messages import MAX_VALUE_BYTES, BadInput

T = TypeVar("T")

STANDARD_INPUT: Final = "-"

MAX_LINE_BYTES: Final = 4 * MAX_VALUE_BYTES
"""Foreign formats carry much that we leave out."""

_GZIP_MAGIC: Final = b"\x1f\x8b"


class BadLine(msgspec.Struct, frozen=True):
    """A line that gave no post, and why; the rest of its file is read all the same."""

    path: str
    number: int  # from 1
    reason: str  # one of messages.REASONS
    detail: str

    def __str__(self) -> str:
        return f"{self.path}:{self.number}: {self.reason}: {self.detail}"

    @classmethod
    def of(cls, path: str, number: int, bad: BadInput) -> "BadLine":
        return cls(path, number, bad.reason, bad.detail)


class Line(NamedTuple):
    """A line that is not blank, and where it stands."""

    path: str
    number: int  # from 1
    content: bytes  # without white space around it; cut off where it is too long


def read_lines(paths: Iterable[str], take: Callable[[Line], Iterable[T]]) -> Iterator[T | BadLine]:
    """What `take` makes of every line of the files; of one that it finds bad, what is wrong.

    Raises:
        UsageError: a file is missing, unreadable or a broken gzip file.
    """
    for path in paths:
        for number, content in numbered_lines(path):
            try:
                yield from take(Line(path, number, content))
            except BadInput as bad:
                yield BadLine.of(path, number, bad)


def numbered_lines(path: str) -> Iterator[tuple[int, bytes]]:
    """Each line that is not blank, with its number from 1; a line too long comes cut off.

    Raises:
        UsageError: the file is missing, unreadable or a broken gzip file.
    """
    for number, line in enumerate(whole_lines(path), start=1):
        if line := line.strip(b" \t\r\n"):
            yield number, line


def whole_lines(path: str) -> Iterator[bytes]:
    """Every line with its ending, blank ones too; one too long comes cut off at MAX_LINE_BYTES.

    Raises:
        UsageError: the file is missing, unreadable or a broken gzip file.
    """
    with _opened(path) as file:
        while line := file.readline(MAX_LINE_BYTES):
            if len(line) == MAX_LINE_BYTES:
                _skip_rest_of_line(file, line)
            yield line


def _skip_rest_of_line(file: BinaryIO, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = file.readline(MAX_LINE_BYTES)


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    try:
        if path == STANDARD_INPUT:
            yield _decompressed(cast("BufferedReader", sys.stdin.buffer))
        else:
            with Path(path).open("rb") as file:
                yield _decompressed(file)
    except OSError as error:  # gzip.BadGzipFile is one
        raise UsageError(f"{path}: {error.strerror or error}") from None
    except (EOFError, zlib.error) as error:
        raise UsageError(f"{path}: broken gzip file: {error}") from None


def _decompressed(file: BufferedReader) -> BinaryIO:
    """By its first bytes, not by its name: standard input has none."""
    if file.peek(2)[:2] == _GZIP_MAGIC:
        return cast("BinaryIO", gzip.open(file))
    return file
