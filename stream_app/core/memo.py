"""What is worked out of a row and kept beside it while it is in memory, never in its bytes.

A row of a busy user holds dozens of posts. Looking for one, comparing a text with all before it and
summing all of them again for each event would cost more than everything else that is done for it.
"""

from __future__ import annotations

import math

import msgspec

from stream_app.core.decay import decay_factor
from stream_app.core.originality import originality_at
from stream_app.core.row import RememberedPost, UserRow


class PostSums(msgspec.Struct, gc=False):
    """Decayed sums over posts in the order of (created_at, id), as of `at` (ms)."""

    at: int
    attention: float
    weight: float
    log_engagement: float
    originality: float
    originality_weight: float

    def add(self, post: RememberedPost, half_life_ms: float) -> None:
        """One more post, no older than those before it.

        Each sum is faded to the new post's time, and the post adds with a weight of 1: so the sums
        over all posts follow from those over all but the newest, bit for bit.
        """
        if self.weight:
            fade = decay_factor(self.at, post.created_at, half_life_ms)
            self.attention *= fade
            self.weight *= fade
            self.log_engagement *= fade
            self.originality *= fade
            self.originality_weight *= fade
        drawn = post.engagement
        self.at = post.created_at
        self.attention += 1.0 + drawn
        self.weight += 1.0
        self.log_engagement += math.log1p(drawn)
        if post.signature:
            self.originality += originality_at(post.nearest)
            self.originality_weight += 1.0


class Memo:
    """Of one row; `core.aggregate` keeps it true while it folds.

    Attributes:
        posts: The remembered posts by id.
        signatures: Those of the remembered posts, in their order, as `signature_number` has them.
    """

    __slots__ = ("_half_life_ms", "_sums", "posts", "signatures")

    def __init__(self, row: UserRow) -> None:
        self.posts = {post.id: post for post in row.remembered}
        self.signatures = [signature_number(post.signature) for post in row.remembered]
        self._sums: PostSums | None = None
        self._half_life_ms = 0.0

    def appended(self, post: RememberedPost) -> None:
        """The row has a newer post than all others."""
        if self._sums is not None:
            self._sums.add(post, self._half_life_ms)

    def changed(self) -> None:
        """A post has other counts, came before others or went."""
        self._sums = None

    def sums(self, row: UserRow, half_life_ms: float) -> PostSums:
        """Over all the row's posts, remembered and settled; not to be changed."""
        if self._sums is None or self._half_life_ms != half_life_ms:
            self._half_life_ms = half_life_ms
            self._sums = _summed(row, half_life_ms)
        return self._sums


def signature_number(signature: bytes) -> int:
    """A signature as an integer, of which bits are quickly counted; -1 for none."""
    return int.from_bytes(signature, "little") if signature else -1


def memo_of(row: UserRow) -> Memo:
    """The row's memo, made where there is none yet."""
    memo: Memo | None = row.memo
    if memo is None:
        memo = Memo(row)
        vars(row)["memo"] = memo  # over the class's, which says that there is none
    return memo


def _summed(row: UserRow, half_life_ms: float) -> PostSums:
    settled = row.settled
    sums = PostSums(
        settled.at,
        settled.attention,
        settled.weight,
        settled.log_engagement,
        settled.originality,
        settled.originality_weight,
    )
    for post in row.remembered:
        sums.add(post, half_life_ms)
    return sums
