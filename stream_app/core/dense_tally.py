"""Counting millions of usual values by bucket in as few passes as numpy allows."""

import numpy as np
import numpy.typing as npt

from stream_app.core.bucket_counts import BUCKET_LIMIT, NO_FLOOR, Ints, Tally
from stream_app.core.log_buckets import LogBuckets

#: Cells to each side of the buckets of the first values: as many as some 16 half-lives of scores.
_MARGIN = 1 << 14
#: Most cells; values that spread further are not for this.
_MOST_CELLS = 1 << 17


class DenseTally:
    """Counts of values in an array that is laid out once, around the first of them.

    `LogBuckets.of_many` and `tally` look at all values several times to find out what is among
    them. Here what lies outside of the array shows when the numbers of cells are taken, and is
    left to them.
    """

    def __init__(self, buckets: LogBuckets) -> None:
        self._buckets = buckets
        self._base = 0
        self._counts: Ints = np.empty(0, np.int64)
        # Memory that is asked for anew costs as much as what is done with it.
        self._scaled: npt.NDArray[np.float64] = np.empty(0)
        self._cells: Ints = np.empty(0, np.int64)

    def add(self, values: npt.NDArray[np.float64]) -> bool:
        """Counts all of these values, shape (n,), or none: where one is -inf, invalid or far off.

        The answer says which.
        """
        if self._scaled.size < values.size:
            self._scaled, self._cells = np.empty(values.size), np.empty(values.size, np.int64)
        scaled, cells = self._scaled[: values.size], self._cells[: values.size]
        with np.errstate(all="ignore"):
            np.multiply(values, self._buckets.inverse, out=scaled)
            np.floor(scaled, out=scaled)
            if not self._counts.size and not self._lay_out(scaled):
                return False
            if self._buckets.floor != NO_FLOOR:
                if scaled.min() == -np.inf:  # it would be lifted to the floor
                    return False
                np.maximum(scaled, self._buckets.floor, out=scaled)
            scaled -= self._base
            if not scaled.max() < self._counts.size:  # nor is NaN
                return False
            np.copyto(cells, scaled, casting="unsafe")
        try:
            self._counts += np.bincount(cells, minlength=self._counts.size)
        except ValueError:  # a negative one: below the array, or -inf
            return False
        return True

    def tally(self) -> Tally:
        """What was counted."""
        where = np.flatnonzero(self._counts)
        return Tally(where + self._base, self._counts[where])

    def _lay_out(self, buckets: npt.NDArray[np.float64]) -> bool:
        first, last = float(buckets.min()), float(buckets.max())
        within = first >= _MARGIN - BUCKET_LIMIT and last < BUCKET_LIMIT - _MARGIN
        if not within or last - first >= _MOST_CELLS - 2 * _MARGIN:
            return False
        self._base = int(first) - _MARGIN
        self._counts = np.zeros(int(last) + _MARGIN + 1 - self._base, np.int64)
        return True
