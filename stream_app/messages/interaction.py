"""An interaction: someone likes, answers, passes on, mentions or follows someone."""

from typing import Annotated, Final, Literal, get_args

import msgspec

from stream_app.messages.decoding import WireDecoder, checked_time
from stream_app.messages.fields import ItemId, Platform, Time, UserId, about
from stream_app.messages.times import rfc3339
from stream_app.messages.user_keys import user_key

Kind = Literal["like", "reply", "repost", "quote", "mention", "follow"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""The kinds of interaction."""


class Interaction(msgspec.Struct, frozen=True, kw_only=True):
    """An interaction after all checks; it belongs to its target. Times are epoch milliseconds."""

    id: str
    platform: str
    kind: Kind
    actor_id: str
    target_user_id: str
    target_post_id: str | None = None
    created_at: int

    @property
    def key(self) -> str:
        """The user key of the target."""
        return user_key(self.platform, self.target_user_id)

    @property
    def event_time(self) -> int:
        """When it happened, in epoch milliseconds."""
        return self.created_at


class InteractionMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An interaction on topic `interactions`, as it travels. The same id again counts once."""

    id: Annotated[ItemId, about("Unique within the platform.")]
    platform: Annotated[Platform, about("Where it happened: a-z, 0-9, _ and - only.")]
    kind: Annotated[Kind, about("What the actor did.")]
    actor_id: Annotated[UserId, about("Who did it; no control characters.")]
    target_user_id: Annotated[
        UserId, about("Whom it is about; what one does with oneself counts nothing.")
    ]
    target_post_id: Annotated[
        ItemId | None, about("The target's post that it is about, if it is about one.")
    ] = None
    created_at: Annotated[Time, about("When it happened.")]


_decode = WireDecoder(InteractionMessage)
_encode = msgspec.json.Encoder().encode


def decode_interaction(value: bytes | None) -> Interaction:
    """The interaction in a record's value.

    Raises:
        BadInput: the value is no valid interaction.
    """
    wire = _decode(value)
    return Interaction(
        id=wire.id,
        platform=wire.platform,
        kind=wire.kind,
        actor_id=wire.actor_id,
        target_user_id=wire.target_user_id,
        target_post_id=wire.target_post_id,
        created_at=checked_time("created_at", wire.created_at),
    )


def encode_interaction(interaction: Interaction) -> bytes:
    """Canonical JSON: the time in RFC 3339 UTC, an absent target post left out."""
    return _encode(
        InteractionMessage(
            id=interaction.id,
            platform=interaction.platform,
            kind=interaction.kind,
            actor_id=interaction.actor_id,
            target_user_id=interaction.target_user_id,
            target_post_id=interaction.target_post_id,
            created_at=rfc3339(interaction.created_at),
        )
    )
