"""Random histories of a few users, for laws of the fold; times are crowded so that ties happen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

from stream_app.core.aggregate import (
    Outcome,
    fold_interaction,
    fold_post,
    needs_features,
    new_row,
)
from stream_app.core.row import UserRow
from stream_app.core.scheme import Scheme
from stream_app.messages import KINDS, Interaction, Post, TextFeatures
from tests.builders import NOON, make_interaction, make_post
from tests.fakes import FakeEncoder
from tests.schemes import DAY_MS

Event = Post | Interaction

#: Few, so that people repeat themselves; "" and "x" have no signature.
TEXTS = ("", "x", "Shares fall on weak outlook.", "Shares rise on strong outlook.", "今天天气很好")
_FEATURES = dict(zip(TEXTS, FakeEncoder().encode(TEXTS), strict=True))

offsets = st.integers(0, 12) | st.integers(0, 200)
counts = st.none() | st.integers(0, 5) | st.integers(0, 100_000)


def features_of(text: str) -> TextFeatures:
    """What the fake encoder finds; remembered, since laws ask often."""
    return _FEATURES[text]


@st.composite
def posts(draw: st.DrawFn, *, users: int = 1, ids: int = 6) -> Post:
    created_at = NOON + draw(offsets) * DAY_MS // 4
    return make_post(
        id=f"p{draw(st.integers(1, ids))}",
        user_id=f"u{draw(st.integers(1, users))}",
        text=draw(st.sampled_from(TEXTS)),
        created_at=created_at,
        observed_at=created_at + draw(st.sampled_from([0, 1, 60_000, DAY_MS, 9 * DAY_MS])),
        follower_count=draw(counts),
        like_count=draw(counts),
        reply_count=draw(counts),
        repost_count=draw(st.none() | st.integers(0, 9)),
        view_count=draw(counts),
    )


@st.composite
def interactions(draw: st.DrawFn, *, users: int = 1, ids: int = 6) -> Interaction:
    return make_interaction(
        id=f"i{draw(st.integers(1, 9))}",
        kind=draw(st.sampled_from(KINDS)),
        actor_id=f"u{draw(st.integers(1, users + 3))}",
        target_user_id=f"u{draw(st.integers(1, users))}",
        target_post_id=draw(st.none() | st.integers(1, ids).map(lambda number: f"p{number}")),
        created_at=NOON + draw(offsets) * DAY_MS // 4,
    )


def histories(
    *, users: int = 1, ids: int = 6, max_size: int = 25
) -> st.SearchStrategy[list[Event]]:
    """Events in the order they arrive."""
    event: st.SearchStrategy[Event] = posts(users=users, ids=ids) | interactions(
        users=users, ids=ids
    )
    return st.lists(event, max_size=max_size)


def fold(rows: dict[str, UserRow], event: Event, scheme: Scheme) -> Outcome | None:
    """Fold one event as the engine does; None for an interaction of somebody with herself."""
    if isinstance(event, Interaction) and event.actor_id == event.target_user_id:
        return None
    if event.key not in rows:
        user_id = event.user_id if isinstance(event, Post) else event.target_user_id
        rows[event.key] = new_row(event.platform, user_id)
    row = rows[event.key]
    if isinstance(event, Interaction):
        return fold_interaction(row, event, scheme)
    needed = needs_features(row, event, scheme)
    return fold_post(row, event, features_of(event.text) if needed else None, scheme)


def fold_all(events: Iterable[Event], scheme: Scheme) -> dict[str, UserRow]:
    """The rows of all users after these events."""
    rows: dict[str, UserRow] = {}
    for event in events:
        fold(rows, event, scheme)
    return rows


def row_after(events: Sequence[Event], scheme: Scheme) -> UserRow:
    """The row of `twitter:u1`."""
    return fold_all(events, scheme).get("twitter:u1", new_row("twitter", "u1"))
