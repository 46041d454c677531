"""Counting in one array: all of a batch as `of_many` and `tally` would, or none of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core import turnstile_histogram
from stream_app.core.bucket_counts import BUCKET_LIMIT, NO_FLOOR, tally
from stream_app.core.dense_tally import DenseTally
from stream_app.core.log_buckets import LogBuckets
from stream_app.core.quantile_sketch import QuantileSketch

near = st.floats(-20, 20)
any_z = st.one_of(near, st.floats(-1e6, 1e6), st.just(-math.inf))


@given(st.lists(st.lists(near, min_size=1), min_size=1), st.sampled_from([NO_FLOOR, -3000, 10]))
def test_usual_values_are_counted_as_one_by_one(batches: list[list[float]], floor: int) -> None:
    buckets = LogBuckets(1e-3, floor)
    dense = DenseTally(buckets)
    taken = [z for batch in batches if dense.add(np.array(batch)) for z in batch]
    found, expected = dense.tally(), tally(buckets.of_many(taken)[0])
    assert found.buckets.tolist() == expected.buckets.tolist()
    assert found.counts.tolist() == expected.counts.tolist()


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 1e9, -1e9, 1e300, -1e300])
def test_a_batch_with_an_odd_value_is_left_whole(odd: float) -> None:
    dense = DenseTally(LogBuckets(1e-3))
    assert not dense.add(np.array([1.0, odd]))
    assert dense.add(np.array([1.0, 2.0]))
    before = dense.tally()
    assert not dense.add(np.array([1.0, odd, 2.0]))
    assert not dense.add(np.array([odd]))
    assert dense.tally().counts.tolist() == before.counts.tolist()


def test_buckets_beyond_what_floats_can_count_are_refused() -> None:
    sketch = QuantileSketch()
    with pytest.raises(ValueError, match="within range"):
        sketch.rebuild(np.array([BUCKET_LIMIT / sketch.inverse]))
    assert sketch.n == 0


@given(st.lists(any_z), st.sampled_from([None, -2000, 0]))
def test_a_rebuild_in_many_parts_equals_a_batch(values: list[float], floor: int | None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turnstile_histogram, "_REBUILT_AT_ONCE", 3)
        rebuilt, batch = QuantileSketch(k_min=floor), QuantileSketch(k_min=floor)
        rebuilt.rebuild(np.array(values))
        batch.insert_many(np.array(values))
        assert rebuilt == batch
