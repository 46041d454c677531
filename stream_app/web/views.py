"""Rows, standings and boards as answers. Pure."""

from itertools import islice

import numpy as np
from msgspec import structs

from stream_app.core.decay import decay_factor
from stream_app.core.ranking import Board
from stream_app.core.row import RememberedPost, UserRow
from stream_app.core.scheme import Scheme
from stream_app.core.standing import Standing, attention_at, explain, loose_sum, standing_of
from stream_app.core.tiers import TierLine
from stream_app.messages import COUNT_FIELDS, KINDS, EventUser, rfc3339
from stream_app.web import answers

RECENT_POSTS = 10


def time_text(at_ms: int | None) -> str | None:
    """A time for people and programs; None stays None."""
    return None if at_ms is None else rfc3339(at_ms)


def ranked_tiers(board: Board | None, scheme: Scheme) -> list[answers.RankedTier]:
    """The tiers with their lines and members, lowest first; no lines before there is a board."""
    if board is None:
        return [
            answers.RankedTier(
                name=tier.name, quantile=tier.quantile, enter=None, leave=None, members=0
            )
            for tier in scheme.tiers
        ]
    # While the configured tiers change, a line may have a tier in which nobody was counted yet.
    counts = board.members + (0,) * len(board.line.tiers)
    return [
        answers.RankedTier(
            name=line.name,
            quantile=line.quantile,
            enter=_line_score(line.enter_z, board, scheme),
            leave=_line_score(line.leave_z, board, scheme),
            members=members,
        )
        for line, members in zip(board.line.tiers, counts, strict=False)
    ]


def _line_score(z: float | None, board: Board, scheme: Scheme) -> float | None:
    if z is None or board.high_mark is None:
        return None
    return scheme.score_at(z, board.high_mark)


def member(standing: Standing, as_of: int, board: Board | None, scheme: Scheme) -> answers.Member:
    """A user with posts as of a time."""
    counted = board is not None and _is_counted(standing, board, scheme)
    return answers.Member(
        user=standing.user(),
        score=scheme.score_at(standing.z, as_of),
        percentile=board.percentile(standing.z) if board is not None and counted else None,
        tier=standing.tier,
        factors=explain(standing, as_of, scheme),
        posts=standing.posts,
        last_post_at=rfc3339(standing.newest_post_at),
    )


def _is_counted(standing: Standing, board: Board, scheme: Scheme) -> bool:
    """Whether she is in the population that the board's line was drawn from."""
    if standing.posts < scheme.min_posts:
        return False
    mark, window = board.line.expiry_mark, scheme.active_window_ms
    return mark is None or window is None or standing.newest_post_at >= mark - window


def ranked_user(board: Board, index: int, as_of: int, scheme: Scheme) -> answers.RankedUser:
    """Item `index` (from 0) of the board's ranking."""
    entry = member(board.items[index], as_of, board, scheme)
    return answers.RankedUser(position=index + 1, **structs.asdict(entry))


def threshold(board: Board | None, scheme: Scheme) -> answers.Threshold:
    """The lines in force; null values while there are none."""
    if board is None:
        lines = tuple(TierLine(tier.name, tier.quantile) for tier in scheme.tiers)
        tiers = [_tier_threshold(line, None, None) for line in lines]
        return answers.Threshold(version=None, as_of=None, population=0, tiers=tiers, cut={})
    return answers.Threshold(
        version=board.line.version,
        as_of=time_text(board.high_mark),
        population=board.line.population,
        tiers=[
            _tier_threshold(
                line,
                _line_score(line.enter_z, board, scheme),
                _line_score(line.leave_z, board, scheme),
            )
            for line in board.line.tiers
        ],
        cut=board.line.cut,
    )


def _tier_threshold(
    line: TierLine, enter: float | None, leave: float | None
) -> answers.TierThreshold:
    return answers.TierThreshold(
        name=line.name,
        quantile=line.quantile,
        enter=enter,
        leave=leave,
        rank_error=line.rank_error,
    )


