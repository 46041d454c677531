"""What is worked out of a row and kept beside it while it is in memory, never in its bytes.

A row of a busy user holds dozens of posts. Looking for one, comparing a text with all before it and
summing all of them again for each event would cost more than everything else that is done for it.
"""

from __future__ import annotations

import math
from copy import copy

import msgspec

from stream_app.core.decay import decay_factor
from stream_app.core.later_fields import array_head, head_size
from stream_app.core.originality import originality_at
from stream_app.core.row import RememberedPost, SettledPosts, UserRow

_encode = msgspec.msgpack.Encoder().encode


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

    __slots__ = ("_half_life_ms", "_sums", "_written", "posts", "signatures")

    def __init__(self, row: UserRow) -> None:
        self.posts = {post.id: post for post in row.remembered}
        self.signatures = [signature_number(post.signature) for post in row.remembered]
        self._sums: SettledPosts | None = None
        self._half_life_ms = 0.0
        #: the items of the remembered posts' array in the row's bytes
        self._written: bytearray | None = None

    def appended(self, post: RememberedPost) -> None:
        """The row has a newer post than all others."""
        if self._sums is not None:
            add_post(self._sums, post, self._half_life_ms)
        if self._written is not None:
            self._written += _encode(post)

    def let_go(self, oldest: RememberedPost) -> None:
        """The row has settled its oldest post; the sums over all stay as they are."""
        del self.posts[oldest.id], self.signatures[0]
        if self._written is not None:
            del self._written[: len(_encode(oldest))]

    def changed(self) -> None:
        """A post has other counts, or came before others."""
        self._sums = self._written = None

    def rewritten(self) -> None:
        """A post has other bytes, and counts for the same."""
        self._written = None

    def remembered(self, row: UserRow) -> bytes:
        """The array of the row's remembered posts, as msgpack.

        A busy user's posts are hundreds of objects all over the memory. To walk through them for
        one new post costs more than all the rest of a row; their bytes lie in one place.
        """
        if self._written is None:
            data = _encode(row.remembered)
            self._written = bytearray(data[head_size(data) :])
            return data
        return array_head(len(row.remembered)) + self._written

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
