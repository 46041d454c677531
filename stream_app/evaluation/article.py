"""The article's batch method, by the letter: followers x norm, one percentile, score >= it.

It shares the encoder with the streaming preset `article` and nothing else, so that each can be
held against the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from stream_app.messages import Post

if TYPE_CHECKING:
    from stream_app.encoder import Encoder

#: texts encoded between two moves of a progress bar: enough that texts of like length meet
_TEXTS_AT_ONCE: Final = 256


@dataclass(frozen=True, kw_only=True)
class ArticleUser:
    """A user as the method sees her."""

    key: str
    #: the newest count that was reported; None where nobody reported any
    followers: int | None
    #: mean over her posts of the Frobenius norm of the logits
    mean_norm: float
    posts: int

    @property
    def score(self) -> float:
        """Followers x mean norm; unknown followers count as none."""
        return (self.followers or 0) * self.mean_norm


@dataclass(frozen=True)
class Verdict:
    """Who is a KOL: the best first, ties by the bytes of the user key."""

    #: None where there are no users
    threshold: float | None
    population: int
    kols: tuple[ArticleUser, ...]


@dataclass(slots=True)
class _Account:
    followers: int | None = None
    followers_at: int = -1
    #: post id -> when its first observation was made (ms), number of that one's text
    posts: dict[str, tuple[int, int]] = field(default_factory=dict)


class PostArchive:
    """What the method needs of posts, whatever order they come in.

    As if they came in the order of `observed_at`, equal times in the order given: the same id
    again is the same post, of which the first text counts, and a follower count replaces only
    older ones. Holds every different text once, and some 200 bytes for each post.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._texts: dict[str, int] = {}

    def add(self, post: Post) -> None:
        """Take in one post, or one more observation of it."""
        account = self._accounts.get(post.key)
        if account is None:
            account = self._accounts[post.key] = _Account()
        if post.follower_count is not None and post.observed_at > account.followers_at:
            account.followers = post.follower_count
            account.followers_at = post.observed_at
        known = account.posts.get(post.id)
        if known is None or post.observed_at < known[0]:
            number = self._texts.setdefault(post.text, len(self._texts))
            account.posts[post.id] = (post.observed_at, number)

    @property
    def texts(self) -> int:
        """How many different texts there are."""
        return len(self._texts)

    @property
    def posts(self) -> int:
        """How many different posts there are."""
        return sum(len(account.posts) for account in self._accounts.values())

    def users(
        self, encoder: Encoder, on_encoded: Callable[[int], object] | None = None
    ) -> list[ArticleUser]:
        """Everybody with her mean norm. Encodes every text, each once.

        Args:
            encoder: made with `logits_norm`.
            on_encoded: called with the number of texts done so far.
        """
        norms = _norms(list(self._texts), encoder, on_encoded)
        return [
            ArticleUser(
                key=key,
                followers=account.followers,
                # Exact sums: the same texts in another order are the same score.
                mean_norm=math.fsum(norms[number] for _, number in account.posts.values())
                / len(account.posts),
                posts=len(account.posts),
            )
            for key, account in self._accounts.items()
        ]


def _norms(
    texts: Sequence[str], encoder: Encoder, on_encoded: Callable[[int], object] | None
) -> list[float]:
    norms: list[float] = []
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        for features in encoder.encode(texts[start : start + _TEXTS_AT_ONCE]):
            if features.logits_norm is None:
                raise ValueError("the encoder was made without logits_norm")
            norms.append(features.logits_norm)
        if on_encoded is not None:
            on_encoded(len(norms))
    return norms


def find_kols(users: Iterable[ArticleUser], quantile: float) -> Verdict:
    """The users who score at least the q-quantile of all scores, linear as `numpy.percentile`.

    By the letter: where the threshold is 0, everybody is a KOL.
    """
    everybody = list(users)
    if not everybody:
        return Verdict(None, 0, ())
    # numpy.percentile of 100 q, without the rounding of 100 q.
    threshold = float(np.quantile([user.score for user in everybody], quantile))
    kols = [user for user in everybody if user.score >= threshold]
    kols.sort(key=lambda user: (-user.score, user.key.encode()))
    return Verdict(threshold, len(everybody), tuple(kols))


def article_kols(posts: Iterable[Post], encoder: Encoder, quantile: float) -> Verdict:
    """The whole method at once."""
    archive = PostArchive()
    for post in posts:
        archive.add(post)
    return find_kols(archive.users(encoder), quantile)