def scoring(scheme: Scheme) -> answers.Scoring:
    """The scheme in force."""
    window = scheme.active_window_ms
    return answers.Scoring(
        preset=scheme.preset,
        exponents=scheme.exponents,
        weights=scheme.weights,
        half_life_s=scheme.half_life_ms / 1000.0,
        active_window_s=None if window is None else window / 1000.0,
        min_posts=scheme.min_posts,
        min_population=min((tier.min_population for tier in scheme.tiers), default=None),
        leave_margin=scheme.leave_margin,
        tiers=[
            answers.ScoringTier(
                name=tier.name, quantile=tier.quantile, min_population=tier.min_population
            )
            for tier in scheme.tiers
        ],
        neutral_reach=scheme.neutral_reach,
    )


def user(
    row: UserRow, *, counted: bool, as_of: int | None, board: Board | None, scheme: Scheme
) -> answers.User:
    """A user's row as of a time; `counted` says whether she is in the population.

    Score and factors are missing where she has no posts or there is no time yet.
    """
    standing = standing_of(row, scheme)
    score, percentile, factors = None, None, []
    if standing is not None and as_of is not None:
        score = scheme.score_at(standing.z, as_of)
        factors = explain(standing, as_of, scheme)
    if standing is not None and board is not None and counted:
        percentile = board.percentile(standing.z)
    return answers.User(
        as_of=time_text(as_of),
        user=_identity(row),
        score=score,
        percentile=percentile,
        tier=_membership(row),
        factors=factors,
        raw=_raw(row),
        decayed=_decayed(row, standing, as_of, scheme),
        recent_posts=[_recent(post) for post in islice(reversed(row.remembered), RECENT_POSTS)],
        embedding=_embedding(row),
        eligible=counted,
    )


def _identity(row: UserRow) -> EventUser:
    return EventUser(
        key=row.key,
        platform=row.platform,
        user_id=row.user_id,
        handle=row.handle,
        display_name=row.display_name,
        follower_count=row.follower_count,
    )


def _membership(row: UserRow) -> answers.TierMembership | None:
    if row.tier is None:
        return None
    return answers.TierMembership(name=row.tier, since=time_text(row.tier_since))


def _raw(row: UserRow) -> answers.RawCounts:
    sums = list(row.settled_counts)
    for post in row.remembered:
        for index, count in enumerate(post.counts):
            sums[index] += count or 0
    like, reply, repost, quote, save, view = sums
    return answers.RawCounts(
        posts=row.posts,
        like=like,
        reply=reply,
        repost=repost,
        quote=quote,
        save=save,
        view=view,
        interactions=dict(zip(KINDS, row.interactions, strict=True)),
    )


def _decayed(
    row: UserRow, standing: Standing | None, as_of: int | None, scheme: Scheme
) -> answers.DecayedSums:
    if standing is None:
        attention, at = loose_sum(row, scheme)
        if attention and as_of is not None:
            attention *= decay_factor(at, as_of, scheme.half_life_ms)
        return answers.DecayedSums(attention=attention, posts=0.0, log_engagement=None)
    at = standing.as_of if as_of is None else as_of
    return answers.DecayedSums(
        attention=attention_at(standing, at, scheme),
        posts=standing.decayed_posts * decay_factor(standing.as_of, at, scheme.half_life_ms),
        log_engagement=standing.log_engagement,
    )


def _recent(post: RememberedPost) -> answers.RecentPost:
    return answers.RecentPost(
        id=post.id,
        created_at=rfc3339(post.created_at),
        url=post.url,
        counts=dict(zip(COUNT_FIELDS, post.counts, strict=True)),
    )


def _embedding(row: UserRow) -> answers.Embedding | None:
    if not row.embedding:
        return None
    mean = np.frombuffer(row.embedding, dtype="<f2").astype(np.float64)
    return answers.Embedding(dimensions=len(mean), norm=float(np.linalg.norm(mean)))
