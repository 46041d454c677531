import math

import pytest

from stream_app.core.scheme import NEUTRAL_REACH, PRESETS
from tests.schemes import DAY_MS, KOL, TOP, make_scheme


def test_the_presets_are_those_of_the_contract() -> None:
    assert PRESETS == {
        "influence": {"reach": 0.3, "attention": 0.3, "resonance": 0.4, "text": 0.1},
        "resonance": {"reach": 0.1, "attention": 0.1, "resonance": 0.8, "text": 0.1},
        "volume": {"reach": 0.3, "attention": 0.7, "resonance": 0.0, "text": 0.1},
        "article": {"reach": 1.0, "text": 1.0},
    }


def test_scores_fall_by_the_exponent_of_attention_in_each_half_life() -> None:
    scheme = make_scheme()
    now = scheme.score_at(1.0, 0)
    assert now == pytest.approx(math.e)
    assert scheme.score_at(1.0, 30 * DAY_MS) == pytest.approx(now * 0.5**0.3)


def test_a_logarithm_of_minus_infinity_is_a_score_of_zero() -> None:
    assert make_scheme().score_at(-math.inf, DAY_MS) == 0.0


def test_scores_stay_finite_numbers() -> None:
    scheme = make_scheme()
    assert math.isfinite(scheme.score_at(1e9, 0))
    assert scheme.score_at(-1e9, 0) == 0.0


def test_a_score_that_would_not_decay_is_refused() -> None:
    with pytest.raises(ValueError, match="attention must be above 0"):
        make_scheme(exponents=PRESETS["influence"] | {"attention": 0.0})


def test_the_article_knows_no_decay() -> None:
    scheme = make_scheme(preset="article")
    assert scheme.is_article
    assert scheme.score_at(2.0, 0) == scheme.score_at(2.0, 10**13)


def test_the_article_assumes_no_followers_of_anybody() -> None:
    assert make_scheme(preset="article").neutral_reach == 0
    assert make_scheme().neutral_reach == NEUTRAL_REACH


def test_weights_are_laid_out_as_counts_and_kinds_are() -> None:
    scheme = make_scheme()
    assert scheme.count_weights == (1.0, 2.0, 3.0, 3.0, 2.0, 0.0)
    assert scheme.kind_weights == (1.0, 2.0, 3.0, 3.0, 1.0, 2.0)


def test_levels_count_the_configured_tiers_from_the_lowest() -> None:
    scheme = make_scheme(tiers=(KOL, TOP))
    assert [scheme.level_of(name) for name in (None, "kol", "top", "gone")] == [0, 1, 2, -1]


def test_the_formula_is_named_by_what_a_stored_logarithm_depends_on() -> None:
    scheme = make_scheme()
    assert make_scheme().formula == scheme.formula
    assert make_scheme(leave_margin=0.2, tiers=(TOP,)).formula == scheme.formula
    others = [
        make_scheme(preset="volume"),
        make_scheme(exponents=PRESETS["influence"] | {"reach": 0.31}),
        make_scheme(neutral_reach=1),
    ]
    assert len({scheme.formula, *(other.formula for other in others)}) == 4
