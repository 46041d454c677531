"""Records that older and newer programs have written: what of them is read, kept, and refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream_app.core.later_fields import Kept
from stream_app.core.row import UserRow, decode_row, encode_row
from stream_app.core.standing import Standing
from stream_app.core.tiers import Line, TierLine
from stream_app.engine.internal_records import (
    LineRecord,
    PartitionMeta,
    RankingChunk,
    Snapshot,
    TopPiece,
    decode,
    encode,
)

#: By name of the kind, base64. Never regenerate: such records lie in topics. A program that adds a
#: field writes another file beside it.
EXAMPLES = Path(__file__).parent / "data" / "internal_records_1.json"

STANDING = Standing(
    key="x:u", z=1.5, as_of=2, reach=3.5, reach_known=True, attention=4.5, resonance=5.5, text=0.5,
    text_known=True, decayed_posts=6.5, log_engagement=7.5, posts=8, newest_post_at=9, platform="x",
    user_id="u", handle="h", display_name="U", follower_count=10, tier="kol",
)  # fmt: skip
LINE = Line(11, 12, 13, 14, (TierLine("kol", 0.9, 1.25, 1.0, 0.001),), {"posts": {"0": 15}}, 16)
SKETCH = b"a sketch"
RECORDS: list[Any] = [
    Snapshot(1, 2, {"posts": 3}, {"posts": 4}, ["posts"], 5, SKETCH, [6], [STANDING], 7, 8, 9, 10),
    TopPiece(1, 2, 3, 4, [STANDING]),
    LineRecord(LINE, SKETCH),
    RankingChunk(1, 2, 3, [STANDING], LINE, [4], SKETCH),
    PartitionMeta(1, {"a": "b"}, {"posts": "id"}, {"posts": 9}, {"posts": 8}, {"x/1": 7}, LINE),
]


class NewerRow(UserRow, array_like=True):
    """The row of a later version."""

    mood: dict[str, list[int]] = msgspec.field(default_factory=dict)
    note: str | None = None


class NewerMeta(PartitionMeta, array_like=True):
    """The reserved row of a later version."""

    since: int = 0


class NewerSnapshot(Snapshot, array_like=True, frozen=True):
    """The snapshot of a later version."""

    mean: float = 0.5


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_internal_records_of_format_1_still_decode(record: Any) -> None:
    data = base64.b64decode(json.loads(EXAMPLES.read_text())[type(record).__name__])
    assert decode(type(record), data) == record


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_every_field_of_an_internal_record_is_in_the_example(record: Any) -> None:
    for field in msgspec.structs.fields(record):
        default = None if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        assert getattr(record, field.name) not in (default, field.default), field.name


def newer_row_bytes(row: NewerRow) -> bytes:
    """As the later version would write it."""
    known = encode_row(UserRow(row.platform, row.user_id, tier=row.tier), 1.5, 7)
    body = len(known) - len(msgspec.msgpack.encode(UserRow(row.platform, row.user_id, tier="kol")))
    return known[:body] + msgspec.msgpack.encode(row)


def test_fields_that_a_newer_program_has_added_to_a_row_outlive_a_write_of_this_one() -> None:
    newer = NewerRow("x", "u", posts=3, tier="kol", mood={"up": [1, 2]}, note="😀")
    row = decode_row(newer_row_bytes(newer))
    assert (row.posts, row.tier) == (3, "kol")

    row.posts = 4
    row.handle = "h"
    written = encode_row(row, 1.5, 7)
    again = decode_row(written)
    again.posts = 5
    body = len(encode_row(UserRow("x", "u", tier="kol"), 1.5, 7)) - len(
        msgspec.msgpack.encode(UserRow("x", "u", tier="kol"))
    )
    found = msgspec.msgpack.decode(encode_row(again, 1.5, 7)[body:], type=NewerRow)
    newer.posts, newer.handle = 5, "h"
    assert found == newer


def test_fields_that_a_newer_program_has_added_to_the_reserved_row_are_kept_too() -> None:
    data = b"\x01" + msgspec.msgpack.encode(NewerMeta(epoch=3, since=99))
    meta = decode(PartitionMeta, data)
    meta.epoch = 4
    meta.offsets["posts"] = 7
    found = msgspec.msgpack.decode(encode(meta)[1:], type=NewerMeta)
    assert found == NewerMeta(epoch=4, offsets={"posts": 7}, since=99)


def test_records_that_nobody_writes_again_are_read_past_what_is_not_known() -> None:
    newer = NewerSnapshot(**msgspec.structs.asdict(RECORDS[0]), mean=1.5)
    assert decode(Snapshot, b"\x01" + msgspec.msgpack.encode(newer)) == RECORDS[0]


@pytest.mark.parametrize("known", [1, 14, 15, 16, 17])
def test_arrays_keep_their_later_fields_whatever_their_length(known: int) -> None:
    """Up to 15 items their number is in the first byte, then in the two behind it."""
    older: Any = msgspec.defstruct(
        "Older", [(f"f{n}", int, 0) for n in range(known)], array_like=True
    )
    kept: Kept[Any] = Kept(older)
    for later in (["a"], ["a", [1, 2]]):
        data = msgspec.msgpack.encode([*range(known), *later])
        record = kept.decode(memoryview(data))
        record.f0 = 7
        assert msgspec.msgpack.decode(kept.encode(record)) == [7, *range(1, known), *later]


@pytest.mark.parametrize("data", [b"", b"\xc0", b"\xdc", b"\xdc\x00", b"\xdd\x00\x00\x00\x20\x01"])
def test_what_is_no_array_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        Kept(PartitionMeta).decode(memoryview(data))
