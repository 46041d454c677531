"""Laws of the fold over random histories: repeats, order, saving and reloading."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.aggregate import copy_row
from stream_app.core.row import UserRow, decode_row, encode_row
from stream_app.core.standing import Standing, explain, standing_of
from stream_app.messages import Interaction, Post
from tests.builders import NOON, make_interaction, make_post
from tests.histories import TEXTS, Event, fold, fold_all, histories, interactions, posts, row_after
from tests.schemes import DAY_MS, make_scheme

SCHEME = make_scheme()
SMALL = make_scheme(post_memory=3, interaction_memory=3)


def near(value: float) -> Any:
    """Equal within 1e-9, relative or absolute."""
    return pytest.approx(value, rel=1e-9, abs=1e-9)


def standing(row: UserRow, **changes: Any) -> Standing:
    found = standing_of(row, make_scheme(**changes))
    assert found is not None
    return found


def assert_alike(one: UserRow, other: UserRow) -> None:
    """The same factors and score; remembered things the same, in whatever order they were heard."""
    ours, theirs = standing_of(one, SCHEME), standing_of(other, SCHEME)
    if ours is None or theirs is None:
        assert ours is theirs is None
        assert sorted(i.id for i in one.heard) == sorted(i.id for i in other.heard)
        return
    assert ours.z == near(theirs.z)
    at = max(ours.as_of, theirs.as_of)
    for our, their in zip(explain(ours, at, SCHEME), explain(theirs, at, SCHEME), strict=True):
        assert our.value == near(their.value)
    assert (ours.posts, ours.newest_post_at) == (theirs.posts, theirs.newest_post_at)


@given(histories(), st.data())
def test_replaying_the_latest_events_changes_nothing(
    events: list[Event], data: st.DataObject
) -> None:
    """What a crash makes to be seen again is a tail of what was seen, here within memory."""
    tail = data.draw(st.integers(0, min(len(events), 3)))
    rows = fold_all(events, SCHEME)
    before = {key: copy_row(row) for key, row in rows.items()}
    for event in events[len(events) - tail :]:
        fold(rows, event, SCHEME)
    assert rows == before


@given(histories(ids=8))
def test_saving_and_reloading_between_any_two_events_changes_nothing(events: list[Event]) -> None:
    rows: dict[str, UserRow] = {}
    for event in events:
        fold(rows, event, SMALL)
        rows = {key: decode_row(encode_row(row, 0.5, 7)) for key, row in rows.items()}
    assert rows == fold_all(events, SMALL)


@given(st.lists(posts(), max_size=10, unique_by=lambda post: post.id).flatmap(
    lambda found: st.tuples(st.just(found), st.permutations(found))
))  # fmt: skip
def test_late_posts_in_any_order_give_the_same_score(orders: tuple[list[Post], list[Post]]) -> None:
    """Within the post memory; followers at equal times are the one thing where the first stays."""
    one, other = ([strip_person(post) for post in order] for order in orders)
    assert_alike(row_after(one, SCHEME), row_after(other, SCHEME))


@given(st.lists(posts(), max_size=8), st.lists(interactions(), max_size=8), st.data())
def test_the_order_of_posts_and_interactions_does_not_matter(
    published: list[Post], heard: list[Interaction], data: st.DataObject
) -> None:
    """Each topic keeps its own order; how the two interleave is chance."""
    mixed = interleave(published, heard, data.draw(st.lists(st.booleans(), max_size=16)))
    expected = row_after([*published, *heard], SCHEME)
    assert_alike(row_after(mixed, SCHEME), expected)
    assert_alike(row_after([*heard, *published], SCHEME), expected)


@given(posts(), posts(), st.integers(1, 9))
def test_a_newer_observation_then_an_older_one_equals_the_newer_alone(
    one: Post, other: Post, gap: int
) -> None:
    newer = make_post(**fields(one) | {"id": "p", "created_at": NOON, "observed_at": NOON + gap})
    older = make_post(
        **fields(other) | {"id": "p", "created_at": NOON, "observed_at": NOON + gap - 1}
    )
    both, alone = row_after([newer, strip_person(older)], SCHEME), row_after([newer], SCHEME)
    assert_alike(both, alone)
    assert both.remembered == alone.remembered


@given(histories(), st.floats(0, 5000))
def test_the_landmark_score_stays_put_while_the_user_is_idle(
    events: list[Event], idle_days: float
) -> None:
    """And the score shown falls by the half-life: attention^b halves b times in each."""
    row = row_after(events, SCHEME)
    found = standing_of(row, SCHEME)
    if found is None:
        return
    later = found.as_of + round(idle_days * DAY_MS)
    half_lives = (later - found.as_of) / SCHEME.half_life_ms
    fallen = 0.5 ** (SCHEME.exponents["attention"] * half_lives)
    now = SCHEME.score_at(found.z, found.as_of)
    assert SCHEME.score_at(found.z, later) == pytest.approx(now * fallen, rel=1e-9)
    assert standing_of(row, SCHEME) == found


@given(histories(), st.integers(0, 4000), st.sampled_from(["influence", "resonance", "volume"]))
def test_contributions_add_up_to_the_logarithm_of_the_score(
    events: list[Event], idle_days: int, preset: str
) -> None:
    scheme = make_scheme(preset=preset)
    found = standing_of(row_after(events, scheme), scheme)
    if found is None:
        return
    at = found.as_of + idle_days * DAY_MS
    factors = explain(found, at, scheme)
    assert [factor.name for factor in factors] == ["reach", "attention", "resonance", "text"]
    total = math.fsum(f.contribution for f in factors if f.contribution is not None)
    score = scheme.score_at(found.z, at)
    assert total == near(math.log(score))
    for factor in factors:
        assert factor.contribution == near(factor.exponent * math.log(factor.value))


def test_scores_far_back_in_time_do_not_underflow() -> None:
    """Geometric means and z are relative to the row's newest time, however long ago that was."""
    old = [make_post(id=f"p{i}", text=TEXTS[2 + i], created_at=i, like_count=3) for i in (0, 1)]
    found = standing(row_after(old, SCHEME), half_life_ms=60_000.0)
    assert found.attention == pytest.approx(8.0, rel=1e-3)
    assert found.resonance == pytest.approx(4.0)


def interleave(published: list[Post], heard: list[Interaction], picks: list[bool]) -> list[Event]:
    left, right = list(published), list(heard)
    mixed: list[Event] = []
    for pick in picks:
        source: list[Any] = left if pick else right
        if source:
            mixed.append(source.pop(0))
    return [*mixed, *left, *right]


def fields(post: Post) -> dict[str, Any]:
    return {name: getattr(post, name) for name in post.__struct_fields__}


def strip_person(post: Post) -> Post:
    return make_post(**fields(post) | {"follower_count": None})


def test_the_first_of_two_interactions_with_one_id_is_the_one_that_counts() -> None:
    like, follow = make_interaction(), make_interaction(kind="follow")
    assert row_after([like, follow], SCHEME).interactions == [1, 0, 0, 0, 0, 0]
