"""Folding events into a row: pure, and indifferent to the order in which late events arrive.

The remembered posts are kept one by one and summed only when a score is asked for
(`core.standing`), so a count that falls leaves no rounding behind. What memory lets go is settled
into decayed sums.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from enum import Enum
from operator import attrgetter

import msgspec

from stream_app.core.blending import Blending
from stream_app.core.decay import combine
from stream_app.core.memo import add_post, memo_of, signature_number
from stream_app.core.row import HeardInteraction, RememberedPost, UserRow
from stream_app.core.scheme import Scheme
from stream_app.messages import COUNT_FIELDS, KINDS, Interaction, Post, TextFeatures
from stream_app.messages.fields import MAX_COUNT

#: Beyond any distance between two signatures: there is none to compare with.
_FAR = 1 << 30

_counts_of = attrgetter(*[name + "_count" for name in COUNT_FIELDS])

KIND_INDEX = {kind: index for index, kind in enumerate(KINDS)}

#: Posts whose address is kept: as many as the web shows (docs/api.md).
MOST_URLS = 10
#: Bytes of remembered ids, of posts and of interactions each, so that a row stays below 1 MiB
#: however long ids and memories are. The default memories never meet it: 64 x 2 x 512 code points.
MOST_ID_BYTES = 256 * 1024
_LONGEST_ID_BYTES = 4 * 512


class Outcome(Enum):
    """What an event did to the row."""

    NEW = "new post"
    OBSERVED = "newer counts of a known post"
    STALE = "an observation no newer than what is known, or an interaction heard before"
    FORGOTTEN = "older than every remembered post of a full memory"
    HEARD = "interaction"


def new_row(platform: str, user_id: str) -> UserRow:
    """The row of a user nothing is known of."""
    return UserRow(platform=platform, user_id=user_id)


def weigh(post: RememberedPost, scheme: Scheme) -> None:
    """Set e, the weighted sum of a post's known counts and of the interactions that name it."""
    total = 0.0
    counts = post.counts
    for index, weight in scheme.weighted_counts:
        if count := counts[index]:
            total += count * weight
    if post.interactions:
        for times, weight in zip(post.interactions, scheme.kind_weights, strict=True):
            total += times * weight
    post.engagement = total


def needs_features(row: UserRow | None, post: Post, scheme: Scheme) -> bool:
    """Whether folding this post would score its text: its id is not remembered or forgotten."""
    if row is None:
        return True
    return post.id not in memo_of(row).posts and not _is_forgotten(row, post, scheme)


def fold_post(
    row: UserRow,
    post: Post,
    features: TextFeatures | None,
    scheme: Scheme,
    blending: Blending | None = None,
) -> Outcome:
    """Fold one post, or one more observation of it, into the row.

    `features` are those of the text; they may be None where `needs_features` says no. A text is
    scored once: a later observation of the same id changes counts alone. With `blending` the row's
    embedding is moved only when that is settled.
    """
    _judge_person(row, post)
    known = memo_of(row).posts.get(post.id)
    if known is not None:
        return _observe(row, known, post, scheme)
    if _is_forgotten(row, post, scheme):
        return Outcome.FORGOTTEN
    if features is None:
        msg = f"the text of a new post was not encoded: {post.id!r}"
        raise ValueError(msg)
    _remember(row, post, features, scheme)
    moves = Blending() if blending is None else blending
    moves.add(row, post.created_at, features, scheme.half_life_ms)
    if blending is None:
        moves.settle()
    return Outcome.NEW


def fold_interaction(row: UserRow, interaction: Interaction, scheme: Scheme) -> Outcome:
    """Fold one interaction with the user; the same id counts once, as far as memory reaches."""
    if any(heard.id == interaction.id for heard in row.heard):
        return Outcome.STALE
    kind = KIND_INDEX[interaction.kind]
    row.interactions[kind] += 1
    heard = HeardInteraction(interaction.id, kind, interaction.created_at)
    target = interaction.target_post_id
    if target is None:
        _add_loose(row, heard, scheme)
    else:
        memo = memo_of(row)
        post = memo.posts.get(target)
        if post is None:
            heard.waiting_for = target
        else:
            _attach(post, kind)
            weigh(post, scheme)
            memo.changed()
    row.heard.append(heard)
    while len(row.heard) > scheme.interaction_memory or _are_too_long(row.heard):
        oldest = row.heard.pop(0)
        if oldest.waiting_for is not None:
            _add_loose(row, oldest, scheme)
    return Outcome.HEARD


def _is_forgotten(row: UserRow, post: Post, scheme: Scheme) -> bool:
    remembered = row.remembered
    if len(remembered) < scheme.post_memory and not row.settled.weight:
        return False
    # By the order in which posts are let go, so that of several posts of one moment each counts
    # once.
    return (post.created_at, post.id) < _order(remembered[0])


def _judge_person(row: UserRow, post: Post) -> None:
    """Take over the follower count and the names where they were read later than what is known."""
    if post.follower_count is not None and post.observed_at > row.followers_at:
        row.follower_count = post.follower_count
        row.followers_at = post.observed_at
    if (post.handle or post.display_name) and post.observed_at > row.named_at:
        row.handle = post.handle or row.handle
        row.display_name = post.display_name or row.display_name
        row.named_at = post.observed_at


