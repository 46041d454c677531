"""What is worked out of a row and kept beside it while it is in memory, never in its bytes.

A row of a busy user holds dozens of posts. Looking for one, comparing a text with all before it and
summing all of them again for each event would cost more than everything else that is done for it.
"""

from __future__ import annotations

import math
from copy import copy

from stream_app.core.decay import decay_factor
from stream_app.core.originality import originality_at
from stream_app.core.row import RememberedPost, SettledPosts, UserRow


def add_post(sums: SettledPosts, post: RememberedPost, half_life_ms: float) -> None:
    """One more post in the sums.

    They are faded to the time of a newer post, which adds with a weight of 1: so the sums over all
    posts follow from those over all but the newest, bit for bit.
    """
    weight = 1.0
    if post.created_at < sums.at:
        weight = decay_factor(post.created_at, sums.at, half_life_ms)
    else:
        _fade(sums, decay_factor(sums.at, post.created_at, half_life_ms) if sums.weight else 0.0)
        sums.at = post.created_at
    drawn = post.engagement
    sums.attention += weight * (1.0 + drawn)
    sums.weight += weight
    sums.log_engagement += weight * math.log1p(drawn)
    if post.signature:
        sums.originality += weight * originality_at(post.nearest)
        sums.originality_weight += weight


def _fade(sums: SettledPosts, factor: float) -> None:
    sums.attention *= factor
    sums.weight *= factor
    sums.log_engagement *= factor
    sums.originality *= factor
    sums.originality_weight *= factor


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
        self._sums: SettledPosts | None = None
        self._half_life_ms = 0.0

    def appended(self, post: RememberedPost) -> None:
        """The row has a newer post than all others."""
        if self._sums is not None:
            add_post(self._sums, post, self._half_life_ms)

    def changed(self) -> None:
        """A post has other counts, or came before others."""
        self._sums = None

    def sums(self, row: UserRow, half_life_ms: float) -> SettledPosts:
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


def _summed(row: UserRow, half_life_ms: float) -> SettledPosts:
    """What would be settled if all posts were let go."""
    sums = copy(row.settled)
    for post in row.remembered:
        add_post(sums, post, half_life_ms)
    return sums
