r"""Records whose headers have names that are no UTF-8.

Kafka does not look at names of headers, and clients in C send any bytes. aiokafka raises an error
at such a record, again after every restart: one would stop all workers for good. Here a batch that
holds one is read once more, by aiokafka's parser in Python, and each byte that is no UTF-8 becomes
an escape, as in `\xff`. The value of the record is judged like any other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_LENGTH: Final = struct.Struct(">i")
#: Of a batch: its first offset, then a length that counts what follows it.
_LENGTH_AT, _OVERHEAD = 8, 12


def read_odd_headers() -> None:
    """Let every consumer of this process read such records; may be called again."""
    vars(fetcher)["MemoryRecords"] = ReadableRecords


class ReadableRecords:
    """What a fetch brought of a partition, as aiokafka's `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._records: Any = MemoryRecords(data)
        self._position = 0

    def size_in_bytes(self) -> int:
        size: int = self._records.size_in_bytes()
        return size

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        """The next batch; None behind the last."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        start = self._position
        (length,) = _LENGTH.unpack_from(self._data, start + _LENGTH_AT)
        self._position = start + _OVERHEAD + length
        return ReadableBatch(batch, memoryview(self._data)[start : self._position])


class ReadableBatch:
    """A batch that can be read whatever its headers are called."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        """A batch is its own iterator to aiokafka where it looks into the marker of a transaction.

        Such a batch holds one record, without headers.
        """
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        last = -1
        try:
            for record in self._batch:
                last = record.offset
                yield record
        except UnicodeDecodeError:
            # From the beginning, since a compressed batch cannot be entered anywhere else.
            again = iter(_DefaultRecordBatchPy(bytearray(self._data)))
            again._buffer = _Forgiving(again._buffer)  # noqa: SLF001
            yield from (record for record in again if record.offset > last)


class _Forgiving(bytearray):
    """Bytes, parts of which decode to text whatever they are."""

    def __getitem__(self, index: Any) -> Any:
        found: Any = super().__getitem__(index)
        return _Forgiving(found) if isinstance(index, slice) else found

    def decode(self, _encoding: str = "utf-8", _errors: str = "") -> str:
        return bytes(self).decode("utf-8", "backslashreplace")
