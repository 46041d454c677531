"""From z = ln(score) to its bucket number, one at a time or a whole batch, always alike.

Bucket k holds the z with floor(z / w) == k. Width: w = 0.999 ln(1 + alpha). DDSketch's
ln((1 + alpha)/(1 - alpha)) is twice as wide, but only the middle of such a bucket is within alpha
of all its values; here any point is, so an estimate may follow the rank within the bucket. The
0.999 pays for the rounding of z up to 1e9.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from stream_app.core.bucket_counts import BUCKET_LIMIT, NO_FLOOR, Ints

_LEVELS = range(-40, 41)
_NARROWED = 0.999


@dataclass(frozen=True, slots=True)
class LogBuckets:
    """Which bucket a z lies in, and how buckets of two kinds come to be of one.

    Args:
        accuracy: Relative accuracy of the score at level 0, in [1e-9, 1).
        floor: Lower buckets share this one; NO_FLOOR = none do.
        level: Buckets are joined 2^level times, or split, below 0.

    Attributes:
        inverse: 1 / w. A power of two scales exactly, so floor(z / w) >> j is the bucket of z j
            levels up.

    Raises:
        ValueError: An argument is out of range.
    """

    accuracy: float
    floor: int = NO_FLOOR
    level: int = 0
    inverse: float = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if not 1e-9 <= self.accuracy < 1:
            raise ValueError(f"relative_accuracy must be in [1e-9, 1), not {self.accuracy}")
        if self.floor != NO_FLOOR and abs(self.floor) >= BUCKET_LIMIT:
            raise ValueError(f"k_min is out of range: {self.floor}")
        if self.level not in _LEVELS:
            raise ValueError(f"level must be within +-40, not {self.level}")
        inverse = 2.0**-self.level / (_NARROWED * math.log1p(self.accuracy))
        object.__setattr__(self, "inverse", inverse)

    @property
    def relative_accuracy(self) -> float:
        """Of the score at this level: (1 + alpha)^(2^level) - 1."""
        if self.level == 0:
            return self.accuracy
        return math.expm1(math.log1p(self.accuracy) * 2.0**self.level)

    def of(self, z: float) -> int | None:
        """Bucket number, not below the floor; None for z = -inf.

        Raises:
            ValueError: NaN or +inf.
        """
        try:
            return max(math.floor(z * self.inverse), self.floor)
        except (OverflowError, ValueError):
            if z == -math.inf:
                return None
            raise ValueError(f"z must be a real number within range, or -inf, not {z}") from None

    def of_many(self, z: npt.ArrayLike) -> tuple[Ints, int]:
        """Bucket numbers of all z but -inf, and how many of those there were.

        Raises:
            ValueError: NaN, +inf or beyond +-BUCKET_LIMIT buckets among them, or not of shape (n,).
        """
        values = values_of(z)
        zeros = 0
        if values.size and values.min() == -math.inf:  # NaN if there is one
            real = values[values != -math.inf]
            zeros, values = values.size - real.size, real
        if not values.size:
            return np.empty(0, np.int64), zeros
        with np.errstate(over="ignore"):
            scaled = values * self.inverse
        np.floor(scaled, out=scaled)
        if self.floor != NO_FLOOR:
            np.maximum(scaled, self.floor, out=scaled)
        if not (scaled.min() >= -BUCKET_LIMIT and scaled.max() < BUCKET_LIMIT):
            raise ValueError("z must be real numbers within range, or -inf")
        return scaled.astype(np.int64), zeros

    def coarser(self, levels: int) -> "LogBuckets":
        """Each 2^levels neighbouring buckets as one."""
        if levels < 0 or self.level + levels not in _LEVELS:
            raise ValueError(f"cannot coarsen by {levels} levels from level {self.level}")
        floor = self.floor if self.floor == NO_FLOOR else self.floor >> levels
        return replace(self, level=self.level + levels, floor=floor)

    def floored(self, floor: int) -> "LogBuckets":
        """With all buckets below `floor` in this one.

        Raises:
            ValueError: The floor is higher already; what it folded cannot be told apart again.
        """
        if floor < self.floor:
            raise ValueError(f"k_min may only rise: {self.floor} -> {floor}")
        return replace(self, floor=floor)

    def joined(self, other: "LogBuckets") -> "LogBuckets":
        """The coarser level and the higher floor of both.

        Raises:
            ValueError: They are of different relative accuracies.
        """
        if other == self:
            return self
        if other.accuracy != self.accuracy:
            raise ValueError(f"relative accuracies differ: {self.accuracy} and {other.accuracy}")
        level = max(self.level, other.level)
        mine, theirs = self.coarser(level - self.level), other.coarser(level - other.level)
        return mine.floored(max(mine.floor, theirs.floor))

    def renumbered(self, buckets: Ints, before: "LogBuckets") -> Ints:
        """What buckets numbered as `before`, which was finer and of a lower floor, are here."""
        numbers: Ints = np.maximum(buckets >> (self.level - before.level), self.floor)
        return numbers


def values_of(z: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """As floats of shape (n,). Raises ValueError for any other number of dimensions."""
    values = np.asarray(z, np.float64)
    if values.ndim != 1:
        raise ValueError(f"z must have one dimension, not {values.ndim}")
    return values
