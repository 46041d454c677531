"""Laws of the turnstile: whatever was done, the counts are those of the values present."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stream_app.core.quantile_sketch import MissingValueError, QuantileSketch

WIDTH = 1 / QuantileSketch().inverse

z_values = st.one_of(
    st.floats(-3, 3),
    st.floats(-700, 700),
    st.integers(-2_000, 2_000).map(lambda k: k * WIDTH),
    st.sampled_from([-math.inf, -700.0, -0.0, 0.0, 1e3, 1e6, 1e7, 1.5, 1.5001]),
    st.floats(1e6, 1e6 + 5),
)
batches = st.lists(z_values, max_size=40)


def sketch_of(values: list[float], k_min: int | None = None) -> QuantileSketch:
    sketch = QuantileSketch(k_min=k_min)
    sketch.insert_many(np.array(values))
    return sketch


def copied(sketch: QuantileSketch, change: Callable[[QuantileSketch], None]) -> QuantileSketch:
    twin = sketch.copy()
    change(twin)
    return twin


class Turnstile(RuleBasedStateMachine):
    """A sketch beside the plain list of what is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.sketch = QuantileSketch()
        self.present: list[float] = []

    @rule(z=z_values)
    def insert(self, z: float) -> None:
        self.sketch.insert(z)
        self.present.append(z)

    @rule(values=batches)
    def insert_many(self, values: list[float]) -> None:
        self.sketch.insert_many(np.array(values))
        self.present += values

    @precondition(lambda self: self.present)
    @rule(choice=st.data())
    def delete(self, choice: st.DataObject) -> None:
        self.sketch.delete(self._take(choice))

    @precondition(lambda self: self.present)
    @rule(choice=st.data(), z=z_values)
    def replace(self, choice: st.DataObject, z: float) -> None:
        self.sketch.replace(self._take(choice), z)
        self.present.append(z)

    @precondition(lambda self: self.present)
    @rule(choice=st.data(), values=st.lists(z_values, min_size=1, max_size=20))
    def replace_many(self, choice: st.DataObject, values: list[float]) -> None:
        new = values[: len(self.present)]
        old = [self._take(choice) for _ in new]
        self.sketch.replace_many(np.array(old), np.array(new))
        self.present += new

    @rule(z=z_values)
    def deleting_what_is_not_there_raises(self, z: float) -> None:
        alone = sketch_of([z])
        if any(sketch_of([there]) == alone for there in self.present):
            return
        for attempt in (self.sketch.delete, lambda z: self.sketch.delete_many([*self.present, z])):
            with pytest.raises(MissingValueError):
                attempt(z)

    @rule(values=batches)
    def merging_and_subtracting_changes_nothing(self, values: list[float]) -> None:
        other = sketch_of(values)
        self.sketch.merge(other)
        assert self.sketch == sketch_of(self.present + values)
        self.sketch.subtract(other)

    @rule()
    def travel(self) -> None:
        self.sketch = QuantileSketch.deserialize(self.sketch.serialize())

    @invariant()
    def equals_one_rebuilt(self) -> None:
        rebuilt = QuantileSketch()
        rebuilt.rebuild(np.array(self.present))
        assert self.sketch == rebuilt
        assert self.sketch.serialize() == rebuilt.serialize()
        assert self.sketch.n == len(self.present)
        assert self.sketch.n == self.sketch.n_zero + int(self.sketch.counts().counts.sum())

    def _take(self, choice: st.DataObject) -> float:
        return self.present.pop(choice.draw(st.integers(0, len(self.present) - 1)))


TestTurnstile = Turnstile.TestCase
TestTurnstile.settings = settings(max_examples=40, deadline=None)


def test_a_hundred_thousand_changes_alone_and_in_batches_equal_a_rebuild() -> None:
    rng = np.random.default_rng(7)
    values = rng.normal(0, 2, 3_000)
    sketch = sketch_of(values.tolist())
    for index in rng.integers(0, values.size, 50_000).tolist():
        new = float(rng.normal(0, 2))
        sketch.replace(float(values[index]), new)
        values[index] = new
    for _ in range(50):
        rows = rng.choice(values.size, 1_000, replace=False)
        new_values = rng.normal(1, 2, rows.size)
        sketch.replace_many(values[rows], new_values)
        values[rows] = new_values
    assert sketch == sketch_of(values.tolist())


