"""Lines and hysteresis."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.columns import Columns
from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.scheme import Tier
from stream_app.core.tiers import TierLine, decide, draw, percentile
from tests.schemes import KOL, TOP, make_scheme

SCHEME = make_scheme(tiers=(KOL, TOP))


def sketch_of(scores: "np.typing.ArrayLike") -> QuantileSketch:
    sketch = QuantileSketch()
    sketch.insert_many(np.log(np.asarray(scores, np.float64)))
    return sketch


# -- drawing


def test_lines_are_the_tiers_quantiles_and_those_less_the_leave_margin() -> None:
    scores = np.random.default_rng(1).lognormal(3, 2, 5000)
    for line, tier in zip(draw(sketch_of(scores), SCHEME), SCHEME.tiers, strict=True):
        assert (line.name, line.quantile) == (tier.name, tier.quantile)
        assert line.enter_z is not None
        assert line.leave_z is not None
        enter, leave = np.percentile(scores, [100 * tier.quantile, 100 * (tier.quantile - 0.01)])
        assert math.exp(line.enter_z) == pytest.approx(enter, rel=1e-3)
        assert math.exp(line.leave_z) == pytest.approx(leave, rel=1e-3)
        assert line.rank_error is not None
        assert 0 < line.rank_error < 0.01


@pytest.mark.parametrize(("users", "drawn"), [(99, 0), (100, 1), (999, 1), (1000, 2)])
def test_a_tier_has_no_line_below_its_least_population(users: int, drawn: int) -> None:
    lines = draw(sketch_of(np.arange(1, users + 1)), SCHEME)
    assert [line.enter_z is not None for line in lines] == [drawn >= 1, drawn >= 2]
    assert [line.leave_z is not None for line in lines] == [drawn >= 1, drawn >= 2]


def test_nobody_at_all_has_no_line_even_if_none_are_needed() -> None:
    tier = Tier(name="kol", quantile=0.5, min_population=0)
    assert draw(QuantileSketch(), make_scheme(tiers=(tier,)))[0].enter_z is None


def test_a_leave_margin_as_wide_as_the_quantile_leaves_at_the_least_score() -> None:
    tier = Tier(name="kol", quantile=0.1, min_population=1)
    line = draw(sketch_of([2.0, 3.0]), make_scheme(tiers=(tier,), leave_margin=0.3))[0]
    assert line.leave_z is not None
    assert math.exp(line.leave_z) == pytest.approx(2.0, rel=1e-3)


def test_a_line_of_zero_scores_is_entered_with_a_score_of_zero() -> None:
    """As in the article, where score >= threshold makes everybody a KOL then."""
    sketch = QuantileSketch()
    sketch.insert_many(np.full(200, -math.inf))
    line = draw(sketch, make_scheme(leave_margin=0.0))[0]
    assert line.enter_z == -math.inf
    assert decide(-math.inf, counted=True, level=0, lines=[line]) == 1
    assert decide(-math.inf, counted=True, level=1, lines=[line]) == 1


# -- deciding


def line(enter: float | None, leave: float | None, name: str = "kol") -> TierLine:
    return TierLine(name, 0.9, enter, leave)


def test_a_tier_is_entered_at_its_entering_and_left_below_its_leaving_value() -> None:
    lines = [line(2.0, 1.0)]
    levels = [decide(z, counted=True, level=0, lines=lines) for z in (0.9, 1.0, 1.9, 2.0)]
    assert levels == [0, 0, 0, 1]
    levels = [decide(z, counted=True, level=1, lines=lines) for z in (0.9, 1.0, 1.9, 2.0)]
    assert levels == [0, 1, 1, 1]


def test_several_tiers_are_crossed_in_one_step_to_the_final_one() -> None:
    lines = [line(2.0, 1.0), line(5.0, 4.0, "top")]
    assert decide(6.0, counted=True, level=0, lines=lines) == 2
    assert decide(4.5, counted=True, level=0, lines=lines) == 1
    assert decide(4.5, counted=True, level=2, lines=lines) == 2
    assert decide(1.5, counted=True, level=2, lines=lines) == 1  # she has not left the lower one
    assert decide(0.5, counted=True, level=2, lines=lines) == 0


def test_members_stay_while_their_tier_has_no_line_and_nobody_enters() -> None:
    gone = [line(None, None)]
    assert decide(-9.0, counted=True, level=1, lines=gone) == 1
    assert decide(9.0, counted=True, level=0, lines=gone) == 0


def test_one_outside_the_population_is_in_no_tier_with_or_without_a_line() -> None:
    for lines in ([line(None, None)], [line(2.0, 1.0)]):
        assert decide(9.0, counted=False, level=1, lines=lines) == 0


def test_a_tier_that_is_no_longer_configured_decides_afresh() -> None:
    lines = [line(2.0, 1.0)]
    assert decide(1.5, counted=True, level=-1, lines=lines) == 0
    assert decide(2.5, counted=True, level=-1, lines=lines) == 1


zs = st.floats(-10, 10) | st.sampled_from([-1.0, 0.0, 1.0, 2.0])


@st.composite
def tiers(draw: st.DrawFn) -> list[TierLine]:
    """Up to three tiers as lines are drawn: enter >= leave, both ascending; some without a line."""
    count = draw(st.integers(1, 3))
    values = sorted(draw(st.lists(zs, min_size=2 * count, max_size=2 * count)))
    leaves, enters = values[:count], values[count:]
    found = [line(enters[i], leaves[i], f"t{i}") for i in range(count)]
    missing = draw(st.integers(0, count))
    return found[: count - missing] + [line(None, None, f"t{i}") for i in range(missing)]


@given(zs, st.integers(0, 3), tiers())
def test_there_is_no_change_without_crossing(z: float, level: int, lines: list[TierLine]) -> None:
    level = min(level, len(lines))
    new = decide(z, counted=True, level=level, lines=lines)
    if new > level:
        enter = lines[new - 1].enter_z
        assert enter is not None
        assert z >= enter
    if new < level:
        leave = lines[level - 1].leave_z
        assert leave is not None
        assert z < leave


@given(zs, tiers(), st.data())
def test_a_score_between_leave_and_enter_never_changes_the_tier(
    z: float, lines: list[TierLine], data: st.DataObject
) -> None:
    level = data.draw(st.integers(0, len(lines)))
    up = lines[level].enter_z if level < len(lines) else None
    down = lines[level - 1].leave_z if level else None
    if (up is None or z < up) and (down is None or z >= down):
        assert decide(z, counted=True, level=level, lines=lines) == level


@given(zs, st.integers(-1, 3), tiers())
def test_deciding_again_changes_nothing(z: float, level: int, lines: list[TierLine]) -> None:
    new = decide(z, counted=True, level=min(level, len(lines)), lines=lines)
    assert decide(z, counted=True, level=new, lines=lines) == new


@given(st.lists(st.tuples(zs, st.integers(-1, 3), st.booleans()), max_size=12), tiers())
def test_whoever_would_change_is_among_the_crossings_of_the_columns(
    users: list[tuple[float, int, bool]], lines: list[TierLine]
) -> None:
    """The scan over all users of a partition may not overlook one whom deciding would move."""
    columns = Columns()
    for number, (z, level, eligible) in enumerate(users):
        columns.update(b"x:%d" % number, z, 0, eligible, min(level, len(lines)))
    found = set(columns.crossings([t.enter_z for t in lines], [t.leave_z for t in lines]).tolist())
    for index, (z, level, eligible) in enumerate(users):
        known = min(level, len(lines))
        if eligible and decide(z, counted=True, level=known, lines=lines) != known:
            assert index in found


# -- placing


def test_the_percentile_is_the_share_of_the_population_scoring_at_most_this() -> None:
    sketch = sketch_of([1.0, 2.0, 3.0, 4.0])
    found = [percentile(sketch, math.log(score)) for score in (1.0, 2.0, 3.0, 4.0)]
    assert found == [25.0, 50.0, 75.0, 100.0]
    assert percentile(QuantileSketch(), 1.0) is None
