"""What is kept beside a row is what would be worked out of its bytes."""

import pytest
from hypothesis import given
from msgspec import structs

from stream_app.core.aggregate import MOST_URLS, copy_row, fold_interaction, fold_post, new_row
from stream_app.core.memo import Memo, memo_of
from stream_app.core.row import UserRow, encode_row
from stream_app.core.standing import standing_of, z_of
from stream_app.messages import Post
from tests.builders import NOON, make_post
from tests.histories import Event, features_of, histories
from tests.schemes import make_scheme

#: So small that posts are let go.
SCHEME = make_scheme(post_memory=4, interaction_memory=3)


def fold(row: UserRow, event: Event) -> None:
    if isinstance(event, Post):
        fold_post(row, event, features_of(event.text), SCHEME)
    else:
        fold_interaction(row, event, SCHEME)


@given(histories())
def test_a_row_in_memory_stands_as_its_bytes_do_after_each_event(events: list[Event]) -> None:
    row = new_row("twitter", "u1")
    for event in events:
        fold(row, event)
        read_back = copy_row(row)
        assert standing_of(row, SCHEME) == standing_of(read_back, SCHEME)
        assert z_of(row, SCHEME) == z_of(read_back, SCHEME)
        assert encode_row(row, 0.0, 1) == encode_row(read_back, 0.0, 1)
        fresh, kept = Memo(row), memo_of(row)
        assert (kept.posts, kept.signatures) == (fresh.posts, fresh.signatures)


def test_another_half_life_asks_for_other_sums() -> None:
    row = new_row("twitter", "u1")
    for day in range(3):
        post = make_post(id=f"p{day}", created_at=NOON + day * 86_400_000)
        fold_post(row, post, features_of(""), SCHEME)
    other = make_scheme(half_life_ms=86_400_000.0)
    assert z_of(row, SCHEME) != z_of(row, other)
    assert z_of(row, other) == z_of(copy_row(row), other)


@pytest.mark.parametrize("url", [None, "https://example.org/"])
def test_the_bytes_of_a_busy_row_follow_it(url: str | None) -> None:
    scheme = make_scheme(post_memory=MOST_URLS + 8)
    row = new_row("twitter", "u1")
    for number in range(2 * MOST_URLS + 20):
        post = make_post(id=f"p{number}", url=url)
        created_at = NOON + 1000 * (number if number % 7 else number - 9)
        moved = structs.replace(post, created_at=created_at, observed_at=created_at)
        fold_post(row, moved, features_of(""), scheme)
        assert encode_row(row, 0.0, 1) == encode_row(copy_row(row), 0.0, 1)
