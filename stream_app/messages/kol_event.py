"""Promotions and demotions, as they travel on topic `kol-events` (CloudEvents 1.0)."""

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from stream_app.messages.decoding import WireDecoder
from stream_app.messages.fields import Count, ItemId, Label, Platform, TimeText, UserId

EventId = Annotated[str, Meta(min_length=1, max_length=64)]
Natural = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(gt=0, lt=1)]
Percent = Annotated[float, Meta(ge=0, le=100)]

CauseType = Literal["post", "observation", "interaction", "threshold", "inactivity"]


class Factor(msgspec.Struct, frozen=True, kw_only=True):
    """One factor of a score: value ** exponent."""

    name: str
    value: float
    exponent: float
    contribution: float | None  # exponent x ln(value); null where the score is 0
    known: bool  # false: a neutral value stands in for one nobody reported


class EventUser(msgspec.Struct, frozen=True, kw_only=True):
    """Who a user is, as far as known."""

    key: str
    platform: Platform
    user_id: UserId
    handle: Label | None = None
    display_name: Label | None = None
    follower_count: Count | None = None


class Cause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What moved the user over the line.

    A record (`post`, `observation`, `interaction`) has topic, partition, offset and post_id, null
    for an interaction that names no post; a move of the line (`threshold`) and `inactivity` have
    the threshold_version.
    """

    type: CauseType
    topic: str | None = None
    partition: Natural | None = None
    offset: Natural | None = None
    post_id: ItemId | msgspec.UnsetType | None = msgspec.UNSET
    threshold_version: Natural | None = None


class KolEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A user enters or leaves a tier. `tier` and `from_tier` are null for none.

    Promoted: threshold is the entering value of `tier` and score >= threshold. Demoted: the
    leaving value of `from_tier` and score < threshold, except by inactivity. All values are as
    of `occurred_at`; only `emitted_at` differs when an event is sent again.
    """

    event_id: EventId
    kind: Literal["promoted", "demoted"]
    tier: str | None
    from_tier: str | None
    user: EventUser
    score: float
    threshold: float | None
    quantile: Share | None  # null for a tier that is no longer configured
    population: Natural
    percentile: Percent | None  # 0..100; null outside the population
    factors: list[Factor]
    cause: Cause
    occurred_at: TimeText  # event time, RFC 3339
    emitted_at: TimeText  # processing time, RFC 3339


_decode = WireDecoder(KolEvent)
_encode = msgspec.json.Encoder().encode


def decode_event(value: bytes | None) -> KolEvent:
    """The KOL event in a record's value.

    Raises:
        BadInput: the value is no KOL event.
    """
    return _decode(value)


def encode_event(event: KolEvent) -> bytes:
    """The value of the record; nulls are written out."""
    return _encode(event)


def event_id(key: str, cause: Cause, tier: str | None, from_tier: str | None) -> str:
    """32 hex digits, the same for the same transition whenever and wherever it is produced.

    A function of the user key, of the record or threshold version that caused it, and of both
    tiers; not of the cause's type, which a replay may name otherwise.
    """
    if cause.threshold_version is not None:
        origin: list[object] = [cause.threshold_version]
    else:
        origin = [cause.topic, cause.partition, cause.offset]
    name = msgspec.json.encode([key, origin, tier, from_tier])
    return hashlib.sha256(name).hexdigest()[:32]


def event_headers(event: KolEvent, app_id: str) -> list[tuple[str, bytes]]:
    """CloudEvents attributes in Kafka's binary mode, in this order."""
    headers = (
        ("ce_specversion", "1.0"),
        ("ce_id", event.event_id),
        ("ce_source", f"/kol-stream/{app_id}"),
        ("ce_type", f"kol.{event.kind}.v1"),
        ("ce_time", event.occurred_at),
        ("ce_subject", event.user.key),
        ("content-type", "application/json"),
    )
    return [(name, value.encode()) for name, value in headers]
