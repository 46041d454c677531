"""A sketch as bytes, and back: small, checked, the same bytes for the same counts.

Layout, little-endian: the header `_HEADER`; zlib (level 1) of the numbers of all pages (256 buckets
each) that hold something as i64, followed by all counts of these pages as u32, or u64 if one needs
it; crc32 of everything before. Counts are stored byte plane by byte plane, since the upper ones are
nearly all zero. A million users take about 9 kB.
"""

import struct
import zlib
from typing import NamedTuple

import numpy as np

from stream_app.core.bucket_counts import BUCKET_LIMIT, Ints, Tally

FORMAT_VERSION = 1
_PAGE_BITS = 8
_PAGE_SIZE = 1 << _PAGE_BITS
_MAX_PAGES = 1 << 24
# version, bytes per count, level, relative accuracy, floor, n, n_zero, pages
_HEADER = struct.Struct("<BBhdqQQQ")
_CRC = struct.Struct("<I")
_MAX_COUNT = (1 << 53) - 1  # sums of counts stay far from the int64 edge


class Frame(NamedTuple):
    """What a serialised sketch says; `accuracy` is that of level 0."""

    accuracy: float
    level: int
    floor: int
    n: int
    n_zero: int
    tally: Tally


def pack(frame: Frame) -> bytes:
    """The frame as bytes."""
    pages, counts = _paged(frame.tally)
    width = 4 if not counts.size or int(counts.max()) < 1 << 32 else 8
    planes = counts.astype("<i8").reshape(-1, 1).view(np.uint8)[:, :width].T
    header = _HEADER.pack(
        FORMAT_VERSION, width, frame.level, frame.accuracy, frame.floor, frame.n, frame.n_zero,
        len(pages),
    )  # fmt: skip
    # Counts are noise between runs of nothing: run lengths and, with a small memory level, a fresh
    # Huffman code every 1,024 bytes halve what stock zlib makes of plain integers, at its speed.
    deflater = zlib.compressobj(1, zlib.DEFLATED, 15, 4, zlib.Z_RLE)
    body = header + deflater.compress(pages.astype("<i8").tobytes() + planes.tobytes())
    body += deflater.flush()
    return body + _CRC.pack(zlib.crc32(body))


def _paged(counted: Tally) -> tuple[Ints, Ints]:
    """Numbers of the pages that hold something (m,), and all their counts (m * _PAGE_SIZE,)."""
    pages, where = np.unique(counted.buckets >> _PAGE_BITS, return_inverse=True)
    counts = np.zeros(pages.size << _PAGE_BITS, np.int64)
    counts[(where << _PAGE_BITS) + counted.buckets % _PAGE_SIZE] = counted.counts
    return pages, counts


def unpack(serialized: bytes) -> Frame:
    """The frame that `pack` wrote.

    Raises:
        ValueError: Truncated, corrupt, of another version, or its counts do not add up to n.
    """
    if len(serialized) < _HEADER.size + _CRC.size:
        raise ValueError("serialised sketch is truncated")
    body, crc = serialized[: -_CRC.size], serialized[-_CRC.size :]
    if body[0] != FORMAT_VERSION:
        raise ValueError(f"serialised sketch has version {body[0]}, not {FORMAT_VERSION}")
    if _CRC.unpack(crc)[0] != zlib.crc32(body):
        raise ValueError("serialised sketch is truncated or corrupt: checksum differs")
    _, width, level, accuracy, floor, n, n_zero, pages = _HEADER.unpack_from(body)
    if width not in (4, 8) or max(n, n_zero) > _MAX_COUNT or pages > min(n, _MAX_PAGES):
        raise ValueError("serialised sketch has an impossible header")
    counted = _inflate(body[_HEADER.size :], pages, width)
    if int(counted.counts.sum()) + n_zero != n:
        raise ValueError("serialised sketch is corrupt: its counts do not add up to n")
    return Frame(accuracy, level, floor, n, n_zero, counted)


def _inflate(packed: bytes, pages: int, width: int) -> Tally:
    expected = pages * (8 + _PAGE_SIZE * width)
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(packed, expected + 1)  # never more memory than the header says
    except zlib.error as error:
        raise ValueError(f"serialised sketch is corrupt: {error}") from error
    if len(raw) != expected or not inflater.eof or inflater.unused_data:
        raise ValueError("serialised sketch has a wrong length")
    numbers = np.frombuffer(raw, "<i8", pages).astype(np.int64)
    planes = np.frombuffer(raw, np.uint8, offset=8 * pages).reshape(width, -1)
    wide = np.zeros((planes.shape[1], 8), np.uint8)
    wide[:, :width] = planes.T
    counts = wide.view("<i8").astype(np.int64).ravel()
    limit = BUCKET_LIMIT >> _PAGE_BITS
    ascending = bool((np.diff(numbers) > 0).all())
    if not ascending or (pages and not -limit <= numbers[0] <= numbers[-1] < limit):
        raise ValueError("serialised sketch has pages out of order or range")
    if counts.size and not 0 <= counts.min() <= counts.max() <= _MAX_COUNT:
        raise ValueError("serialised sketch has an impossible count")
    cells = np.flatnonzero(counts)
    return Tally((numbers[cells >> _PAGE_BITS] << _PAGE_BITS) + cells % _PAGE_SIZE, counts[cells])
