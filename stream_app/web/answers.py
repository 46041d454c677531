"""The shapes of all JSON answers; OpenAPI's schemas are generated from them.

Times are RFC 3339 in UTC with milliseconds. Scores are as of the answer's `as_of`.
"""

from typing import Annotated

from msgspec import Meta, Struct

from stream_app.messages import EventUser, Factor

AsOf = Annotated[
    str | None,
    Meta(description="event time (high mark) as of which scores are shown; null before any event"),
]
Percentile = Annotated[
    float | None,
    Meta(description="100 x share of eligible users scoring at most this; null outside them"),
]
Enter = Annotated[
    float | None, Meta(description="score at which the tier is entered; null: no line")
]
Leave = Annotated[
    float | None, Meta(description="score below which the tier is left; null: no line")
]
Quantile = Annotated[float, Meta(description="share of eligible users below the line")]
Version = Annotated[
    int | None, Meta(description="version of the line; null before there is any record of it")
]
Population = Annotated[int, Meta(description="eligible users in the whole system")]


class RankedTier(Struct, frozen=True, kw_only=True):
    """A tier, its line and how many are in it."""

    name: str
    quantile: Quantile
    enter: Enter
    leave: Leave
    members: Annotated[int, Meta(description="users in this tier or a higher one")]


class Member(Struct, frozen=True, kw_only=True):
    """A user with score and reasons."""

    user: EventUser
    score: float
    percentile: Percentile
    tier: str | None
    factors: list[Factor]
    posts: Annotated[int, Meta(description="all posts ever")]
    last_post_at: str


class RankedUser(Struct, frozen=True, kw_only=True):
    """A user at her position in the ranking: a member, with the position in front."""

    position: Annotated[int, Meta(description="from 1; ties stand in the order of the user key")]
    user: EventUser
    score: float
    percentile: Percentile
    tier: str | None
    factors: list[Factor]
    posts: Annotated[int, Meta(description="all posts ever")]
    last_post_at: str


class Rankings(Struct, frozen=True, kw_only=True):
    """A stretch of the ranking of the whole system."""

    as_of: AsOf
    threshold_version: Version
    population: Population
    tiers: list[RankedTier]
    items: list[RankedUser]


class TierThreshold(Struct, frozen=True, kw_only=True):
    """A tier's line."""

    name: str
    quantile: Quantile
    enter: Enter
    leave: Leave
    rank_error: Annotated[
        float | None, Meta(description="the most by which the line's quantile can be off")
    ]


class Threshold(Struct, frozen=True, kw_only=True):
    """The lines in force, and the events they were drawn from."""

    version: Version
    as_of: AsOf
    population: Population
    tiers: list[TierThreshold]
    cut: Annotated[
        dict[str, dict[str, int]],
        Meta(description="topic, partition, next offset: the events that the population reflects"),
    ]


class Members(Struct, frozen=True, kw_only=True):
    """A page of a tier's members, best first."""

    as_of: AsOf
    items: list[Member]
    next: Annotated[str | None, Meta(description="`cursor` of the next page; null on the last one")]


class TierMembership(Struct, frozen=True, kw_only=True):
    """The tier a user is in."""

    name: str
    since: Annotated[str | None, Meta(description="event time at which she entered it")]


class RawCounts(Struct, frozen=True, kw_only=True):
    """What was counted, undecayed: newest known counts summed over all posts."""

    posts: int
    like: int
    reply: int
    repost: int
    quote: int
    save: int
    view: int
    interactions: Annotated[
        dict[str, int], Meta(description="events of the interactions topic, by kind")
    ]


class DecayedSums(Struct, frozen=True, kw_only=True):
    """What the score is made of, as of `as_of`."""

    attention: float
    posts: Annotated[float, Meta(description="sum of the posts' weights")]
    log_engagement: Annotated[
        float | None,
        Meta(description="decayed mean of ln(1 + engagement); null without posts"),
    ]


class RecentPost(Struct, frozen=True, kw_only=True):
    """A remembered post."""

    id: str
    created_at: str
    url: str | None
    counts: Annotated[
        dict[str, int | None], Meta(description="newest known counts; null is unknown")
    ]


class Embedding(Struct, frozen=True, kw_only=True):
    """The decayed mean of the posts' embeddings, projected."""

    dimensions: int
    norm: float


class User(Struct, frozen=True, kw_only=True):
    """All that is known of a user."""

    as_of: AsOf
    user: EventUser
    score: Annotated[float | None, Meta(description="null without posts")]
    percentile: Percentile
    tier: TierMembership | None
    factors: list[Factor]
    raw: RawCounts
    decayed: DecayedSums
    recent_posts: Annotated[list[RecentPost], Meta(description="the newest ten, newest first")]
    embedding: Annotated[Embedding | None, Meta(description="null before any text was read")]
    eligible: Annotated[bool, Meta(description="whether she is counted in the population")]


class ScoringTier(Struct, frozen=True, kw_only=True):
    """A tier as it is configured."""

    name: str
    quantile: Quantile
    min_population: Annotated[int, Meta(description="eligible users below which it has no line")]


class Scoring(Struct, frozen=True, kw_only=True):
    """What a score means in this system."""

    preset: str
    exponents: dict[str, float]
    weights: dict[str, float]
    half_life_s: float
    active_window_s: Annotated[float | None, Meta(description="null: nobody becomes inactive")]
    min_posts: int
    min_population: Annotated[
        int | None, Meta(description="eligible users below which no tier has a line")
    ]
    leave_margin: float
    tiers: list[ScoringTier]
    neutral_reach: Annotated[int, Meta(description="followers assumed where nobody reported any")]


class Status(Struct, frozen=True, kw_only=True):
    """The state of this worker."""

    status: str


class Problem(Struct, frozen=True, kw_only=True):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
