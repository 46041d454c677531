"""Integer counts by bucket number: an array where the buckets are dense, a dict for the far ones.

Scores drift upwards with time and one old user may sit a million buckets below all others, so an
array from the lowest to the highest bucket could grow without bound. Here the array (the window)
covers the stretch with the most occupied buckets, and a bucket outside costs one entry of a dict.
"""

from array import array
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# Floats count every integer up to 2^53; beyond, floor(z / w) would skip buckets.
BUCKET_LIMIT = 1 << 52
NO_FLOOR = -(1 << 62)  # below every bucket

# A window has at most this many cells, so 0.5 MB, or as many for each occupied bucket.
_WINDOW_CELLS = 1 << 16
_CELLS_PER_BUCKET = 4
_MARGIN = 256
# Far buckets to be put up with before a new layout is tried.
_FEW_FAR = 64
# A batch is counted in an array over its range if that is at most so many cells for each value.
_DENSE_CELLS_PER_VALUE = 16

Ints = npt.NDArray[np.int64]
_NONE: Ints = np.empty(0, np.int64)


class MissingValueError(ValueError):
    """A value to be taken out was never put in: the caller's record of it is wrong; rebuild."""


class Tally(NamedTuple):
    """Distinct bucket numbers, ascending, and a count for each: shapes (m,), (m,)."""

    buckets: Ints
    counts: Ints


def tally(added: Ints, removed: Ints = _NONE) -> Tally:
    """Net counts, none of them 0, of two batches of bucket numbers; either may be empty."""
    ends = [edge for part in (added, removed) if part.size for edge in (part.min(), part.max())]
    if not ends:
        return Tally(_NONE, _NONE)
    first, cells = int(min(ends)), int(max(ends)) - int(min(ends)) + 1
    if cells <= _DENSE_CELLS_PER_VALUE * (added.size + removed.size):
        counts = np.bincount(added - first, minlength=cells)
        if removed.size:
            counts -= np.bincount(removed - first, minlength=cells)
        where = np.flatnonzero(counts)
        return Tally(where + first, counts[where])
    buckets, where = np.unique(np.concatenate((added, removed)), return_inverse=True)
    counts = np.bincount(where[: added.size], minlength=buckets.size)
    counts -= np.bincount(where[added.size :], minlength=buckets.size)
    changed = counts != 0
    return Tally(buckets[changed], counts[changed])


def joined(buckets: Ints, counts: Ints) -> Tally:
    """Counts of ascending buckets, where the same bucket may come several times in a row."""
    if not buckets.size:
        return Tally(_NONE, _NONE)
    first = np.flatnonzero(np.diff(buckets, prepend=buckets[0] - 1))
    return Tally(buckets[first], np.add.reduceat(counts, first))


