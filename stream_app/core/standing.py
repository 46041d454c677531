"""How a user stands: the factors of the score, and the score they multiply up to."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

from stream_app.core.decay import LN2, combine, decay_factor
from stream_app.core.memo import memo_of
from stream_app.core.row import SettledPosts, UserRow
from stream_app.core.scheme import Scheme
from stream_app.messages import EventUser, Factor

#: Texts older than the newest post by some 830 half-lives say nothing: near underflow a mean is
#: noise.
_LEAST_WEIGHT = 1e-250


class Standing(msgspec.Struct, array_like=True, frozen=True):
    """A user as rankings and events show her; decayed values are as of `as_of` (ms).

    `z` is ln(score) moved to the Unix epoch: ln(score at t) = z - kappa t. It stays put while she
    is idle.
    """

    key: str
    z: float
    as_of: int
    #: followers, `neutral_reach` where unknown
    reach: float
    reach_known: bool
    #: sum of w (1 + e) and of loose interactions
    attention: float
    #: exp of the decayed mean of ln(1 + e)
    resonance: float
    #: originality in (0, 1]; for the preset `article` the mean norm of the logits
    text: float
    text_known: bool
    #: decayed number of posts and decayed mean of ln(1 + e)
    decayed_posts: float
    log_engagement: float
    posts: int
    newest_post_at: int
    platform: str
    user_id: str
    handle: str | None = None
    display_name: str | None = None
    follower_count: int | None = None
    tier: str | None = None

    def user(self) -> EventUser:
        """The user as messages and answers name her."""
        return EventUser(
            key=self.key,
            platform=self.platform,
            user_id=self.user_id,
            handle=self.handle,
            display_name=self.display_name,
            follower_count=self.follower_count,
        )


def loose_sum(row: UserRow, scheme: Scheme) -> tuple[float, int]:
    """Decayed weight of the interactions that belong to no remembered post, and its time (ms)."""
    value, at = row.loose, row.loose_at
    for heard in row.heard:
        weight = scheme.kind_weights[heard.kind]
        if heard.waiting_for is not None and weight:
            value = combine(value, at, weight, heard.created_at, scheme.half_life_ms)
            at = max(at, heard.created_at)
    return value, at


class _Figures(NamedTuple):
    """What a score is made of, and the score (`Standing` says what each means)."""

    z: float
    as_of: int
    reach: float
    attention: float
    log_resonance: float
    text: float
    text_known: bool
    sums: SettledPosts


def z_of(row: UserRow, scheme: Scheme) -> float | None:
    """`standing_of(row).z`, for less than half of its cost."""
    return _figures(row, scheme).z if row.posts else None


def _figures(row: UserRow, scheme: Scheme) -> _Figures:
    """Of a row with posts, as of its newest event."""
    sums = memo_of(row).sums(row, scheme.half_life_ms)
    attention, as_of = sums.attention, sums.at
    if row.loose or row.heard:
        loose, loose_at = loose_sum(row, scheme)
        if loose:
            attention = combine(attention, as_of, loose, loose_at, scheme.half_life_ms)
            as_of = max(as_of, loose_at)
    reach = float(row.follower_count if row.follower_count is not None else scheme.neutral_reach)
    log_resonance = sums.log_engagement / sums.weight
    if scheme.is_article:
        text, text_known = row.logits_norms / row.posts, True
    else:
        text_known = sums.originality_weight > _LEAST_WEIGHT
        text = sums.originality / sums.originality_weight if text_known else 1.0
    z = _landmark_log(reach, attention, as_of, log_resonance, text, scheme)
    return _Figures(z, as_of, reach, attention, log_resonance, text, text_known, sums)


def standing_of(row: UserRow, scheme: Scheme) -> Standing | None:
    """The standing of a row as of its newest event; None for a user without posts."""
    if not row.posts:
        return None
    found = _figures(row, scheme)
    sums = found.sums
    return Standing(
        key=row.key,
        z=found.z,
        as_of=found.as_of,
        reach=found.reach,
        reach_known=row.follower_count is not None,
        attention=found.attention,
        resonance=math.exp(found.log_resonance),
        text=found.text,
        text_known=found.text_known,
        decayed_posts=sums.weight * decay_factor(sums.at, found.as_of, scheme.half_life_ms),
        log_engagement=found.log_resonance,
        posts=row.posts,
        newest_post_at=row.newest_post_at,
        platform=row.platform,
        user_id=row.user_id,
        handle=row.handle,
        display_name=row.display_name,
        follower_count=row.follower_count,
        tier=row.tier,
    )


def _landmark_log(
    reach: float, attention: float, as_of: int, log_resonance: float, text: float, scheme: Scheme
) -> float:
    exponents = scheme.exponents
    if scheme.is_article:
        product = reach * text
        return math.log(product) if product > 0 else -math.inf
    return (
        exponents["reach"] * math.log1p(reach)
        + exponents["attention"] * (math.log(attention) + LN2 * (as_of / scheme.half_life_ms))
        + exponents["resonance"] * log_resonance
        + exponents["text"] * math.log(text)
    )


def attention_at(standing: Standing, at_ms: int, scheme: Scheme) -> float:
    """Attention brought forward to a time."""
    return standing.attention * decay_factor(standing.as_of, at_ms, scheme.half_life_ms)


def explain(standing: Standing, at_ms: int, scheme: Scheme) -> list[Factor]:
    """The factors at a time; contributions add up to ln(score), null where the score is 0."""
    logs = _article_logs(standing) if scheme.is_article else _logs(standing, at_ms, scheme)
    is_zero = scheme.score_at(standing.z, at_ms) == 0.0
    exponents = scheme.exponents
    return [
        Factor(
            name=name,
            value=value,
            exponent=exponents[name],
            contribution=None if is_zero else exponents[name] * log,
            known=known,
        )
        for name, value, log, known in logs
    ]


#: name, value, ln(value), whether it is known rather than assumed
_Log = tuple[str, float, float, bool]


def _logs(standing: Standing, at_ms: int, scheme: Scheme) -> list[_Log]:
    attention = attention_at(standing, at_ms, scheme)
    half_lives = (at_ms - standing.as_of) / scheme.half_life_ms
    attention_log = math.log(standing.attention) - LN2 * half_lives
    return [
        ("reach", 1.0 + standing.reach, math.log1p(standing.reach), standing.reach_known),
        ("attention", attention, attention_log, True),
        ("resonance", standing.resonance, standing.log_engagement, True),
        ("text", standing.text, math.log(standing.text), standing.text_known),
    ]


def _article_logs(standing: Standing) -> list[_Log]:
    return [
        (name, value, math.log(value) if value > 0 else -math.inf, known)
        for name, value, known in (
            ("reach", standing.reach, standing.reach_known),
            ("text", standing.text, standing.text_known),
        )
    ]
