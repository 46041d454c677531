"""Records of a later version of this program: what it has added is kept, word for word.

Structs are written as msgpack arrays, and fields are only ever added at the end, with defaults. So
an older program reads what it knows of a newer record. When it writes that record again, it puts
behind its own fields those that it found and does not know: while workers are upgraded one by one,
or rolled back, no field of the newer ones is lost.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

_ARRAY_16, _ARRAY_32 = 0xDC, 0xDD
_SHORTEST = 0x90  # to 0x9F: an array of up to 15 items, their number in the byte

_encode = msgspec.msgpack.Encoder().encode
_items_of = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


class Kept(Generic[T]):
    """Reads and writes structs of one kind, with the fields that later versions have added."""

    def __init__(self, kind: type[T]) -> None:
        self._known = len(kind.__struct_fields__)
        self._decode = msgspec.msgpack.Decoder(kind).decode
        # The same with room for what is not known; rows without it stay small.
        roomy: Any = msgspec.defstruct(
            kind.__name__, [], bases=(kind,), array_like=True, dict=True, gc=True
        )
        self._decode_roomy = msgspec.msgpack.Decoder(roomy).decode

    def decode(self, data: memoryview) -> T:
        """The struct. Raises msgspec.MsgspecError for bytes that are none."""
        if _length(data) <= self._known:
            return self._decode(data)
        record: Any = self._decode_roomy(data)
        record.later = [bytes(item) for item in _items_of(data)[self._known :]]
        found: T = record
        return found

    def encode(self, record: T) -> bytes:
        """The bytes, those of later fields at the end as they were read."""
        data = _encode(record)
        later: list[bytes] | None = getattr(record, "later", None)
        if later is None:
            return data
        fields = data[head_size(data) :]
        return array_head(self._known + len(later)) + fields + b"".join(later)


def _length(data: memoryview) -> int:
    """Number of items of an array; 0 for anything else, which the decoder will refuse."""
    first = data[0] if data else 0
    if _SHORTEST <= first < _SHORTEST + 16:
        return first - _SHORTEST
    size = {_ARRAY_16: 2, _ARRAY_32: 4}.get(first, 0)
    return int.from_bytes(data[1 : 1 + size], "big")


def head_size(data: bytes) -> int:
    """Bytes that stand before the first item of a msgpack array."""
    return {_ARRAY_16: 3, _ARRAY_32: 5}.get(data[0], 1)


def array_head(items: int) -> bytes:
    """What stands before the items of a msgpack array of so many."""
    if items < 16:
        return bytes([_SHORTEST + items])
    if items < 1 << 16:
        return bytes([_ARRAY_16]) + items.to_bytes(2, "big")
    return bytes([_ARRAY_32]) + items.to_bytes(4, "big")
