"""From z = ln(score) to its bucket number, one at a time or a whole batch, always alike.

Bucket k holds the z with floor(z / w) == k. Width: w = 0.999 ln(1 + alpha). DDSketch's
ln((1 + alpha)/(1 - alpha)) is twice as wide, but only the middle of such a bucket is within alpha
of all its values; here any point is, so an estimate may follow the rank within the bucket. The
0.999 pays for the rounding of z up to 1e9.
"""

import math

import numpy as np
import numpy.typing as npt

from stream_app.core.bucket_counts import BUCKET_LIMIT, NO_FLOOR, Ints

LEVELS = range(-40, 41)
_NARROWED = 0.999


def inverse_width(relative_accuracy: float, level: int) -> float:
    """1 / w of buckets joined 2^level times (or split, below 0).

    A power of two scales exactly, so floor(z / w) >> j is the bucket of z j levels up.

    Raises:
        ValueError: An argument is out of range.
    """
    if not 1e-9 <= relative_accuracy < 1:
        raise ValueError(f"relative_accuracy must be in [1e-9, 1), not {relative_accuracy}")
    if level not in LEVELS:
        raise ValueError(f"level must be within +-40, not {level}")
    return float(2.0**-level / (_NARROWED * math.log1p(relative_accuracy)))


def accuracy_at(relative_accuracy: float, level: int) -> float:
    """Relative accuracy of buckets joined 2^level times: (1 + alpha)^(2^level) - 1."""
    if level == 0:
        return relative_accuracy
    return math.expm1(math.log1p(relative_accuracy) * 2.0**level)


def bucket_of(z: float, inverse: float, k_min: int) -> int | None:
    """Bucket number, not below `k_min`; None for z = -inf.

    Raises:
        ValueError: NaN or +inf.
    """
    try:
        return max(math.floor(z * inverse), k_min)
    except (OverflowError, ValueError):
        if z == -math.inf:
            return None
        raise ValueError(f"z must be a real number within range, or -inf, not {z}") from None


def buckets_of(z: npt.ArrayLike, inverse: float, k_min: int) -> tuple[Ints, int]:
    """Bucket numbers of all z but -inf, and how many of those there were.

    Raises:
        ValueError: NaN, +inf or beyond +-BUCKET_LIMIT buckets among them, or not of shape (n,).
    """
    values = np.asarray(z, np.float64)
    if values.ndim != 1:
        raise ValueError(f"z must have one dimension, not {values.ndim}")
    zeros = 0
    if values.size and values.min() == -math.inf:  # NaN if there is one
        real = values[values != -math.inf]
        zeros, values = values.size - real.size, real
    if not values.size:
        return np.empty(0, np.int64), zeros
    with np.errstate(over="ignore"):
        scaled = values * inverse
    np.floor(scaled, out=scaled)
    if k_min != NO_FLOOR:
        np.maximum(scaled, k_min, out=scaled)
    if not (scaled.min() >= -BUCKET_LIMIT and scaled.max() < BUCKET_LIMIT):
        raise ValueError("z must be real numbers within range, or -inf")
    return scaled.astype(np.int64), zeros
