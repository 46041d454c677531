"""The headers of many rows at once, as arrays: what a recovery reads of a million rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream_app.core.row import HEADER_BYTES, ROW_FORMAT, decode_header

#: As `row` packs it; a test holds the two together.
_HEADER = np.dtype(
    {
        "names": ["format", "tier_bytes", "z", "newest_post_at", "posts", "version", "formula"],
        "formats": ["u1", "u1", "<f8", "<i8", "<u8", "<i8", "<u8"],
        "offsets": [0, 1, 8, 16, 24, 32, 40],
        "itemsize": HEADER_BYTES,
    }
)


class RowHeaders(NamedTuple):
    """`row.RowHeader` of each row, one array a field."""

    z: npt.NDArray[np.float64]
    newest_post_at: npt.NDArray[np.int64]
    posts: npt.NDArray[np.uint64]
    transition_version: npt.NDArray[np.int64]
    formula: npt.NDArray[np.uint64]
    #: rows with a tier, by index; most have none
    tiers: dict[int, str]


def decode_headers(rows: Sequence[bytes]) -> RowHeaders:
    """The headers alone. Raises ValueError for bytes of an unknown format."""
    joined = b"".join([row[:HEADER_BYTES] for row in rows])
    if len(joined) != HEADER_BYTES * len(rows):
        _refuse(rows)
    headers = np.frombuffer(joined, _HEADER)
    if (headers["format"] != ROW_FORMAT).any():
        _refuse(rows)
    tiers: dict[int, str] = {}
    for index in headers["tier_bytes"].nonzero()[0].tolist():
        tier = decode_header(rows[index]).tier
        if tier is not None:
            tiers[index] = tier
    return RowHeaders(
        headers["z"],
        headers["newest_post_at"],
        headers["posts"],
        headers["version"],
        headers["formula"],
        tiers,
    )


def _refuse(rows: Sequence[bytes]) -> None:
    """Raise what is wrong with the first bad one."""
    for row in rows:
        decode_header(row)
    raise AssertionError("all rows can be read one by one")
