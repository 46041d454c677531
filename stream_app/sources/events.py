"""What files give: posts and interactions, held to the contract, in the order they are sent."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Final, TypeVar

from stream_app.messages import (
    Interaction,
    Post,
    decode_interaction,
    decode_post,
    encode_interaction,
    encode_post,
)
from stream_app.messages.fields import MAX_TOPIC_CODE_POINTS, MAX_TOPICS

Event = Post | Interaction

E = TypeVar("E", bound=Event)

_CREATED_AT: Final = attrgetter("created_at")
_EVENT_TIME: Final = attrgetter("event_time")


def checked_post(post: Post) -> Post:
    """The post as whoever reads it from Kafka will see it.

    Raises:
        BadInput: it breaks the limits of a post.
    """
    return decode_post(encode_post(post))


def checked_interaction(interaction: Interaction) -> Interaction:
    """The interaction, found good; itself and no copy, so that many can share their strings.

    Raises:
        BadInput: it breaks the limits of an interaction.
    """
    decode_interaction(encode_interaction(interaction))
    return interaction


def fitting_topics(names: Iterable[str]) -> tuple[str, ...]:
    """Each topic once, without those that are longer or more than a post may have."""
    fitting = (name for name in names if 0 < len(name) <= MAX_TOPIC_CODE_POINTS)
    return tuple(dict.fromkeys(fitting))[:MAX_TOPICS]


def in_event_time_order(events: Iterable[E]) -> list[E]:
    """The events by event time. Holds them all: 1 to 2 kB for a post, 0.4 kB for an interaction.

    Posts whose counts were read at one moment come oldest first: a user's row with a full memory
    would take an older one for forgotten. What is equal in both times keeps its order.
    """
    found = sorted(events, key=_CREATED_AT)
    found.sort(key=_EVENT_TIME)  # keeps the order of equal ones
    return found
