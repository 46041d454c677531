"""Posts on which the article's method has something to decide, by chance but always the same."""

from __future__ import annotations

import random
from collections.abc import Callable

from stream_app.encoder.reference import reference_texts
from stream_app.messages import Post
from tests.builders import NOON, make_post

HOUR_MS = 3_600_000
#: more tokens than GPT-2 has positions, whatever the vocabulary
LONG_TEXT = "The chipmaker beats estimates again. 芯片制造商再次超出预期。 " * 200


def one_text_each(users: int, seed: int = 1) -> list[Post]:
    """As in the article: every user with one text and known followers."""
    chance = random.Random(seed)
    text = _texts(chance)
    return [
        make_post(
            id="only",
            user_id=f"u{number}",
            text=text(),
            created_at=NOON + number * HOUR_MS,
            follower_count=_followers(chance),
        )
        for number in range(users)
    ]


def several_texts_each(users: int, seed: int = 2) -> list[Post]:
    """Up to five posts of a user, in the order of observation, with all that can be awkward.

    Posts observed again with another text and other followers, followers that nobody knows or that
    are 0, an empty text, one beyond the model's positions, and the same text from several users.
    """
    chance = random.Random(seed)
    text = _texts(chance)
    posts: list[Post] = []
    for number in range(users):
        known = chance.random() < 0.9
        for place in range(chance.randint(1, 5)):
            post = make_post(
                id=f"p{place}",
                user_id=f"u{number}",
                text=text(),
                created_at=NOON + place * 50 * HOUR_MS + number * 60_000,
                follower_count=_followers(chance) if known and chance.random() < 0.8 else None,
            )
            posts.append(post)
            if chance.random() < 0.3:
                posts.append(_again(post, chance, _followers(chance) if known else None))
    posts[0:0] = [make_post(id="long", user_id="u1", text=LONG_TEXT, created_at=NOON - HOUR_MS)]
    posts[0:0] = [make_post(id="empty", user_id="u2", text="", created_at=NOON - HOUR_MS)]
    posts[0:0] = [make_post(user_id="nobody", text=text(), created_at=NOON, follower_count=0)]
    return sorted(posts, key=lambda post: post.observed_at)


def _again(post: Post, chance: random.Random, followers: int | None) -> Post:
    return make_post(
        id=post.id,
        user_id=post.user_id,
        text=post.text + " (edited)",
        created_at=post.created_at,
        observed_at=post.created_at + chance.randint(1, 100) * HOUR_MS,
        follower_count=followers,
        like_count=chance.randint(0, 99),
    )


def _texts(chance: random.Random) -> Callable[[], str]:
    """One to three public posts, English or Chinese, joined to a text."""
    sources = reference_texts()
    return lambda: " ".join(chance.sample(sources, chance.randint(1, 3)))


def _followers(chance: random.Random) -> int:
    return int(chance.lognormvariate(6, 2))
