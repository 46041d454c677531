"""Rows folded one event at a time equal a slow recomputation from all events."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.columns import Columns
from stream_app.core.scheme import Scheme
from stream_app.core.standing import attention_at, standing_of
from stream_app.core.tiers import draw
from tests.histories import Event, features_of, fold_all, histories
from tests.oracle import Oracle
from tests.schemes import DAY_MS, KOL, make_scheme

#: Memories of all sizes against histories of up to six posts and nine interaction ids.
schemes = st.builds(
    make_scheme,
    preset=st.sampled_from(["influence", "resonance", "volume"]),
    half_life_ms=st.sampled_from([1.0 * DAY_MS, 30.0 * DAY_MS]),
    post_memory=st.integers(1, 7),
    interaction_memory=st.integers(1, 9),
)


def near(value: float) -> Any:
    """Equal within 1e-9, relatively."""
    return pytest.approx(value, rel=1e-9, abs=1e-12)


def assert_equal(scheme: Scheme, events: list[Event]) -> None:
    rows = fold_all(events, scheme)
    oracle = Oracle(scheme, features_of).take(events)
    assert rows.keys() == oracle.users.keys()
    now = oracle.high_mark or 0
    for key, user in oracle.users.items():
        standing = standing_of(rows[key], scheme)
        assert rows[key].posts == len(user.posts)
        if standing is None:
            assert user.score(now) == 0.0
            continue
        assert standing.z - scheme.kappa * now == near(math.log(user.score(now)))
        assert scheme.score_at(standing.z, now) == near(user.score(now))
        if scheme.is_article:
            continue
        assert standing.reach == user.reach()
        assert attention_at(standing, now, scheme) == near(user.attention(now))
        assert standing.resonance == near(user.resonance())
        assert standing.text == near(user.text())
        assert standing.newest_post_at == user.newest_post_at


@given(schemes, histories(users=2))
def test_factors_and_score_equal_the_offline_recomputation(
    scheme: Scheme, events: list[Event]
) -> None:
    assert_equal(scheme, events)


@given(st.integers(1, 4), histories(ids=12, max_size=40))
def test_more_posts_than_memory_count_once_each(post_memory: int, events: list[Event]) -> None:
    assert_equal(make_scheme(post_memory=post_memory), events)


@given(histories(users=30, ids=3, max_size=40), st.sampled_from([0.5, 0.9]))
def test_the_line_is_numpys_percentile_of_the_current_scores(
    events: list[Event], quantile: float
) -> None:
    tier = type(KOL)(name="kol", quantile=quantile, min_population=1)
    scheme = make_scheme(tiers=(tier,), active_window_ms=10 * DAY_MS)
    oracle = Oracle(scheme, features_of).take(events)
    now = oracle.high_mark or 0
    columns = Columns()
    for key, row in fold_all(events, scheme).items():
        standing = standing_of(row, scheme)
        if standing is not None:
            columns.update(key.encode(), standing.z, standing.newest_post_at, True, 0)
    columns.expire(now - 10 * DAY_MS)
    line = draw(columns.sketch, scheme)[0]
    expected = oracle.threshold(quantile, now)
    assert columns.sketch.n == len(oracle.population(now))
    if expected is None:
        assert line.enter_z is None
    else:
        assert line.enter_z is not None
        assert scheme.score_at(line.enter_z, now) == pytest.approx(expected, rel=1e-3)


def test_the_oracle_itself_gives_what_the_contract_says_of_one_small_case() -> None:
    """Two posts a half-life apart, worked out by hand."""
    from tests.builders import NOON, make_interaction, make_post

    half_life = 30 * DAY_MS
    scheme = make_scheme()
    old = make_post(id="a", text="Shares fall on weak outlook.", like_count=3, follower_count=99)
    new = make_post(id="b", text="今天天气很好", created_at=NOON + half_life, reply_count=1)
    like = make_interaction(target_post_id="a", created_at=NOON + half_life)
    follow = make_interaction(id="i2", kind="follow", target_post_id=None, created_at=NOON)
    oracle = Oracle(scheme, features_of).take([old, new, like, follow])
    user = oracle.users["twitter:u1"]
    now = NOON + half_life
    assert user.attention(now) == pytest.approx(0.5 * (1 + 3 + 1) + 1 * (1 + 2) + 0.5 * 2)
    assert user.resonance() == pytest.approx(math.exp((0.5 * math.log(5) + math.log(3)) / 1.5))
    assert user.text() == 1.0
    assert user.score(now) == pytest.approx(
        100**0.3 * user.attention(now) ** 0.3 * user.resonance() ** 0.4
    )
    assert oracle.threshold(0.9, now) == pytest.approx(np.float64(user.score(now)))
