"""The row of one user: everything that is remembered, and its bytes in the table.

Bytes = a fixed header that rebuilding the columns reads without decoding the rest (`RowHeader`),
the tier's name, then the body as a msgpack array. Fields of `UserRow` are only ever added at the
end, with defaults, and such that an older program may leave one as it is while it changes others:
it reads past them and keeps them (`later_fields`). Anything else, a new field of the structs inside
`UserRow` too, takes another ROW_FORMAT.
"""

from __future__ import annotations

import struct
from typing import Any, ClassVar, NamedTuple

import msgspec

from stream_app.core.later_fields import Kept
from stream_app.messages import COUNT_FIELDS, KINDS

#: Version of the bytes. A newer one than this program knows is refused, never guessed at.
ROW_FORMAT = 1

#: format, length of the tier's name, z, newest post (ms), posts ever, version of the line that
#: last moved the user (0: none did), hash of the formula that gave z
_HEADER = struct.Struct("<BB6xdqQqQ")
HEADER_BYTES = _HEADER.size


class RememberedPost(msgspec.Struct, array_like=True, gc=False):
    """One of the user's newest posts, with what is known of it; times in ms."""

    id: str
    created_at: int
    observed_at: int
    #: newest known counts, in the order of COUNT_FIELDS; None = never seen
    counts: list[int | None]
    signature: bytes = b""
    #: Hamming distance to the nearest of the user's earlier posts; -1 = none to compare with
    nearest: int = -1
    #: interactions with this post by kind, in the order of KINDS; empty = none yet
    interactions: list[int] = []
    url: str | None = None
    #: e, the weighted engagement of counts and interactions; weights are part of the fingerprint
    engagement: float = 0.0


class HeardInteraction(msgspec.Struct, array_like=True, gc=False):
    """An interaction whose id is remembered; `waiting_for`: the post it names is not seen yet."""

    id: str
    kind: int
    created_at: int
    waiting_for: str | None = None


class SettledPosts(msgspec.Struct, array_like=True, gc=False):
    """Decayed sums over the posts that memory has let go, as of `at` (ms)."""

    at: int = 0
    #: sum of w (1 + e)
    attention: float = 0.0
    #: sum of w
    weight: float = 0.0
    #: sum of w ln(1 + e)
    log_engagement: float = 0.0
    #: sum of w x originality and of w, over posts whose text could be compared
    originality: float = 0.0
    originality_weight: float = 0.0


class Transition(msgspec.Struct, array_like=True, gc=False):
    """The last change of tier and its event, kept so that it can be sent again word for word."""

    #: source topic of the deciding event, "" when the line or time decided
    topic: str
    #: offset of the deciding event, or the version of the deciding line
    position: int
    #: the KOL event as JSON, `emitted_at` empty
    event: bytes


class UserRow(msgspec.Struct, array_like=True, dict=True):
    """All that is kept of one user; `core.aggregate` folds events into it in place."""

    #: what is worked out of it (`core.memo`); no field, so it is in no bytes and no comparison
    memo: ClassVar[Any] = None

    platform: str
    user_id: str
    handle: str | None = None
    display_name: str | None = None
    named_at: int = -1
    follower_count: int | None = None
    followers_at: int = -1
    posts: int = 0
    newest_post_at: int = 0
    #: ascending by (created_at, id)
    remembered: list[RememberedPost] = []
    settled: SettledPosts = msgspec.field(default_factory=SettledPosts)
    #: last known counts of the posts let go, in the order of COUNT_FIELDS; each stops at 2^63 - 1
    settled_counts: list[int] = msgspec.field(default_factory=lambda: [0] * len(COUNT_FIELDS))
    heard: list[HeardInteraction] = []
    #: interactions ever, by kind
    interactions: list[int] = msgspec.field(default_factory=lambda: [0] * len(KINDS))
    #: decayed weight of interactions with no post in memory, as of `loose_at`
    loose: float = 0.0
    loose_at: int = 0
    #: decayed mean of the posts' embeddings (float16) and its total weight, as of `embedding_at`
    embedding: bytes = b""
    embedding_weight: float = 0.0
    embedding_at: int = 0
    #: sum over all posts of the norm of the logits (preset `article`)
    logits_norms: float = 0.0
    #: source topic -> offset of the last event absorbed
    offsets: dict[str, int] = {}
    tier: str | None = None
    tier_since: int | None = None
    transition: Transition | None = None

    @property
    def key(self) -> str:
        """The user key, `platform:user_id`."""
        return f"{self.platform}:{self.user_id}"


class RowHeader(NamedTuple):
    """What the columns need of a row."""

    z: float
    newest_post_at: int
    posts: int
    transition_version: int
    formula: int
    tier: str | None


_body = Kept(UserRow)


def encode_row(row: UserRow, z: float, formula: int) -> bytes:
    """The bytes of a row whose score is `z` (ln, landmark: Unix epoch) under `formula`."""
    tier = (row.tier or "").encode()
    version = 0
    if row.transition is not None and not row.transition.topic:
        version = row.transition.position
    header = _HEADER.pack(ROW_FORMAT, len(tier), z, row.newest_post_at, row.posts, version, formula)
    if row.memo is None:
        return header + tier + _body.encode(row)
    remembered, posts = row.remembered, row.memo.remembered(row)
    row.remembered = msgspec.Raw(posts)  # type: ignore[assignment]  # written as it stands
    try:
        return header + tier + _body.encode(row)
    finally:
        row.remembered = remembered


def decode_header(data: bytes) -> RowHeader:
    """The header alone. Raises ValueError for bytes of an unknown format."""
    _check_format(data)
    _, tier_length, z, newest, posts, transition, formula = _HEADER.unpack_from(data)
    end = _HEADER.size + tier_length
    tier = data[_HEADER.size : end].decode() if tier_length else None
    return RowHeader(z, newest, posts, transition, formula, tier)


def decode_row(data: bytes) -> UserRow:
    """The row. Raises ValueError for bytes of an unknown format or broken ones."""
    _check_format(data)
    try:
        return _body.decode(memoryview(data)[_HEADER.size + data[1] :])
    except msgspec.MsgspecError as error:
        msg = f"a row cannot be read: {error}"
        raise ValueError(msg) from error


def _check_format(data: bytes) -> None:
    if len(data) < _HEADER.size:
        msg = f"a row cannot be read: {len(data)} bytes are too few"
        raise ValueError(msg)
    if data[0] != ROW_FORMAT:
        msg = f"row format {data[0]} is not known to this program (it knows {ROW_FORMAT})"
        raise ValueError(msg)
