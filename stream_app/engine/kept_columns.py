"""The columns of each partition in a file, from an orderly stop to the next start.

Reading a million rows for what their headers say takes seconds; reading the columns that were made
of them takes a fraction of one. A file stands for exactly the rows up to one offset of the
changelog, judged by one scheme and one edge of activity. Where any of it differs, or a byte of the
file, it is not used: the rows are the truth and are read instead.
"""

from __future__ import annotations

import contextlib
import logging
import zlib
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from stream_app.core.columns import Columns
from stream_app.core.scheme import Scheme
from stream_app.engine.partition import Partition

log = logging.getLogger(__name__)

#: Version of the file; another one is not used.
FORMAT: Final = 1

_UNFINISHED: Final = ".new"

#: The columns in their order in the file, behind the lengths of the keys.
_COLUMNS: Final = (
    ("z", np.dtype("<f8")),
    ("last_post", np.dtype("<i8")),
    ("counted", np.dtype("?")),
    ("tier", np.dtype("i1")),
    ("transition_version", np.dtype("<i8")),
)
_LENGTH: Final = np.dtype("<u4")


class Head(msgspec.Struct, array_like=True, frozen=True):
    """What the columns of a file stand for."""

    format: int
    partition: int
    #: of the changelog: the columns follow exactly the rows up to it
    offset: int
    #: what of the scheme decides about columns: formula, tiers, posts needed
    scheme: list[str]
    #: users whose newest post is before it (ms) are not counted
    edge: int | None
    users: int
    checksum: int


class KeptColumns:
    """Saves columns in a folder, and gives back those that still hold."""

    def __init__(self, folder: Path, scheme: Scheme) -> None:
        self._folder = folder
        self._scheme = [str(scheme.formula), str(scheme.min_posts), *scheme.names]

    def save(self, partition: Partition) -> None:
        """Write a partition's columns; where that fails, the next start takes longer."""
        if partition.changelog_offset is None:
            return
        path = self._path(partition.number)
        unfinished = path.with_name(path.name + _UNFINISHED)
        columns = partition.columns
        lengths = np.fromiter(map(len, columns.keys), _LENGTH, len(columns))
        body = [getattr(columns, name).astype(kind).tobytes() for name, kind in _COLUMNS]
        parts = [lengths.tobytes(), *body, b"".join(columns.keys)]
        head = Head(
            FORMAT,
            partition.number,
            partition.changelog_offset,
            self._scheme,
            partition.edge(),
            len(columns),
            _checksum(parts),
        )
        try:
            with unfinished.open("wb") as file:
                file.write(msgspec.json.encode(head) + b"\n")
                file.writelines(parts)
            unfinished.replace(path)
        except OSError as error:
            log.warning("%s was not written (%s): the next start takes longer", path, error)
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)

    def load(self, number: int, offset: int | None, edge: int | None) -> Columns | None:
        """The columns of the partition's rows up to this offset, by this edge; None without."""
        try:
            with self._path(number).open("rb") as file:
                head = msgspec.json.decode(file.readline(), type=Head)
                due = (FORMAT, number, offset, self._scheme, edge)
                if due != (head.format, head.partition, head.offset, head.scheme, head.edge):
                    return None
                data = file.read()
            if _checksum([data]) != head.checksum:
                return None
            return _columns(data, head.users)
        except (OSError, ValueError):  # not there, cut short, or none of ours
            return None

    def _path(self, number: int) -> Path:
        return self._folder / f"columns-{number}"


def _checksum(parts: list[bytes]) -> int:
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return checksum


def _columns(data: bytes, users: int) -> Columns:
    place = users * _LENGTH.itemsize
    lengths = np.frombuffer(data, _LENGTH, users)
    found: dict[str, Any] = {}
    for name, kind in _COLUMNS:
        found[name] = np.frombuffer(data, kind, users, place)
        place += users * kind.itemsize
    ends = accumulate(lengths.tolist(), initial=place)
    keys = [data[start:end] for start, end in pairwise(ends)]
    columns = Columns()
    columns.extend(
        keys,
        found["z"],
        found["last_post"],
        found["counted"],
        found["tier"],
        found["transition_version"],
    )
    return columns
