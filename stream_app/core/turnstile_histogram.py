"""Counts of values that come and go, by logarithmic bucket, exact in integers.

Bucket k holds the z = ln(score) with floor(z / w) == k, so that a value can be taken out again and
histograms of disjoint users add up without any error. Memory depends on the range of z, hardly on
how many values there are. The logarithmic buckets are those of DDSketch (Masson, Rim, Lee 2019),
the coarsening that of UDDSketch (Epicoco et al. 2020); log_buckets.py has their width.
"""

from collections.abc import Callable, Iterable
from math import floor
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from stream_app.core.bucket_counts import (
    BUCKET_LIMIT,
    NO_FLOOR,
    BucketCounts,
    Ints,
    MissingValueError,
    Tally,
    joined,
    tally,
)
from stream_app.core.log_buckets import LEVELS, accuracy_at, bucket_of, buckets_of, inverse_width

_NO_VALUES: npt.NDArray[np.float64] = np.empty(0)
_MISSING = "the value to be taken out was never put in"
#: Values of a rebuild counted at a time: what is computed of them (1 MiB) stays in the cache.
_REBUILT_AT_ONCE = 1 << 17

_Histogram = TypeVar("_Histogram", bound="TurnstileHistogram")


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
        accuracy: Relative accuracy of level 0; the others are for this package's eyes.
    """

    __slots__ = ("accuracy", "floor", "inverse", "level", "n", "n_zero", "store")

    def __init__(
        self, relative_accuracy: float = 1e-3, k_min: int | None = None, *, level: int = 0
    ) -> None:
        if k_min is not None and abs(k_min) >= BUCKET_LIMIT:
            raise ValueError(f"k_min is out of range: {k_min}")
        self.accuracy = relative_accuracy
        self.floor = NO_FLOOR if k_min is None else k_min
        self.n = 0
        self.n_zero = 0
        self.store = BucketCounts(self.floor)
        self._set_level(level)

    # -- one value ---------------------------------------------------------------------------

    def insert(self, z: float) -> None:
        """Counts one value more."""
        bucket = self._bucket(z)
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
        bucket = self._bucket(z)
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
        """Forgets everything and counts these values; level and floor stay."""
        values = np.asarray(z, np.float64)
        store, n_zero = BucketCounts(self.floor), 0
        for start in range(0, max(values.size, 1), _REBUILT_AT_ONCE):
            buckets, zeros = self._buckets(values[start : start + _REBUILT_AT_ONCE])
            store.add(tally(buckets))
            n_zero += zeros
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
        other = _aligned(self, other)
        self.store.add(other.store.occupied())
        self.n += other.n
        self.n_zero += other.n_zero

    def subtract(self, other: Self) -> None:
        """Takes all values of `other` out, the reverse of `merge`.

        Raises:
            MissingValueError: They are not all in here; nothing was changed.
            ValueError: The sketches were made with different relative accuracies.
        """
        result = self.copy()
        other = _aligned(result, other)
        if other.n_zero > result.n_zero:
            raise MissingValueError(_MISSING)
        buckets, counts = other.store.occupied()
        result.store.add(Tally(buckets, -counts))
        result.n -= other.n
        result.n_zero -= other.n_zero
        self._set_level(result.level)
        self.floor = result.floor
        self.store, self.n, self.n_zero = result.store, result.n, result.n_zero

    def coarsen(self, levels: int = 1) -> None:
        """Joins 2^levels neighbouring buckets into one; alpha -> (1 + alpha)^(2^levels) - 1."""
        if levels < 0 or self.level + levels not in LEVELS:
            raise ValueError(f"cannot coarsen by {levels} levels from level {self.level}")
        if levels == 0:
            return
        if self.floor != NO_FLOOR:
            self.floor >>= levels
        self._move(lambda buckets: buckets >> levels)
        self._set_level(self.level + levels)

    def raise_k_min(self, k_min: int) -> None:
        """Lets all buckets below `k_min` share this one from now on.

        Raises:
            ValueError: The floor is higher already; what it folded cannot be told apart again.
        """
        if k_min < self.floor or abs(k_min) >= BUCKET_LIMIT:
            raise ValueError(f"k_min may only rise, and within range: {self.floor} -> {k_min}")
        if k_min > self.floor:
            self.floor = k_min
            self._move(lambda buckets: np.maximum(buckets, k_min))

    def copy(self) -> Self:
        """An equal sketch with memory of its own."""
        twin = type(self)(self.accuracy, self.k_min, level=self.level)
        twin.n, twin.n_zero = self.n, self.n_zero
        twin.store = self.store.copy()
        return twin

    # -- itself ------------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in here."""
        return self.n == 0

    @property
    def relative_accuracy(self) -> float:
        """Bound of the relative error of a score at the present level."""
        return accuracy_at(self.accuracy, self.level)

    @property
    def k_min(self) -> int | None:
        """The floor of bucket numbers, if there is one."""
        return None if self.floor == NO_FLOOR else self.floor

    def counts(self) -> Tally:
        """Bucket numbers that hold something, ascending, and their counts."""
        return self.store.occupied()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        mine, theirs = self.store.occupied(), other.store.occupied()
        return self._shape() == other._shape() and all(map(np.array_equal, mine, theirs))

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        accuracy = self.relative_accuracy
        return f"{type(self).__name__}(relative_accuracy={accuracy}, n={self.n})"

    def _shape(self) -> tuple[float, int, int, int, int]:
        return self.accuracy, self.level, self.floor, self.n, self.n_zero

    # -- inside --------------------------------------------------------------------------------

    def _set_level(self, level: int) -> None:
        self.inverse = inverse_width(self.accuracy, level)
        self.level = level

    def _bucket(self, z: float) -> int | None:
        return bucket_of(z, self.inverse, self.floor)

    def _buckets(self, z: npt.ArrayLike) -> tuple[Ints, int]:
        return buckets_of(z, self.inverse, self.floor)

    def _replace_unusual(self, old: float, new: float) -> None:
        """`replace` with a value that is -inf, invalid, below the floor or far away."""
        if self._bucket(old) == self._bucket(new):
            return
        self.delete(old)
        try:
            self.insert(new)
        except ValueError:
            self.insert(old)
            raise

    def _change(self, added: npt.ArrayLike, removed: npt.ArrayLike) -> None:
        more, more_zeros = self._buckets(added)
        less, less_zeros = self._buckets(removed)
        n_zero = self.n_zero + more_zeros - less_zeros
        if n_zero < 0:
            raise MissingValueError(_MISSING)
        self.store.add(tally(more, less))
        self.n_zero = n_zero
        self.n += more.size + more_zeros - less.size - less_zeros

    def _move(self, moved: Callable[[Ints], Ints]) -> None:
        buckets, counts = self.store.occupied()
        store = BucketCounts(self.floor)
        store.add(joined(moved(buckets), counts))
        self.store = store


def _aligned(one: _Histogram, other: _Histogram) -> _Histogram:
    """Brings `one` to the coarser level and higher floor of both; returns `other` there too."""
    if other.accuracy != one.accuracy:
        raise ValueError(f"relative accuracies differ: {one.accuracy} and {other.accuracy}")
    if (other.level, other.floor) != (one.level, one.floor):
        other = other.copy()
        level = max(one.level, other.level)
        one.coarsen(level - one.level)
        other.coarsen(level - other.level)
        floor = max(one.floor, other.floor)
        if floor != NO_FLOOR:
            one.raise_k_min(floor)
            other.raise_k_min(floor)
    return other