def _observe(row: UserRow, known: RememberedPost, post: Post, scheme: Scheme) -> Outcome:
    if post.observed_at <= known.observed_at:
        return Outcome.STALE
    known.observed_at = post.observed_at
    for index, count in enumerate(_counts_of(post)):
        if count is not None:
            known.counts[index] = count
    weigh(known, scheme)
    memo_of(row).changed()
    if known.url is None and any(known is one for one in row.remembered[-MOST_URLS:]):
        known.url = post.url
    return Outcome.OBSERVED


def _remember(row: UserRow, post: Post, features: TextFeatures, scheme: Scheme) -> None:
    entry = RememberedPost(
        id=post.id,
        created_at=post.created_at,
        observed_at=post.observed_at,
        counts=list(_counts_of(post)),
        signature=features.signature,
        url=post.url,
    )
    for heard in row.heard:
        if heard.waiting_for == post.id:
            heard.waiting_for = None
            _attach(entry, heard.kind)
    weigh(entry, scheme)
    row.newest_post_at = max(row.newest_post_at, post.created_at) if row.posts else post.created_at
    row.posts += 1
    row.logits_norms += features.logits_norm or 0.0
    _insert(row, entry)
    while len(row.remembered) > scheme.post_memory or _are_too_long(row.remembered):
        _let_go(row, scheme)


def _insert(row: UserRow, entry: RememberedPost) -> None:
    """Put a post in its place, and set who is nearest to whom."""
    remembered, memo = row.remembered, memo_of(row)
    is_newest = not remembered or _order(entry) > _order(remembered[-1])
    place = len(remembered) if is_newest else bisect(remembered, _order(entry), key=_order)
    _compare(remembered, memo.signatures, entry, place)
    remembered.insert(place, entry)
    memo.posts[entry.id] = entry
    memo.signatures.insert(place, signature_number(entry.signature))
    if len(remembered) > MOST_URLS and remembered[-MOST_URLS - 1].url is not None:
        remembered[-MOST_URLS - 1].url = None
        memo.rewritten()
    if is_newest:
        memo.appended(entry)
        return
    memo.changed()
    if place < len(remembered) - MOST_URLS:
        entry.url = None


def _let_go(row: UserRow, scheme: Scheme) -> None:
    """Settle the oldest post; the sums over all posts stay as they are."""
    oldest = row.remembered.pop(0)
    memo_of(row).let_go(oldest)
    _settle(row, oldest, scheme)


def _order(post: RememberedPost) -> tuple[int, str]:
    return (post.created_at, post.id)


def _compare(
    remembered: Sequence[RememberedPost],
    signatures: Sequence[int],
    entry: RememberedPost,
    place: int,
) -> None:
    """Set the new post's distance to its predecessors, and shorten its successors' to it."""
    if not entry.signature:
        return
    own = signature_number(entry.signature)
    distances = [(own ^ other).bit_count() if other >= 0 else _FAR for other in signatures]
    nearest = min(distances[:place] if place < len(distances) else distances, default=_FAR)
    entry.nearest = nearest if nearest < _FAR else -1
    if place == len(distances):
        return
    for post, distance in zip(remembered[place:], distances[place:], strict=True):
        if distance < _FAR and (post.nearest < 0 or distance < post.nearest):
            post.nearest = distance


def _are_too_long(entries: Sequence[RememberedPost | HeardInteraction]) -> bool:
    """Whether these ids are more than a row can keep; at least one is always kept."""
    if 2 * _LONGEST_ID_BYTES * len(entries) <= MOST_ID_BYTES:
        return False
    return sum(map(_id_bytes, entries)) > MOST_ID_BYTES


def _id_bytes(entry: RememberedPost | HeardInteraction) -> int:
    waiting_for = getattr(entry, "waiting_for", None) or ""
    return len(entry.id.encode()) + len(waiting_for.encode())


def _attach(post: RememberedPost, kind: int) -> None:
    if not post.interactions:
        post.interactions = [0] * len(KINDS)
    post.interactions[kind] += 1


def _add_loose(row: UserRow, heard: HeardInteraction, scheme: Scheme) -> None:
    weight = scheme.kind_weights[heard.kind]
    if not weight:
        return  # nor may its time become the reference: what is older would underflow
    row.loose = combine(row.loose, row.loose_at, weight, heard.created_at, scheme.half_life_ms)
    row.loose_at = max(row.loose_at, heard.created_at)


def _settle(row: UserRow, post: RememberedPost, scheme: Scheme) -> None:
    """Let a post go: its contribution stays in the sums, its id is no longer known."""
    add_post(row.settled, post, scheme.half_life_ms)
    for index, count in enumerate(post.counts):
        if count is not None:
            row.settled_counts[index] = min(row.settled_counts[index] + count, MAX_COUNT)


def copy_row(row: UserRow) -> UserRow:
    """A deep copy, for callers that keep the old row."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=UserRow)
