"""Factors and what they multiply up to; equality with the oracle is in test_oracle."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.aggregate import new_row
from stream_app.core.scheme import Scheme
from stream_app.core.standing import Standing, explain, standing_of
from tests.builders import NOON, make_interaction, make_post
from tests.histories import Event, features_of, fold_all, histories, row_after
from tests.oracle import Oracle
from tests.schemes import DAY_MS, make_scheme

SCHEME = make_scheme()
ARTICLE = make_scheme(preset="article", active_window_ms=None, leave_margin=0.0)
TEXT = "Shares fall on weak outlook."


def standing(*events: Event, scheme: Scheme = SCHEME) -> Standing:
    found = standing_of(row_after(events, scheme), scheme)
    assert found is not None
    return found


def test_a_user_without_posts_has_no_standing() -> None:
    assert standing_of(new_row("x", "1"), SCHEME) is None
    follow = make_interaction(kind="follow", target_post_id=None)
    assert standing_of(row_after([follow], SCHEME), SCHEME) is None


def test_a_standing_names_the_user_as_messages_do() -> None:
    found = standing(make_post(text=TEXT, handle="h", display_name="d", follower_count=3))
    user = found.user()
    assert (user.key, user.platform, user.user_id) == ("twitter:u1", "twitter", "u1")
    assert (user.handle, user.display_name, user.follower_count) == ("h", "d", 3)


def test_reach_is_shown_as_one_plus_followers_and_whether_they_are_known() -> None:
    for followers, value, known in ((99, 100.0, True), (None, 1.0 + SCHEME.neutral_reach, False)):
        found = standing(make_post(text=TEXT, follower_count=followers))
        reach = explain(found, NOON, SCHEME)[0]
        assert (reach.name, reach.value, reach.known) == ("reach", value, known)
        assert reach.exponent == 0.3
        assert reach.contribution == pytest.approx(0.3 * math.log(value))


def test_decayed_values_are_as_of_the_newest_event_that_counts() -> None:
    follow = make_interaction(kind="follow", target_post_id=None, created_at=NOON + 30 * DAY_MS)
    found = standing(make_post(text=TEXT, like_count=3), follow)
    assert (found.as_of, found.newest_post_at) == (NOON + 30 * DAY_MS, NOON)
    assert found.decayed_posts == pytest.approx(0.5)
    assert found.log_engagement == pytest.approx(math.log(4))
    assert found.attention == pytest.approx(0.5 * 4 + 2)


def test_a_post_from_the_future_can_be_explained_as_of_now() -> None:
    """Its time was set to the record's, which in a replay is years after the high mark."""
    scheme = make_scheme(half_life_ms=60_000.0)
    found = standing(make_post(text=TEXT, created_at=NOON + 4000 * DAY_MS), scheme=scheme)
    factors = explain(found, NOON, scheme)
    assert all(math.isfinite(factor.value) for factor in factors)
    assert math.isfinite(scheme.score_at(found.z, NOON))


def test_contributions_are_null_where_the_score_has_faded_to_zero() -> None:
    found = standing(make_post(text=TEXT))
    long_after = NOON + 200_000 * DAY_MS
    assert SCHEME.score_at(found.z, long_after) == 0.0
    assert [f.contribution for f in explain(found, long_after, SCHEME)] == [None] * 4


# -- preset article


def test_the_article_multiplies_followers_and_the_mean_norm() -> None:
    events = [
        make_post(text=TEXT, follower_count=10),
        make_post(id="b", text="今天天气很好", created_at=NOON + 400 * DAY_MS, like_count=10**6),
    ]
    found = standing(*events, scheme=ARTICLE)
    mean = sum(features_of(event.text).logits_norm or 0.0 for event in events) / 2
    assert math.exp(found.z) == pytest.approx(10 * mean)
    factors = explain(found, NOON + 10**12, ARTICLE)
    assert [(f.name, f.exponent) for f in factors] == [("reach", 1.0), ("text", 1.0)]
    assert [f.value for f in factors] == [10.0, mean]
    total = sum(f.contribution for f in factors if f.contribution is not None)
    assert total == pytest.approx(found.z, abs=1e-9)


@pytest.mark.parametrize(("text", "followers"), [(TEXT, None), (TEXT, 0), ("", 5)])
def test_the_article_gives_zero_to_unknown_followers_and_to_empty_texts(
    text: str, followers: int | None
) -> None:
    found = standing(make_post(text=text, follower_count=followers), scheme=ARTICLE)
    assert found.z == -math.inf
    factors = explain(found, NOON, ARTICLE)
    assert factors[0].value == float(followers or 0)
    assert factors[0].known is (followers is not None)
    assert [factor.contribution for factor in factors] == [None, None]


@given(histories(users=2), st.integers(1, 7))
def test_the_article_preset_equals_the_oracle(events: list[Event], post_memory: int) -> None:
    scheme = make_scheme(preset="article", active_window_ms=None, post_memory=post_memory)
    oracle = Oracle(scheme, features_of).take(events)
    for key, row in fold_all(events, scheme).items():
        found = standing_of(row, scheme)
        score = scheme.score_at(found.z, NOON) if found is not None else 0.0
        assert score == pytest.approx(oracle.users[key].score(NOON), rel=1e-9)