class BucketCounts:
    """Counts (int64, never negative) by bucket number.

    `cells` and `window` share their memory: Python reads and writes single cells of an `array`
    several times faster than those of a numpy array, numpy does whole batches.

    Attributes:
        low: No bucket below it is in the window, nor below the sketch's floor: one comparison.
        base: Bucket number of the first cell.
        known: The answer of `sums`, None after any change: who writes `cells` sets it.
    """

    __slots__ = ("_far", "_far_limit", "_floor", "base", "cells", "known", "low", "window")

    def __init__(self, floor: int = NO_FLOOR) -> None:
        self._floor = floor
        self._far: dict[int, int] = {}
        self.known: tuple[Tally, Ints] | None = (Tally(_NONE, _NONE), np.zeros(1, np.int64))
        self._lay_out(_NONE)

    def add_one(self, bucket: int, step: int) -> None:
        """Adds `step`, 1 or -1, to one count.

        Raises:
            MissingValueError: It would become negative; nothing was changed.
            ValueError: The bucket lies beyond +-BUCKET_LIMIT.
        """
        cell = bucket - self.base
        inside = 0 <= cell < len(self.cells)
        count = (self.cells[cell] if inside else self._far.get(bucket, 0)) + step
        if count < 0:
            raise MissingValueError("a value to be taken out was never put in")
        self.known = None
        if inside:
            self.cells[cell] = count
        elif count:
            self._add_far(bucket, count)
        else:
            del self._far[bucket]

    def add(self, change: Tally) -> None:
        """Adds net counts, all or none of them.

        Raises:
            MissingValueError: A count would become negative; nothing was changed.
        """
        buckets, counts = change
        inside = self._is_inside(buckets)
        if buckets.size - np.count_nonzero(inside) > self._far_limit:
            self._lay_out(buckets)
            inside = self._is_inside(buckets)
        cells = buckets[inside] - self.base
        near = self.window[cells] + counts[inside]
        outside = zip(buckets[~inside].tolist(), counts[~inside].tolist(), strict=True)
        far = {bucket: self._far.get(bucket, 0) + count for bucket, count in outside}
        if min(near.min(initial=0), min(far.values(), default=0)) < 0:
            raise MissingValueError("more values to be taken out of a bucket than were put in")
        self.known = None
        self.window[cells] = near
        self._far = {bucket: count for bucket, count in (self._far | far).items() if count}
        if len(self._far) > self._far_limit:
            self._lay_out(_NONE)

    def copy(self) -> "BucketCounts":
        """A copy with memory of its own."""
        twin = BucketCounts(self._floor)
        twin.add(self.occupied())
        return twin

    def occupied(self) -> Tally:
        """All buckets that hold something."""
        return self.sums()[0]

    def sums(self) -> tuple[Tally, Ints]:
        """All buckets that hold something, and how many values lie below each; all, at the end."""
        if self.known is None:
            where = np.flatnonzero(self.window)
            buckets, counts = where + self.base, self.window[where]
            if self._far:
                buckets = np.concatenate((buckets, np.array(list(self._far), np.int64)))
                counts = np.concatenate((counts, np.array(list(self._far.values()), np.int64)))
                order = np.argsort(buckets)
                buckets, counts = buckets[order], counts[order]
            totals = np.zeros(len(counts) + 1, np.int64)
            np.cumsum(counts, out=totals[1:])
            self.known = Tally(buckets, counts), totals
        return self.known

    def select(self, index: int) -> tuple[int, int, int]:
        """Bucket of the value number `index` (from 0, ascending), its index therein, its count."""
        (buckets, counts), sums = self.sums()
        at = int(np.searchsorted(sums[1:], index, side="right"))
        return int(buckets[at]), index - int(sums[at]), int(counts[at])

    def below_and_in(self, wanted: Ints | np.int64) -> tuple[Ints, Ints]:
        """For each wanted bucket, or the one, how many values lie below it, and how many in it."""
        (buckets, _), sums = self.sums()
        below = sums[buckets.searchsorted(wanted, side="left")]
        return below, sums[buckets.searchsorted(wanted, side="right")] - below

    def _is_inside(self, buckets: Ints) -> npt.NDArray[np.bool_]:
        return (buckets >= self.base) & (buckets < self.base + len(self.cells))

    def _add_far(self, bucket: int, count: int) -> None:
        if not -BUCKET_LIMIT <= bucket < BUCKET_LIMIT:
            raise ValueError("z is out of range: too many buckets away from 0")
        self._far[bucket] = count
        if len(self._far) > self._far_limit:
            self._lay_out(_NONE)

    def _lay_out(self, expected: Ints) -> None:
        """Chooses the window for the occupied buckets and the expected ones."""
        buckets, counts = self.occupied()
        every = np.union1d(buckets, expected) if buckets.size else expected
        first, last = _densest_stretch(every) if every.size else (0, 0)
        self.base = first - _MARGIN
        self.low = max(self.base, self._floor)
        # More room above: scores mostly rise.
        size = last + 1 - self.base + max(_MARGIN, (last - first) >> 3)
        self.cells = array("q", bytes(8 * size))
        self.window = np.frombuffer(self.cells, dtype=np.int64)
        inside = self._is_inside(buckets)
        self.window[buckets[inside] - self.base] = counts[inside]
        self._far = dict(zip(buckets[~inside].tolist(), counts[~inside].tolist(), strict=True))
        outside = every.size - np.count_nonzero(self._is_inside(every))
        self._far_limit = max(_FEW_FAR, 2 * int(outside))


def _densest_stretch(buckets: Ints) -> tuple[int, int]:
    """First and last bucket of the stretch, not too long, with the most occupied buckets."""
    limit = max(_WINDOW_CELLS, _CELLS_PER_BUCKET * buckets.size)
    ends = np.searchsorted(buckets, buckets + limit)
    best = int(np.argmax(ends - np.arange(buckets.size)))
    return int(buckets[best]), int(buckets[ends[best] - 1])
