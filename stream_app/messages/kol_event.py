"""Promotions and demotions, as they travel on topic `kol-events` (CloudEvents 1.0)."""

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from stream_app.messages.decoding import WireDecoder, checked_time
from stream_app.messages.fields import (
    MAX_COUNT,
    Count,
    ItemId,
    Label,
    Platform,
    TimeText,
    UserId,
    about,
)

EventId = Annotated[str, Meta(min_length=1, max_length=64)]
Natural = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Share = Annotated[float, Meta(gt=0, lt=1)]
Percent = Annotated[float, Meta(ge=0, le=100)]

CauseType = Literal["post", "observation", "interaction", "threshold", "inactivity"]


class Factor(msgspec.Struct, frozen=True, kw_only=True):
    """One factor of a score: value ** exponent."""

    name: Annotated[str, about("reach, attention, resonance or text.")]
    value: Annotated[float, about("1 + followers, attention, typical reaction, originality.")]
    exponent: Annotated[float, about("Its weight in the formula.")]
    contribution: Annotated[
        float | None, about("exponent x ln(value); they add up to ln(score). Null where it is 0.")
    ]
    known: Annotated[bool, about("False: a neutral value stands in for one nobody reported.")]


class EventUser(msgspec.Struct, frozen=True, kw_only=True):
    """Who a user is, as far as known."""

    key: Annotated[str, about("platform:user_id, the key of the record.")]
    platform: Annotated[Platform, about("As in the posts.")]
    user_id: Annotated[UserId, about("As in the posts.")]
    handle: Annotated[Label | None, about("Newest known; null: unknown.")] = None
    display_name: Annotated[Label | None, about("Newest known; null: unknown.")] = None
    follower_count: Annotated[Count | None, about("Newest known; null: unknown.")] = None


class Cause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What moved the user over the line.

    A record (`post`, `observation`, `interaction`) has topic, partition, offset and post_id, null
    for an interaction that names no post; a move of the line (`threshold`) and `inactivity` have
    the threshold_version.
    """

    type: Annotated[CauseType, about("An event of the user, a move of the line, or silence.")]
    topic: Annotated[str | None, about("Of the record that caused it.")] = None
    partition: Annotated[Natural | None, about("Of that record.")] = None
    offset: Annotated[Natural | None, about("Of that record.")] = None
    post_id: Annotated[
        ItemId | msgspec.UnsetType | None,
        about("The post in that record, or that it is about; null where it names none."),
    ] = msgspec.UNSET
    threshold_version: Annotated[
        Natural | None, about("Version of the line, where no record caused it.")
    ] = None


class KolEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A user enters or leaves a tier. `tier` and `from_tier` are null for none.

    Promoted: threshold is the entering value of `tier` and score >= threshold. Demoted: the
    leaving value of `from_tier` and score < threshold, except by inactivity. All values are as
    of `occurred_at`; only `emitted_at` differs when an event is sent again.
    """

    event_id: Annotated[
        EventId, about("Equals ce_id; the same transition has the same, however often it is sent.")
    ]
    kind: Annotated[Literal["promoted", "demoted"], about("Up or down.")]
    tier: Annotated[str | None, about("The tier after, null for none; straight to the final one.")]
    from_tier: Annotated[str | None, about("The tier before, null for none.")]
    user: EventUser
    score: Annotated[float, about("The user's score.")]
    threshold: Annotated[
        float | None,
        about("Promoted: entering value of tier. Demoted: leaving value of from_tier, or null."),
    ]
    quantile: Annotated[
        Share | None, about("Of that tier; null for one that is no longer configured.")
    ]
    population: Annotated[Natural, about("Eligible users.")]
    percentile: Annotated[
        Percent | None,
        about("100 x the share of eligible users scoring at most this; null outside them."),
    ]
    factors: Annotated[list[Factor], about("What the score is made of.")]
    cause: Cause
    occurred_at: Annotated[TimeText, about("Event time: the deciding worker's high mark.")]
    emitted_at: Annotated[TimeText, about("Processing time; differs when sent again.")]


_decode = WireDecoder(KolEvent)
_encode = msgspec.json.Encoder().encode


def decode_event(value: bytes | None) -> KolEvent:
    """The KOL event in a record's value.

    Raises:
        BadInput: the value is no KOL event.
    """
    event = _decode(value)
    checked_time("occurred_at", event.occurred_at)
    checked_time("emitted_at", event.emitted_at)
    return event


def decode_kept_event(value: bytes) -> KolEvent:
    """The event as a row keeps it to be sent again: `emitted_at` is empty until it is sent."""
    return _decode(value)


def encode_event(event: KolEvent) -> bytes:
    """The value of the record; nulls are written out."""
    return _encode(event)


_UNSENT = b'"emitted_at":""'


def stamp_event(kept: bytes, emitted_at: str) -> bytes:
    """The value of the record: the event as a row keeps it, with the time of sending (RFC 3339)."""
    head, unsent, tail = kept.rpartition(_UNSENT)
    if not unsent:
        raise ValueError("no event as a row keeps it: it has no empty `emitted_at`")
    return b'%b"emitted_at":"%b"%b' % (head, emitted_at.encode(), tail)


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


def event_source(app_id: str) -> str:
    """CloudEvents `source` of an app's events; ids are unique within it."""
    return f"/kol-stream/{app_id}"


def event_headers(event: KolEvent, app_id: str) -> list[tuple[str, bytes]]:
    """CloudEvents attributes in Kafka's binary mode, in this order."""
    headers = (
        ("ce_specversion", "1.0"),
        ("ce_id", event.event_id),
        ("ce_source", event_source(app_id)),
        ("ce_type", f"kol.{event.kind}.v1"),
        ("ce_time", event.occurred_at),
        ("ce_subject", event.user.key),
        ("content-type", "application/json"),
    )
    return [(name, value.encode()) for name, value in headers]
