"""Accuracy: every answer within the stated error of numpy's, whatever the scores look like."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from stream_app.core.bucket_counts import BUCKET_LIMIT
from stream_app.core.quantile_sketch import MissingValueError, QuantileSketch

Floats = npt.NDArray[np.float64]

ALPHA = 1e-3
QUANTILES = (0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 1.0)
N = 20_000


def _scores() -> dict[str, Floats]:
    rng = np.random.default_rng(20_240_501)
    model = rng.normal(0, 1.5, N) + rng.exponential(1 / 1.2, N)
    ties = np.where(rng.random(N) < 0.3, 1.234, model)
    narrow = rng.normal(0, 0.01, N)
    width = 1 / QuantileSketch(ALPHA).inverse
    return {
        "model": model,
        **{f"pareto {a}": rng.exponential(1 / a, N) for a in (0.5, 0.7, 1.2)},
        **{f"lognormal {s}": rng.normal(0, s, N) for s in (0.01, 0.3, 1.5, 3.0)},
        "constant": np.full(N, 3.21),
        "30 % ties": ties,
        "ties just below an edge": np.full(N, np.nextafter(width, 0)),
        "integer zipf": np.log(rng.zipf(1.5, N).astype(np.float64)),
        "gap at q90": np.concatenate((narrow[: N * 9 // 10], narrow[N * 9 // 10 :] + 30)),
        "gap beside q90": np.concatenate(
            (narrow[: N * 9 // 10 + 1], narrow[N * 9 // 10 + 1 :] + 3)
        ),
        "one user": np.array([0.5]),
        "two users": np.array([0.5, 7.5]),
        "two users far apart": np.array([-700.0, 700.0]),
        "eleven users": rng.normal(0, 2, 11),
        "all zero": np.full(50, -np.inf),
        "half zero": np.where(rng.random(N) < 0.5, -np.inf, model),
        "zero and one": np.array([-np.inf, 2.0]),
        "at +-700": np.where(rng.random(N) < 0.5, model / 10 - 700, model / 10 + 700),
        **{f"landmark {shift:.0e}": model + shift for shift in (1e3, 1e5, 1e7)},
        "outlier beside 1e6": np.concatenate((model + 1e6, [-700.0])),
        "spread over 1e7": rng.uniform(0, 1e7, 3_000),
        "on bucket edges": rng.integers(-2_000, 2_000, N) * width,
    }


SCORES = _scores()


def _sketch(z: Floats, alpha: float = ALPHA) -> QuantileSketch:
    sketch = QuantileSketch(alpha)
    sketch.insert_many(z)
    return sketch


def _relative_error(z: Floats, q: float, answer: float) -> float:
    """|answer - numpy's quantile| / numpy's, in score, scaled so that nothing overflows."""
    upper = np.sort(z)[math.ceil(q * (z.size - 1))]
    if upper == -np.inf:
        return 0.0 if answer == -np.inf else math.inf
    with np.errstate(under="ignore"):
        expected = np.quantile(np.exp(np.minimum(z - upper, 700.0)), q)
        difference = abs(np.exp(answer - upper) - expected)
    return 0.0 if difference == 0 else float(difference / expected)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("q", QUANTILES)
def test_a_quantile_is_within_alpha_of_numpys_linear_percentile_of_the_scores(
    name: str, q: float
) -> None:
    z = SCORES[name]
    assert _relative_error(z, q, _sketch(z).get_quantile(q)) <= ALPHA


@pytest.mark.parametrize("alpha", [0.2, 0.01, 1e-4])
@pytest.mark.parametrize("name", ["model", "30 % ties", "gap at q90", "half zero"])
def test_the_bound_holds_at_other_accuracies_and_after_coarsening(name: str, alpha: float) -> None:
    z = SCORES[name]
    sketch = _sketch(z, alpha)
    for _ in range(3):
        for q in QUANTILES:
            error = _relative_error(z, q, sketch.get_quantile(q))
            assert error <= sketch.relative_accuracy
        sketch.coarsen()
    assert sketch.relative_accuracy == pytest.approx((1 + alpha) ** 8 - 1)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("q", QUANTILES)
def test_the_rank_of_the_answer_is_within_its_certificate(name: str, q: float) -> None:
    z, sketch = SCORES[name], _sketch(SCORES[name])
    answer = sketch.get_quantile(q)
    below, up_to = np.count_nonzero(z < answer), np.count_nonzero(z <= answer)
    distance = max(below / z.size - q, q - up_to / z.size, 0.0)
    assert distance <= sketch.rank_error(q) + 1e-12
    assert 0 < sketch.rank_error(q) <= 1


def test_the_certificate_is_small_where_the_data_are_dense() -> None:
    sketch = _sketch(SCORES["model"])
    assert sketch.rank_error(0.9) < 1e-3
    assert _sketch(SCORES["constant"]).rank_error(0.9) == 1.0
    assert _sketch(SCORES["gap at q90"]).rank_error(0.9) <= 2 / N


@pytest.mark.parametrize("name", SCORES)
def test_a_quantile_never_falls_when_q_rises(name: str) -> None:
    sketch = _sketch(SCORES[name][:997])
    answers = [sketch.get_quantile(q) for q in np.linspace(0, 1, 2_003).tolist()]
    assert all(low <= high for low, high in pairwise(answers))


@pytest.mark.parametrize("name", SCORES)
def test_ranks_lie_within_their_bounds_and_rise_with_z(name: str) -> None:
    z, sketch = SCORES[name], _sketch(SCORES[name])
    for value in [*z[:20].tolist(), 0.0, -800.0, 1e9, -math.inf]:
        low, high = sketch.get_rank_bounds(value)
        assert low <= np.count_nonzero(z < value) / z.size
        assert low <= np.count_nonzero(z <= value) / z.size <= high
        assert low <= sketch.get_rank(value) <= high
    ordered = np.sort(z)
    ranks = sketch.get_cdf(ordered)
    assert np.all(np.diff(ranks) >= 0)
    assert ranks[-1] > 1 - 1e-3 or sketch.rank_error(1.0) > 1e-3
    assert sketch.get_rank(math.inf) == 1.0
    assert sketch.count_le(math.inf) == sketch.n


def test_the_rank_of_a_member_is_exact_where_users_do_not_share_a_bucket() -> None:
    z = np.array([-math.inf, -math.inf, -3.0, 0.0, 1.0, 2.0, 700.0])
    sketch = _sketch(z)
    for value in z.tolist():
        assert sketch.get_member_rank(value) == np.count_nonzero(z <= value) / z.size
    assert sketch.get_member_rank(1.5) == 5 / 7


def test_locate_gives_bucket_residual_rank_and_count_of_the_lower_order_statistic() -> None:
    sketch = _sketch(np.array([-math.inf, 0.0001, 0.0002, 0.0003, 5.0]))
    assert sketch.locate(0.0) == (None, 0, 1)
    assert sketch.locate(0.5) == (0, 1, 3)
    assert sketch.locate(1.0) == (math.floor(5.0 * sketch.inverse), 0, 1)
    with pytest.raises(ValueError, match="no value number 5"):
        sketch.locate_index(5)


@pytest.mark.parametrize("name", SCORES)
def test_a_lower_bound_is_below_its_order_statistic_by_less_than_two_buckets(name: str) -> None:
    z, sketch = np.sort(SCORES[name]), _sketch(SCORES[name])
    for index in {0, z.size // 2, z.size - 1}:
        bound = sketch.lower_bound(index)
        assert bound <= z[index]
        assert bound == z[index] or bound >= z[index] - 2 / sketch.inverse


@pytest.mark.parametrize("name", ["lognormal 0.01", "model", "30 % ties", "landmark 1e+05"])
def test_refining_the_bucket_in_every_partition_finds_the_order_statistic(name: str) -> None:
    z = SCORES[name]
    parts = [z[part::3] for part in range(3)]
    level, index = _sketch(z), 9 * N // 10
    for _ in range(2):
        bucket, index, count = level.locate_index(index)
        assert bucket is not None
        level = QuantileSketch.merged(level.refine(bucket, part) for part in parts)
        assert level.n == count
    exact = np.sort(z)[9 * N // 10]
    assert level.order_statistic(index) == pytest.approx(exact, abs=ALPHA * 2**-19)


def test_refining_leaves_out_zeros_and_takes_a_power_of_two() -> None:
    sketch = _sketch(np.array([-math.inf, 0.0001, 0.5]))
    assert sketch.refine(0, np.array([-math.inf, 0.0001, 0.5])).n == 1
    for fanout in (0, 3, -4, 1 << 60):
        with pytest.raises(ValueError, match=r"fanout|level"):
            sketch.refine(0, np.array([0.0001]), fanout)


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_a_quantile_outside_0_to_1_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="q must be"):
        _sketch(SCORES["model"]).get_quantile(q)


def test_an_empty_sketch_has_no_quantiles_or_ranks() -> None:
    sketch = QuantileSketch()
    assert sketch.n == 0
    assert sketch.count_le(1.0) == 0
    questions: list[Callable[[], object]] = [
        lambda: sketch.get_quantile(0.5),
        lambda: sketch.rank_error(0.5),
        lambda: sketch.get_rank(0.0),
        lambda: sketch.get_member_rank(0.0),
        lambda: sketch.get_cdf([0.0]),
        lambda: sketch.get_rank_bounds(0.0),
    ]
    for question in questions:
        with pytest.raises(ValueError, match="empty"):
            question()


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e300])
def test_nan_and_infinity_are_refused_alone_and_in_batches_and_change_nothing(bad: float) -> None:
    sketch = _sketch(np.array([1.0, 2.0, -math.inf]))
    before = sketch.serialize()
    batch = np.array([1.0, bad])
    attempts: list[Callable[[], object]] = [
        lambda: sketch.insert(bad),
        lambda: sketch.delete(bad),
        lambda: sketch.replace(1.0, bad),
        lambda: sketch.replace(bad, 1.0),
        lambda: sketch.replace(-math.inf, bad),
        lambda: sketch.insert_many(batch),
        lambda: sketch.delete_many(batch),
        lambda: sketch.replace_many([1.0, 2.0], batch),
        lambda: sketch.replace_many(batch, [1.0, 2.0]),
        lambda: sketch.rebuild(batch),
    ]
    for attempt in attempts:
        with pytest.raises(ValueError, match=r"z |taken out"):
            attempt()
        assert sketch.serialize() == before
    if math.isnan(bad):
        with pytest.raises(ValueError, match="NaN"):
            sketch.get_rank(bad)


def test_taking_out_what_is_not_there_raises_and_changes_nothing() -> None:
    sketch = _sketch(np.array([1.0, 2.0, 2.0]))
    before = sketch.serialize()
    attempts: list[Callable[[], object]] = [
        lambda: sketch.delete(3.0),
        lambda: sketch.delete(1e6),
        lambda: sketch.delete(-math.inf),
        lambda: sketch.replace(3.0, 1.0),
        lambda: sketch.replace(-math.inf, 1.0),
        lambda: sketch.replace(-1e6, 1.0),
        lambda: sketch.delete_many([1.0, 1.0]),
        lambda: sketch.delete_many([2.0, -math.inf]),
        lambda: sketch.replace_many([1.0, 3.0], [1.0, 1.0]),
        lambda: sketch.subtract(_sketch(np.array([1.0, 1.0]))),
        lambda: sketch.subtract(_sketch(np.array([-math.inf]))),
    ]
    for attempt in attempts:
        with pytest.raises(MissingValueError):
            attempt()
        assert sketch.serialize() == before


def test_replacing_what_is_not_there_raises_among_many_values_too() -> None:
    sketch = _sketch(SCORES["model"])
    before = sketch.serialize()
    absent = math.nextafter(max(SCORES["model"]), math.inf) + 0.01
    with pytest.raises(MissingValueError):
        sketch.replace(absent, 1.0)
    assert sketch.serialize() == before


def test_replacing_within_one_bucket_does_nothing() -> None:
    sketch = _sketch(np.array([0.0001]))
    sketch.replace(0.0001, 0.0002)
    sketch.replace(-math.inf, -math.inf)
    assert sketch == _sketch(np.array([0.0002]))


def test_batches_have_one_dimension_and_pairs_have_one_length() -> None:
    sketch = QuantileSketch()
    with pytest.raises(ValueError, match="dimension"):
        sketch.insert_many(np.zeros((2, 2)))
    for values in (1.0, np.zeros((2, 2))):
        with pytest.raises(ValueError, match="dimension"):
            sketch.rebuild(values)
    with pytest.raises(ValueError, match="shape"):
        sketch.replace_many([1.0], [1.0, 2.0])


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0, math.nan, 1e-12])
def test_a_relative_accuracy_outside_0_to_1_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="relative_accuracy"):
        QuantileSketch(alpha)


def test_a_floor_out_of_range_or_falling_is_refused() -> None:
    with pytest.raises(ValueError, match="k_min"):
        QuantileSketch(k_min=BUCKET_LIMIT)
    sketch = QuantileSketch(k_min=5)
    with pytest.raises(ValueError, match="may only rise"):
        sketch.raise_k_min(4)
    with pytest.raises(ValueError, match="coarsen"):
        sketch.coarsen(-1)


def test_outliers_cost_no_more_memory_than_an_entry_each() -> None:
    sketch = QuantileSketch()
    z = SCORES["spread over 1e7"]
    for value in [*z.tolist(), -700.0, 1e6]:
        sketch.insert(value)
    assert sketch.store.window.nbytes < 1 << 20
    assert sketch == _sketch(np.concatenate((z, [-700.0, 1e6])))


def test_the_window_follows_scores_that_drift_upwards() -> None:
    sketch, width = QuantileSketch(), 1 / QuantileSketch().inverse
    values = [0.0] * 500
    for step in range(40_000):
        new = step * 10 * width
        sketch_old, values[step % 500] = values[step % 500], new
        if step < 500:
            sketch.insert(new)
        else:
            sketch.replace(sketch_old, new)
    assert sketch == _sketch(np.array(values))
    assert sketch.store.window.nbytes < 1 << 20
    assert sketch.store.low > 0
