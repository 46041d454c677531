import math

import pytest

from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.standing import standing_of
from stream_app.engine.internal_records import (
    LineRecord,
    PartitionMeta,
    RankingChunk,
    Snapshot,
    TopPiece,
    decode,
    encode,
    piece_key,
    record_key,
)
from stream_app.errors import StateError
from tests.builders import make_post
from tests.histories import row_after
from tests.schemes import make_scheme
from tests.unit.engine.stand_ins import fixed_line

STANDING = standing_of(row_after([make_post(text="x")], make_scheme()), make_scheme())
LINE = fixed_line(7, [("kol", 1.5, -math.inf), ("top", None, None)], high_mark=3, expiry_mark=2)
RECORDS = [
    Snapshot(
        partition=1,
        epoch=2,
        cut={"posts": 3},
        high_marks={"posts": 4},
        unread=["posts"],
        expiry_mark=None,
        sketch=QuantileSketch().serialize(),
        members=[5, 6],
        top=[STANDING] if STANDING is not None else [],
        users=7,
    ),
    TopPiece(1, 2, 3, 4, [STANDING] if STANDING is not None else []),
    LineRecord(LINE, b"sketch"),
    RankingChunk(1, 0, 2, [], LINE, [3], b"sketch"),
    PartitionMeta(1, {"a": "b"}, {"posts": "id"}, {"posts": 9}, {"posts": 8}, {"x/1": 7}, LINE),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_that_is_encoded_is_decoded(record: object) -> None:
    assert decode(type(record), encode(record)) == record


@pytest.mark.parametrize("data", [b"", b"\x02\x90", b"\x00", b"\x01", b"\x01\xc1", b"\x01\x91\xc0"])
def test_another_format_or_broken_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(StateError, match=r"LineRecord(:| cannot be read).*stop all workers"):
        decode(LineRecord, data)


def test_apps_that_share_topics_do_not_read_each_others_records() -> None:
    assert record_key("kol", "line") == b"kol/line"
    assert not record_key("kol2", "line").startswith(record_key("kol", ""))
    assert not piece_key("kol", "1/0").startswith(record_key("kol", ""))