@given(batches, batches)
def test_inserting_then_deleting_is_identity(there: list[float], more: list[float]) -> None:
    sketch = sketch_of(there)
    sketch.insert_many(np.array(more))
    for z in more:
        sketch.delete(z)
    assert sketch == sketch_of(there)


@given(batches, batches, batches)
def test_merging_is_associative_and_commutative_and_equals_the_whole(
    a: list[float], b: list[float], c: list[float]
) -> None:
    one, two, three = sketch_of(a), sketch_of(b), sketch_of(c)
    left = QuantileSketch.merged([QuantileSketch.merged([one, two]), three])
    right = QuantileSketch.merged([three, QuantileSketch.merged([two, one])])
    assert left == right == sketch_of(a + b + c)
    assert one == sketch_of(a)
    assert QuantileSketch.merged([]).n == 0


@given(batches, batches, st.integers(0, 6))
def test_coarsening_commutes_with_merging_and_deleting(
    a: list[float], b: list[float], levels: int
) -> None:
    whole = sketch_of(a + b)
    whole.coarsen(levels)
    coarse = sketch_of(a)
    coarse.coarsen(levels)
    both_ways = [
        QuantileSketch.merged([coarse, sketch_of(b)]),
        QuantileSketch.merged([sketch_of(b), coarse]),
    ]
    for merged in both_ways:
        assert merged == whole
        merged.delete_many(np.array(b))
        assert merged == coarse
        merged.subtract(sketch_of(a))
        assert merged.n == 0


@given(batches, batches, st.integers(-2_000, 2_000), st.integers(0, 500), st.integers(0, 3))
def test_a_raised_floor_folds_what_is_below_so_that_it_can_be_deleted(
    before: list[float], after: list[float], k_min: int, rise: int, levels: int
) -> None:
    sketch = sketch_of(before, k_min)
    assert sketch.k_min == k_min
    sketch.raise_k_min(k_min + rise)
    sketch.insert_many(np.array(after))
    assert sketch == sketch_of(before + after, k_min + rise)
    coarse = sketch.copy()
    coarse.coarsen(levels)
    coarse.delete_many(np.array(before + after))
    assert coarse.n == 0
    for z in before:
        sketch.replace(z, 1.0)
    for _ in before:
        sketch.delete(1.0)
    sketch.delete_many(np.array(after))
    assert sketch == QuantileSketch(k_min=k_min + rise)


@given(batches, batches, st.integers(-2_000, 2_000))
def test_of_two_floors_merging_takes_the_higher(a: list[float], b: list[float], k_min: int) -> None:
    merged = sketch_of(a, k_min)
    merged.merge(sketch_of(b))
    other = sketch_of(b)
    other.merge(sketch_of(a, k_min))
    assert merged == other == sketch_of(a + b, k_min)


@given(batches)
def test_one_by_one_equals_a_batch(values: list[float]) -> None:
    sketch = QuantileSketch()
    for z in values:
        sketch.insert(z)
    assert sketch == sketch_of(values)


@given(batches, st.data())
def test_a_failed_batch_changes_nothing(values: list[float], choice: st.DataObject) -> None:
    sketch, twin = sketch_of(values), sketch_of(values)
    absent = choice.draw(z_values.filter(lambda z: abs(z) < 1e9 or z == -math.inf))
    with pytest.raises(MissingValueError):
        sketch.delete_many(np.array([*values, absent]))
    with pytest.raises(ValueError, match="z must"):
        sketch.insert_many(np.array([*values, math.nan]))
    assert sketch == twin


def test_sketches_of_different_accuracies_do_not_mix() -> None:
    sketch = sketch_of([1.0])
    for attempt in (sketch.merge, sketch.subtract):
        with pytest.raises(ValueError, match="accuracies differ"):
            attempt(QuantileSketch(0.01))
    assert sketch != QuantileSketch(0.01)
    assert sketch != "sketch"
    assert repr(sketch) == "QuantileSketch(relative_accuracy=0.001, n=1)"


def test_copies_are_independent() -> None:
    sketch = sketch_of([1.0, -math.inf])
    other = copied(sketch, lambda twin: twin.insert(2.0))
    assert sketch == sketch_of([1.0, -math.inf])
    assert other == sketch_of([1.0, 2.0, -math.inf])
