"""Counts of values that come and go, by logarithmic bucket, exact in integers.

Bucket k holds the z = ln(score) with floor(z / w) == k, so that a value can be taken out again and
histograms of disjoint users add up without any error. Memory depends on the range of z, hardly on
how many values there are. The logarithmic buckets are those of DDSketch (Masson, Rim, Lee 2019),
the coarsening that of UDDSketch (Epicoco et al. 2020); log_buckets.py has both.
"""

from collections.abc import Iterable
from math import floor
from typing import Self

import numpy as np
import numpy.typing as npt

from stream_app.core.bucket_counts import (
    NO_FLOOR,
    BucketCounts,
    MissingValueError,
    Tally,
    joined,
    tally,
)
from stream_app.core.dense_tally import DenseTally
from stream_app.core.log_buckets import LogBuckets, values_of

_NO_VALUES = np.empty(0)
_MISSING = "the value to be taken out was never put in"
#: Values of a rebuild counted at a time, so that what is computed of them stays in the cache.
_REBUILT_AT_ONCE = 1 << 16


class TurnstileHistogram:
    """Counts of z by bucket: in, out, replaced, merged, subtracted, coarsened.

    z is any real up to about +-4.5e15 * relative_accuracy; z = -inf (score 0) is counted apart. NaN
    and +inf raise ValueError. `insert_many`, `delete_many`, `replace_many` and `subtract` happen
    whole or not at all. Taking out a value whose bucket is empty raises MissingValueError and
    leaves everything as it was; it means that the caller's record of old values is wrong.

    Args:
        relative_accuracy: Of the score, in (0, 1): 0.001 = 0.1 %.
        k_min: Lower buckets share this one, going in and out, so accuracy ends there; None = none.
        level: Buckets are 2^level times as wide as `relative_accuracy` asks for.

    Attributes:
        n: How many values are in here, scores of 0 included.
        n_zero: How many of them are scores of 0.
        buckets, inverse, store: Which z are one bucket, 1 / its width, the counts; for insiders.
    """

    __slots__ = ("buckets", "inverse", "n", "n_zero", "store")

    def __init__(
        self, relative_accuracy: float = 1e-3, k_min: int | None = None, *, level: int = 0
    ) -> None:
        floor = NO_FLOOR if k_min is None else k_min
        self.buckets = LogBuckets(relative_accuracy, floor, level)
        self.inverse = self.buckets.inverse  # one look-up less in `replace`
        self.n = 0
        self.n_zero = 0
        self.store = BucketCounts(floor)

    # -- one value ---------------------------------------------------------------------------

    def insert(self, z: float) -> None:
        """Counts one value more."""
        bucket = self.buckets.of(z)
        if bucket is None:
            self.n_zero += 1
        else:
            self.store.add_one(bucket, 1)
        self.n += 1

    def delete(self, z: float) -> None:
        """Counts one value less.

        Raises:
            MissingValueError: Nothing is in the bucket of z; nothing was changed.
        """
        bucket = self.buckets.of(z)
        if bucket is not None:
            self.store.add_one(bucket, -1)
        elif self.n_zero:
            self.n_zero -= 1
        else:
            raise MissingValueError(_MISSING)
        self.n -= 1

    def replace(self, old: float, new: float) -> None:
        """Deletes `old` and inserts `new`; nothing to do when both lie in one bucket.

        The hot path, so it is written out: one call, no numpy.

        Raises:
            MissingValueError: Nothing is in the bucket of `old`; nothing was changed.
        """
        inverse = self.inverse
        try:
            source = floor(old * inverse)
            target = floor(new * inverse)
        except (OverflowError, ValueError):
            return self._replace_unusual(old, new)
        if source == target:
            return None
        store = self.store
        low = store.low
        if source < low or target < low:
            return self._replace_unusual(old, new)
        cells = store.cells
        base = store.base
        try:
            left = cells[source - base] - 1
            if left < 0:
                raise MissingValueError(_MISSING)
            cells[target - base] += 1
        except IndexError:
            return self._replace_unusual(old, new)
        cells[source - base] = left
        store.known = None
        return None

    # -- many values, z of shape (n,) ----------------------------------------------------------

    def insert_many(self, z: npt.ArrayLike) -> None:
        """Counts each value once more."""
        self._change(z, _NO_VALUES)

    def delete_many(self, z: npt.ArrayLike) -> None:
        """Counts each value once less.

        Raises:
            MissingValueError: Some bucket holds fewer; nothing was changed.
        """
        self._change(_NO_VALUES, z)

    def replace_many(self, old: npt.ArrayLike, new: npt.ArrayLike) -> None:
        """Deletes all of `old` and inserts all of `new`, judged by the net change of each bucket.

        Raises:
            MissingValueError: Some bucket would hold fewer than none; nothing was changed.
        """
        if np.shape(old) != np.shape(new):
            raise ValueError(f"old and new differ in shape: {np.shape(old)}, {np.shape(new)}")
        self._change(new, old)

    def rebuild(self, z: npt.ArrayLike) -> None:
        """Forgets everything and counts these values; level and floor stay.

        Raises:
            ValueError: NaN, +inf or one out of range among them; nothing was changed.
        """
        values = values_of(z)
        store, n_zero = BucketCounts(self.buckets.floor), 0
        counted = DenseTally(self.buckets)
        for start in range(0, values.size, _REBUILT_AT_ONCE):
            part = values[start : start + _REBUILT_AT_ONCE]
            if not counted.add(part):
                buckets, zeros = self.buckets.of_many(part)
                store.add(tally(buckets))
                n_zero += zeros
        store.add(counted.tally())
        self.store, self.n_zero, self.n = store, n_zero, values.size

    # -- whole sketches ------------------------------------------------------------------------

    @classmethod
    def merged(cls, sketches: Iterable[Self]) -> Self:
        """A new sketch of all values of all sketches; an empty default one for none."""
        result: Self | None = None
        for sketch in sketches:
            if result is None:
                result = sketch.copy()
            else:
                result.merge(sketch)
        return cls() if result is None else result

    def merge(self, other: Self) -> None:
        """Counts all values of `other` too: exact, in any order and grouping.

        Of two levels or floors the coarser and the higher one is taken.

        Raises:
            ValueError: The sketches were made with different relative accuracies.
        """
        buckets = self.buckets.joined(other.buckets)
        self._renumber(buckets)
        self.store.add(other._counts_in(buckets))
        self.n += other.n
        self.n_zero += other.n_zero

    def subtract(self, other: Self) -> None:
        """Takes all values of `other` out, the reverse of `merge`.

        Raises:
            MissingValueError: They are not all in here; nothing was changed.
            ValueError: The sketches were made with different relative accuracies.
        """
        buckets = self.buckets.joined(other.buckets)
        if other.n_zero > self.n_zero:
            raise MissingValueError(_MISSING)
        store = BucketCounts(buckets.floor)
        store.add(self._counts_in(buckets))
        gone, counts = other._counts_in(buckets)
        store.add(Tally(gone, -counts))
        self._adopt(buckets, store)
        self.n -= other.n
        self.n_zero -= other.n_zero

    def coarsen(self, levels: int = 1) -> None:
        """Joins 2^levels neighbouring buckets into one; alpha -> (1 + alpha)^(2^levels) - 1."""
        self._renumber(self.buckets.coarser(levels))

    def raise_k_min(self, k_min: int) -> None:
        """Lets all buckets below `k_min` share this one from now on.

        Raises:
            ValueError: The floor is higher already; what it folded cannot be told apart again.
        """
        self._renumber(self.buckets.floored(k_min))

    def copy(self) -> Self:
        """An equal sketch with memory of its own."""
        twin = type(self)(self.accuracy, self.k_min, level=self.buckets.level)
        twin.n, twin.n_zero = self.n, self.n_zero
        twin.store = self.store.copy()
        return twin

    # -- itself ------------------------------------------------------------------------------

    @property
    def accuracy(self) -> float:
        """Relative accuracy of level 0."""
        return self.buckets.accuracy

    @property
    def relative_accuracy(self) -> float:
        """Bound of the relative error of a score at the present level."""
        return self.buckets.relative_accuracy

    @property
    def k_min(self) -> int | None:
        """The floor of bucket numbers, if there is one."""
        return None if self.buckets.floor == NO_FLOOR else self.buckets.floor

    def counts(self) -> Tally:
        """Bucket numbers that hold something, ascending, and their counts."""
        return self.store.occupied()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        if (self.buckets, self.n_zero) != (other.buckets, other.n_zero):
            return False
        return all(map(np.array_equal, self.store.occupied(), other.store.occupied()))

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"{type(self).__name__}(relative_accuracy={self.relative_accuracy}, n={self.n})"

    # -- inside --------------------------------------------------------------------------------

    def _replace_unusual(self, old: float, new: float) -> None:
        """`replace` with a value that is -inf, invalid, below the floor or far away."""
        if self.buckets.of(old) == self.buckets.of(new):
            return
        self.delete(old)
        try:
            self.insert(new)
        except ValueError:
            self.insert(old)
            raise

    def _change(self, added: npt.ArrayLike, removed: npt.ArrayLike) -> None:
        more, more_zeros = self.buckets.of_many(added)
        less, less_zeros = self.buckets.of_many(removed)
        n_zero = self.n_zero + more_zeros - less_zeros
        if n_zero < 0:
            raise MissingValueError(_MISSING)
        self.store.add(tally(more, less))
        self.n_zero = n_zero
        self.n += more.size + more_zeros - less.size - less_zeros

    def _counts_in(self, buckets: LogBuckets) -> Tally:
        """The counts under the bucket numbers of a coarser level or a higher floor."""
        mine = self.store.occupied()
        if buckets == self.buckets:
            return mine
        return joined(buckets.renumbered(mine.buckets, self.buckets), mine.counts)

    def _renumber(self, buckets: LogBuckets) -> None:
        if buckets != self.buckets:
            store = BucketCounts(buckets.floor)
            store.add(self._counts_in(buckets))
            self._adopt(buckets, store)

    def _adopt(self, buckets: LogBuckets, store: BucketCounts) -> None:
        self.buckets, self.inverse, self.store = buckets, buckets.inverse, store
