"""Exponential decay in event time.

A weight given at time t_i is worth 2^(-(t - t_i) / H) at t. Sums of such weights are kept at a
reference time of their own and only ever brought forward, so no factor exceeds 1; the logarithm
of a sum, moved to the Unix epoch, does not change while nothing happens (forward decay: Cormode,
Shkapenyuk, Srivastava and Xu, ICDE 2009).
"""

from __future__ import annotations

import math

LN2 = math.log(2.0)


#: Half-lives that are looked back at most: 2^900 = 8e270, times any count, is still finite.
_MOST_HALF_LIVES = 900.0


def decay_factor(from_ms: int, to_ms: int, half_life_ms: float) -> float:
    """The worth at `to_ms` of a weight of 1 given at `from_ms`; above 1 when `to_ms` is earlier."""
    factor: float = 2.0 ** min((from_ms - to_ms) / half_life_ms, _MOST_HALF_LIVES)
    return factor


def combine(value_a: float, at_a: int, value_b: float, at_b: int, half_life_ms: float) -> float:
    """The sum of two decayed sums, as of the later of their reference times."""
    if at_a >= at_b:
        return value_a + value_b * decay_factor(at_b, at_a, half_life_ms)
    return value_b + value_a * decay_factor(at_a, at_b, half_life_ms)
