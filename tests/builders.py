"""Valid values with one thing changed: `make_post(text="...")`."""

from typing import Any

from stream_app.messages import (
    Cause,
    EventUser,
    Factor,
    Interaction,
    KolEvent,
    Post,
    event_id,
    parse_time,
    rfc3339,
)

NOON = parse_time("2014-07-01T12:00:00Z")


def make_post(**changes: Any) -> Post:
    """A post of `twitter:u1` at `NOON`; observed when created unless told otherwise."""
    fields: dict[str, Any] = {
        "id": "p1",
        "platform": "twitter",
        "user_id": "u1",
        "text": "Chipmaker beats estimates again, and raises its outlook for the year.",
        "created_at": NOON,
    } | changes
    fields.setdefault("observed_at", fields["created_at"])
    return Post(**fields)


def make_interaction(**changes: Any) -> Interaction:
    """A like of post `p1` of `twitter:u1` by `u2`, a second after `NOON`."""
    fields: dict[str, Any] = {
        "id": "i1",
        "platform": "twitter",
        "kind": "like",
        "actor_id": "u2",
        "target_user_id": "u1",
        "target_post_id": "p1",
        "created_at": NOON + 1_000,
    } | changes
    return Interaction(**fields)


def make_event(**changes: Any) -> KolEvent:
    """A promotion of `twitter:u1` into tier `kol`, caused by post `p1`."""
    cause = changes.get("cause") or Cause(
        type="post", topic="posts", partition=3, offset=42, post_id="p1"
    )
    fields: dict[str, Any] = {
        "kind": "promoted",
        "tier": "kol",
        "from_tier": None,
        "user": EventUser(key="twitter:u1", platform="twitter", user_id="u1", handle="one"),
        "score": 12.5,
        "threshold": 12.0,
        "quantile": 0.9,
        "population": 200,
        "percentile": 90.5,
        "factors": [Factor(name="reach", value=11.0, exponent=0.3, contribution=0.719, known=True)],
        "cause": cause,
        "occurred_at": rfc3339(NOON),
        "emitted_at": rfc3339(NOON + 250),
    } | changes
    key = fields["user"].key
    fields.setdefault("event_id", event_id(key, cause, fields["tier"], fields["from_tier"]))
    return KolEvent(**fields)
