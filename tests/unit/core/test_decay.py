import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.decay import combine, decay_factor
from stream_app.messages import MAX_TIME_MS
from tests.schemes import DAY_MS

times = st.integers(0, MAX_TIME_MS)
half_lives = st.sampled_from([1.0, 60_000.0, 30.0 * DAY_MS, 36_525.0 * DAY_MS])


def test_a_weight_halves_in_each_half_life() -> None:
    assert decay_factor(0, 0, 10.0) == 1.0
    assert decay_factor(0, 10, 10.0) == 0.5
    assert decay_factor(5, 35, 10.0) == 0.125
    assert decay_factor(20, 10, 10.0) == 2.0


@given(times, times, half_lives)
def test_no_two_times_overflow(one: int, other: int, half_life: float) -> None:
    """A post from the future, kept at its record's time, is asked for as of long before."""
    assert 0.0 <= decay_factor(one, other, half_life) < 1e300


@given(
    st.lists(st.tuples(st.floats(0.1, 1e6), st.integers(0, 400)), min_size=1, max_size=8),
    st.randoms(),
)
def test_sums_combine_to_the_same_in_any_order(
    parts: list[tuple[float, int]], random: Random
) -> None:
    latest = max(at for _, at in parts)
    expected = math.fsum(value * decay_factor(at, latest, 20.0) for value, at in parts)
    random.shuffle(parts)
    total, at = parts[0]
    for value, moment in parts[1:]:
        total, at = combine(total, at, value, moment, 20.0), max(at, moment)
    assert total == pytest.approx(expected, rel=1e-12)
