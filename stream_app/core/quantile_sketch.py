"""Quantiles of scores that change: the questions to a turnstile histogram, and its bytes."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream_app.core import sketch_codec
from stream_app.core.bucket_counts import BUCKET_LIMIT, NO_FLOOR, MissingValueError
from stream_app.core.turnstile_histogram import TurnstileHistogram

__all__ = ["Location", "MissingValueError", "QuantileSketch"]

Floats = npt.NDArray[np.float64]


class Location(NamedTuple):
    """Where an order statistic lies: its number (from 0) among the values of its bucket.

    `bucket` is None for scores of 0, whose z is -inf.
    """

    bucket: int | None
    residual_rank: int
    bucket_count: int


def _is_near(bucket: int | None, other: int | None) -> bool:
    """Whether two buckets are the same, give or take the rounding of z at an edge."""
    if bucket is None or other is None:
        return bucket == other
    return abs(bucket - other) <= 1


class QuantileSketch(TurnstileHistogram):
    """Quantiles of ln(score), relative error of the score at most `relative_accuracy`.

    Unlike KLL, t-digest or DDSketch as packaged it forgets values again, so it describes the
    present scores of users and not all scores they ever had.

    >>> sketch = QuantileSketch()
    >>> sketch.insert_many(np.log([1.0, 2.0, 3.0, 4.0]))
    >>> round(math.exp(sketch.get_quantile(0.5)), 2)
    2.5
    """

    __slots__ = ()

    # -- questions; all raise ValueError when the sketch is empty -------------------------------

    def get_quantile(self, q: float) -> float:
        """Natural logarithm of the q-quantile of the scores, linear as `numpy.percentile`.

        The score's relative error is at most `relative_accuracy`. Never falls when q rises.
        """
        index, part = self._split(q)
        low = self.order_statistic(index)
        if part == 0.0:
            return low
        high = self.order_statistic(index + 1)
        if high == -math.inf:
            return high
        # ln((1 - part) e^low + part e^high), without leaving the range of floats
        ratio = math.exp(low - high)
        between = high + math.log(ratio + part * (1.0 - ratio))
        return min(max(between, low), high)

    def rank_error(self, q: float) -> float:
        """Certificate of `get_quantile(q)`: the share of values <= it is at most this far from q.

        The mass of the bucket of the answer, as a share of all values; plus 1/n if the answer lies
        between two buckets' values. Depends on the data alone: ties of 30 % can give 0.3.
        """
        index, part = self._split(q)
        below, above = self.locate_index(index), self.locate_index(index + bool(part))
        if below.bucket == above.bucket:
            return below.bucket_count / self.n
        answer = self.buckets.of(self.get_quantile(q))
        near = [at.bucket_count for at in (below, above) if _is_near(at.bucket, answer)]
        return min(1.0, (max(near, default=0) + 1) / self.n)

    def locate(self, q: float) -> Location:
        """The bucket of the lower of the two order statistics that `get_quantile(q)` is made of."""
        return self.locate_index(self._split(q)[0])

    def locate_index(self, index: int) -> Location:
        """The bucket of value number `index`, from 0, ascending."""
        if not 0 <= index < self.n:
            raise ValueError(f"no value number {index} among {self.n}")
        if index < self.n_zero:
            return Location(None, index, self.n_zero)
        return Location(*self.store.select(index - self.n_zero))

    def order_statistic(self, index: int) -> float:
        """Estimate of z number `index`, from 0, ascending; -inf for a score of 0."""
        bucket, rank, count = self.locate_index(index)
        if bucket is None:
            return -math.inf
        # The values of a bucket are taken to be spread evenly: at 1/2c, 3/2c, ... of its width.
        place: float = bucket + (rank + 0.5) / count
        return place / self.inverse

    def lower_bound(self, index: int) -> float:
        """A z that value number `index` is certainly not below, less than two buckets under it.

        With index n - k it leaves little more than the top k to be looked at.
        """
        bucket = self.locate_index(index).bucket
        # Half a bucket below the edge, so that rounding at the edge does not matter.
        return -math.inf if bucket is None else (bucket - 0.5) / self.inverse

    def count_le(self, z: float) -> float:
        """About how many values are <= z: all of lower buckets, a proportional part of its own."""
        return float(self._counts_le(np.array([z]))[0])

    def get_rank(self, z: float) -> float:
        """About the share of values <= z, in [0, 1]; off by at most its bucket's mass."""
        return self.count_le(z) / self._positive_n()

    def get_member_rank(self, z: float) -> float:
        """`get_rank` of a z that is known to be in here: exact if its bucket holds nothing else."""
        n = self._positive_n()
        bucket = self.buckets.of(z)
        if bucket is None:
            return self.n_zero / n
        below, count = self._below_and_in(bucket)
        part = min(max(z * self.inverse - bucket, 0.0), 1.0)
        return (below + min(count, int(count * part) + 1)) / n

    def get_cdf(self, zs: npt.ArrayLike) -> Floats:
        """`get_rank` of each z, shape (n,) -> (n,)."""
        return self._counts_le(np.asarray(zs, np.float64)) / self._positive_n()

    def get_rank_bounds(self, z: float) -> tuple[float, float]:
        """Certain bounds of the share of values <= z (and of the share < z)."""
        n = self._positive_n()
        bucket = self.buckets.of(z)
        if bucket is None:
            return 0.0, self.n_zero / n
        below, count = self._below_and_in(bucket)
        return below / n, (below + count) / n

    def refine(self, bucket: int, values: npt.ArrayLike, fanout: int = 1024) -> "QuantileSketch":
        """A sketch of those `values` that lie in `bucket`, in buckets `fanout` times as narrow.

        The refined sketches of all partitions merge; `order_statistic(rank)` of the result, with
        the rank that `locate` gave, is the value asked for, `fanout` times as exactly; and it can
        be refined again (Munro, Paterson 1980).

        Args:
            bucket: As `locate` of the merged sketch gave it.
            values: z, shape (n,); those of other buckets are left out.
            fanout: A power of two.
        """
        steps = fanout.bit_length() - 1
        if fanout < 1 or fanout != 1 << steps:
            raise ValueError(f"fanout must be a power of two, not {fanout}")
        fine = QuantileSketch(self.accuracy, level=self.buckets.level - steps)
        z = np.asarray(values, np.float64)
        z = z[z != -math.inf]
        fine.insert_many(z[self.buckets.of_many(z)[0] == bucket])
        return fine

    # -- bytes ---------------------------------------------------------------------------------

    def serialize(self) -> bytes:
        """As bytes: equal sketches give equal bytes."""
        of, counted = self.buckets, self.counts()
        return sketch_codec.pack(
            sketch_codec.Frame(of.accuracy, of.level, of.floor, self.n, self.n_zero, counted)
        )

    @classmethod
    def deserialize(cls, serialized: bytes) -> "QuantileSketch":
        """The sketch that `serialize` wrote.

        Raises:
            ValueError: The bytes are truncated, corrupt, or of another version.
        """
        frame = sketch_codec.unpack(serialized)
        k_min = None if frame.floor == NO_FLOOR else frame.floor
        sketch = cls(frame.accuracy, k_min, level=frame.level)
        sketch.store.add(frame.tally)
        sketch.n, sketch.n_zero = frame.n, frame.n_zero
        return sketch

    # -- inside ------------------------------------------------------------------------------

    def _positive_n(self) -> int:
        if self.n == 0:
            raise ValueError("the sketch is empty")
        return self.n

    def _split(self, q: float) -> tuple[int, float]:
        """Position q (n - 1) among the ascending values: whole part and fraction, as numpy does."""
        if not 0.0 <= q <= 1.0:
            raise ValueError(f"q must be in [0, 1], not {q}")
        position = q * (self._positive_n() - 1)
        index = math.floor(position)
        return index, position - index

    def _below_and_in(self, bucket: int) -> tuple[int, int]:
        below, count = self.store.below_and_in(np.int64(bucket))
        return self.n_zero + int(below), int(count)

    def _counts_le(self, z: Floats) -> Floats:
        if np.isnan(z).any():
            raise ValueError("z must not be NaN")
        lowest = max(self.buckets.floor, -BUCKET_LIMIT)
        with np.errstate(over="ignore"):
            scaled = np.clip(z * self.inverse, lowest, BUCKET_LIMIT - 1)
        buckets = np.floor(scaled)
        below, count = self.store.below_and_in(buckets.astype(np.int64))
        result: Floats = self.n_zero + below + count * (scaled - buckets)
        return result
