"""Batches with headers that aiokafka alone cannot read."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords

from stream_app.engine.odd_headers import ReadableRecords, read_odd_headers

GZIP, PLAIN = 1, 0


class OddName(str):
    __slots__ = ()

    def encode(self, _encoding: str = "utf-8", _errors: str = "strict") -> bytes:
        return b"h\xff"


def batch(codec: int, *names: str) -> bytes:
    """A record for each name of a header; offsets from 0 in each batch."""
    builder: Any = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=codec,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1_000_000,
    )
    for offset, name in enumerate(names):
        value = b"value %d" % offset
        builder.append(offset, timestamp=5, key=b"k", value=value, headers=[(name, b"1")])
    return bytes(builder.build())


def read(records: Any) -> list[tuple[int, bytes, list[tuple[str, bytes]]]]:
    found = []
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        found += [(record.offset, record.value, record.headers) for record in one]
    return found


@pytest.mark.parametrize("codec", [PLAIN, GZIP])
def test_a_header_whose_name_is_no_utf_8_is_read_with_an_escape_and_no_record_is_left_out(
    codec: int,
) -> None:
    data = batch(codec, "a", "b") + batch(codec, "名", OddName("x"), "c") + batch(codec, "d")
    assert [(offset, headers[0][0]) for offset, _, headers in read(ReadableRecords(data))] == [
        *((0, "a"), (1, "b")),
        *((0, "名"), (1, r"h\xff"), (2, "c")),
        (0, "d"),
    ]


def test_aiokafka_alone_cannot_read_it_which_is_why_ours_is_here() -> None:
    with pytest.raises(UnicodeDecodeError):
        read(MemoryRecords(batch(PLAIN, OddName("x"))))


@pytest.mark.parametrize("codec", [PLAIN, GZIP])
def test_other_batches_are_read_as_aiokafka_reads_them(codec: int) -> None:
    data = batch(codec, *"abc") + batch(codec, "", "名")
    assert read(ReadableRecords(data)) == read(MemoryRecords(data))
    assert ReadableRecords(data).size_in_bytes() == MemoryRecords(data).size_in_bytes()


def test_a_batch_that_is_not_whole_yet_is_left_for_the_next_fetch() -> None:
    data = batch(PLAIN, "a") + batch(PLAIN, "b")[:-3]
    assert len(read(ReadableRecords(data))) == 1


def test_every_consumer_of_the_process_reads_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
    read_odd_headers()
    assert vars(fetcher)["MemoryRecords"] is ReadableRecords
