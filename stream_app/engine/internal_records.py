"""The internal topics' records: snapshots, lines, rankings, and the partition's reserved row.

All are msgpack arrays behind one format byte; described in docs/messages.md. Fields are only ever
added at the end, with defaults: older programs read past them, and keep those of the reserved row
(`core.later_fields`). A format that this program does not know is refused: guessing would draw a
false line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from stream_app.core.later_fields import Kept
from stream_app.core.standing import Standing
from stream_app.core.tiers import Line
from stream_app.errors import StateError

#: Version of all internal records; raise it when a field changes its meaning.
FORMAT = 1

#: What to do about a record of another format; the end of the line that refuses it.
FORMAT_ADVICE = (
    "a newer program wrote it; stop all workers, then start that program, or start anew with "
    "`kol rebuild`"
)

#: Bytes of standings in one record, which must stay below the 1 MiB that a topic takes.
MOST_BYTES = 512 * 1024
_MOST_ITEMS = 250

T = TypeVar("T")


class Snapshot(msgspec.Struct, array_like=True, frozen=True):
    """What one partition's owner knows of it: the whole histogram, never a delta."""

    partition: int
    #: counts the assignments of the partition; an older owner's snapshots are refused
    epoch: int
    #: source topic -> next offset that is not yet in here
    cut: dict[str, int]
    #: source topic -> greatest event time (ms)
    high_marks: dict[str, int]
    #: source topics with events that are not yet in here
    unread: list[str]
    expiry_mark: int | None
    #: serialised QuantileSketch of the eligible users' z
    sketch: bytes
    #: users in each tier or a higher one, lowest first
    members: list[int]
    #: the partition's users that may be in the ranking, in order
    top: list[Standing]
    users: int = 0
    #: the formula whose z the sketch holds
    formula: int = 0
    #: records with the rest of `top`, sent before this one
    pieces: int = 0
    #: what tells those of this snapshot from those of others of its epoch
    sequence: int = 0


class TopPiece(msgspec.Struct, array_like=True, frozen=True):
    """One piece of a snapshot's `top` that is too long for one record."""

    partition: int
    epoch: int
    sequence: int
    index: int
    items: list[Standing]


class LineRecord(msgspec.Struct, array_like=True, frozen=True):
    """One version of the line, and the distribution it was drawn from."""

    line: Line
    sketch: bytes


class RankingChunk(msgspec.Struct, array_like=True, frozen=True):
    """One piece of the ranking; pieces of the same `sequence` belong together."""

    sequence: int
    index: int
    chunks: int
    items: list[Standing]
    #: in the first piece only
    line: Line | None = None
    members: list[int] = []
    sketch: bytes = b""


class PartitionMeta(msgspec.Struct, array_like=True):
    """The reserved row of a partition: what a new owner must know beside the users' rows."""

    epoch: int = 0
    #: settings that give the stored numbers their meaning
    fingerprint: dict[str, str] = {}
    #: source topic -> its id at the broker; a topic made anew starts at offset 0, below the rows'
    #: offsets
    topic_ids: dict[str, str] = {}
    #: source topic -> last offset handled
    offsets: dict[str, int] = {}
    high_marks: dict[str, int] = {}
    #: "topic/partition" -> last offset of that origin that was forwarded here and handled
    forwarded: dict[str, int] = {}
    #: the line in force
    line: Line | None = None


_encoder = msgspec.msgpack.Encoder()
_meta = Kept(PartitionMeta)
_readers: dict[type[Any], Any] = {
    kind: msgspec.msgpack.Decoder(kind).decode
    for kind in (Snapshot, TopPiece, LineRecord, RankingChunk)
} | {PartitionMeta: _meta.decode}


def record_key(app_id: str, name: str) -> bytes:
    """Key of an internal record: apps that share topics do not read each other's."""
    return f"{app_id}/{name}".encode()


def piece_key(app_id: str, name: str) -> bytes:
    """Key of a piece of a snapshot; no app id holds a colon, so it is not taken for a snapshot."""
    return f"{app_id}:top/{name}".encode()


def in_pieces(items: Sequence[Standing]) -> list[list[Standing]]:
    """The standings, some hundreds in a piece, fewer where names are long; one piece at least."""
    pieces: list[list[Standing]] = [[]]
    size = 0
    for item in items:
        length = len(_encoder.encode(item))
        if pieces[-1] and (size + length > MOST_BYTES or len(pieces[-1]) >= _MOST_ITEMS):
            pieces.append([])
            size = 0
        pieces[-1].append(item)
        size += length
    return pieces


def encode(record: Any) -> bytes:
    """The bytes of an internal record."""
    is_kept = isinstance(record, PartitionMeta)
    return bytes([FORMAT]) + (_meta.encode(record) if is_kept else _encoder.encode(record))


def decode(kind: type[T], data: bytes) -> T:
    """Read an internal record.

    Raises:
        StateError: it is of another format, or broken.
    """
    if not data or data[0] != FORMAT:
        found = data[0] if data else "none"
        raise StateError(
            f"{kind.__name__}: format {found} is not known to this program (it knows {FORMAT}): "
            f"{FORMAT_ADVICE}"
        )
    try:
        record: T = _readers[kind](memoryview(data)[1:])
    except msgspec.MsgspecError as error:
        raise StateError(f"{kind.__name__} cannot be read ({error}): {FORMAT_ADVICE}") from error
    return record
