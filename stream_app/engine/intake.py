"""From a record to something to do: score it, forward it, or put it aside with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from stream_app.core.aggregate import new_row
from stream_app.core.row import UserRow
from stream_app.engine.topics import TopicNames
from stream_app.messages import (
    BadInput,
    Interaction,
    Post,
    decode_interaction,
    decode_post,
    partition_of,
)
from stream_app.messages.marks import APP, FORWARDED, ORIGIN

#: A time later than the record's own timestamp by more than this is clamped to that timestamp.
MAX_SKEW_MS = 5 * 60 * 1000


class Accepted(msgspec.Struct, gc=False):
    """A valid event of a user of this partition."""

    key: bytes
    post: Post | None
    interaction: Interaction | None
    #: a time in it was later than the record and was clamped; such an event moves no high mark
    clamped: bool
    #: "topic/partition" and offset where a forwarded record was first read
    origin: tuple[str, int] | None

    @property
    def event_time(self) -> int:
        """When it happened (ms)."""
        if self.post is not None:
            return self.post.observed_at
        event: Any = self.interaction
        time: int = event.event_time
        return time

    def new_row(self) -> UserRow:
        """The row of its user, of whom nothing is known yet."""
        if self.post is not None:
            return new_row(self.post.platform, self.post.user_id)
        event: Any = self.interaction
        return new_row(event.platform, event.target_user_id)


@dataclass(slots=True)
class Rejected:
    """A record that goes to the dead-letter topic."""

    reason: str
    detail: str


@dataclass(slots=True)
class Misplaced:
    """A valid event in the wrong partition, to be forwarded under its right key."""

    key: bytes
    partition: int


@dataclass(slots=True)
class OfAnotherApp:
    """A record that another app has forwarded, and that this one forwards itself: no event."""


Verdict = Accepted | Rejected | Misplaced | OfAnotherApp


def header(headers: Any, name: str) -> bytes | None:
    """A header's value; Faust hands headers over as a mapping or as pairs."""
    if not headers:
        return None
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    for key, value in pairs:
        if key == name:
            found: bytes = value
            return found
    return None


class Intake:
    """Decodes and places records of the source topics."""

    def __init__(self, topics: TopicNames, partitions: int, app_id: str) -> None:
        self._posts = topics.posts
        self._partitions = partitions
        self._app_id = app_id.encode()

    def read(self, message: Any) -> Verdict:
        """What to do with a record; never raises for what the record contains."""
        try:
            if message.topic == self._posts:
                return self._place(message, decode_post(message.value), None)
            return self._place(message, None, decode_interaction(message.value))
        except BadInput as bad:
            return Rejected(bad.reason, bad.detail)

    def _place(self, message: Any, post: Post | None, interaction: Interaction | None) -> Verdict:
        event: Any = post if post is not None else interaction
        key: bytes = event.key.encode()
        partition = partition_of(key, self._partitions)
        headers = message.headers
        forwarded = bool(headers) and header(headers, FORWARDED) is not None
        if forwarded and header(headers, APP) not in (None, self._app_id):
            return OfAnotherApp()
        if partition != message.partition:
            if forwarded:
                field = "user_id" if post is not None else "target_user_id"
                return Rejected(
                    "wrong-partition",
                    f"{field}: belongs to partition {partition} of {self._partitions}, was "
                    f"forwarded to {message.partition}",
                )
            return Misplaced(key, partition)
        # A record without a timestamp has -1.
        timestamp = max(0, round(message.timestamp * 1000))
        clamped = False
        if post is not None:
            post, clamped = _clamp_post(post, timestamp)
        elif interaction is not None and interaction.created_at > timestamp + MAX_SKEW_MS:
            interaction = msgspec.structs.replace(interaction, created_at=timestamp)
            clamped = True
        origin = self._origin(message) if forwarded else None
        return Accepted(key, post, interaction, clamped, origin)

    def _origin(self, message: Any) -> tuple[str, int] | None:
        """Where a forwarded record came from.

        None for what no worker has written: the reserved row keeps a cursor for each place, so
        there must be no more of them than partitions.
        """
        value = header(message.headers, ORIGIN)
        if value is None:
            return None
        try:
            topic, partition, offset = value.decode().rsplit("/", 2)
            place, number = int(partition), int(offset)
        except (UnicodeDecodeError, ValueError):
            return None
        if topic != message.topic or not (0 <= place < self._partitions and 0 <= number < 2**63):
            return None
        return f"{topic}/{place}", number


def _clamp_post(post: Post, timestamp: int) -> tuple[Post, bool]:
    latest = timestamp + MAX_SKEW_MS
    if post.created_at <= latest and post.observed_at <= latest:
        return post, False
    created_at = min(post.created_at, timestamp) if post.created_at > latest else post.created_at
    observed_at = timestamp if post.observed_at > latest else post.observed_at
    return (
        msgspec.structs.replace(
            post, created_at=created_at, observed_at=max(created_at, observed_at)
        ),
        True,
    )
