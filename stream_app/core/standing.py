"""How a user stands: the factors of the score, and the score they multiply up to."""

from __future__ import annotations

import math

import msgspec

from stream_app.core.decay import LN2, combine, decay_factor
from stream_app.core.originality import originality_at
from stream_app.core.row import UserRow
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


class PostSums(msgspec.Struct):
    """Decayed sums over all posts of a row, as of `at` (ms)."""

    at: int
    attention: float
    weight: float
    log_engagement: float
    originality: float
    originality_weight: float


def post_sums(row: UserRow, scheme: Scheme) -> PostSums:
    """Sum the row's posts, remembered and settled, as of its newest post."""
    settled = row.settled
    at = row.newest_post_at
    half_life = scheme.half_life_ms
    fade = decay_factor(settled.at, at, half_life) if settled.weight else 0.0
    attention = settled.attention * fade
    weight = settled.weight * fade
    logs = settled.log_engagement * fade
    original = settled.originality * fade
    original_weight = settled.originality_weight * fade
    log1p = math.log1p
    for post in row.remembered:
        w = 2.0 ** ((post.created_at - at) / half_life)
        drawn = post.engagement
        attention += w * (1.0 + drawn)
        weight += w
        logs += w * log1p(drawn)
        if post.signature:
            original += w * originality_at(post.nearest)
            original_weight += w
    return PostSums(at, attention, weight, logs, original, original_weight)


def loose_sum(row: UserRow, scheme: Scheme) -> tuple[float, int]:
    """Decayed weight of the interactions that belong to no remembered post, and its time (ms)."""
    value, at = row.loose, row.loose_at
    for heard in row.heard:
        weight = scheme.kind_weights[heard.kind]
        if heard.waiting_for is not None and weight:
            value = combine(value, at, weight, heard.created_at, scheme.half_life_ms)
            at = max(at, heard.created_at)
    return value, at


def standing_of(row: UserRow, scheme: Scheme) -> Standing | None:
    """The standing of a row as of its newest event; None for a user without posts."""
    if not row.posts:
        return None
    sums = post_sums(row, scheme)
    attention, as_of = sums.attention, sums.at
    loose, loose_at = loose_sum(row, scheme)
    if loose:
        attention = combine(attention, as_of, loose, loose_at, scheme.half_life_ms)
        as_of = max(as_of, loose_at)
    known = row.follower_count is not None
    reach = float(row.follower_count if row.follower_count is not None else scheme.neutral_reach)
    log_resonance = sums.log_engagement / sums.weight
    if scheme.is_article:
        text, text_known = row.logits_norms / row.posts, True
    else:
        text_known = sums.originality_weight > _LEAST_WEIGHT
        text = sums.originality / sums.originality_weight if text_known else 1.0
    return Standing(
        key=row.key,
        z=_landmark_log(reach, attention, as_of, log_resonance, text, scheme),
        as_of=as_of,
        reach=reach,
        reach_known=known,
        attention=attention,
        resonance=math.exp(log_resonance),
        text=text,
        text_known=text_known,
        decayed_posts=sums.weight * decay_factor(sums.at, as_of, scheme.half_life_ms),
        log_engagement=log_resonance,
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
