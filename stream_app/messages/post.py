"""A post: one published item, or a newer observation of it."""

from typing import Annotated

import msgspec

from stream_app.messages.decoding import WireDecoder, checked_time
from stream_app.messages.fields import (
    Count,
    ItemId,
    Label,
    Language,
    Platform,
    Text,
    Time,
    Topics,
    UserId,
    about,
)
from stream_app.messages.times import rfc3339
from stream_app.messages.user_keys import user_key


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A post after all checks. Times are epoch milliseconds; a count of None is unknown."""

    id: str
    platform: str
    user_id: str
    text: str
    created_at: int
    observed_at: int  # when the counts were read; never before created_at
    lang: str | None = None
    follower_count: int | None = None
    like_count: int | None = None
    reply_count: int | None = None
    repost_count: int | None = None
    quote_count: int | None = None
    save_count: int | None = None
    view_count: int | None = None
    handle: str | None = None
    display_name: str | None = None
    url: str | None = None
    topics: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The user key, `platform:user_id`."""
        return user_key(self.platform, self.user_id)

    @property
    def event_time(self) -> int:
        """When the world looked like this post says, in epoch milliseconds."""
        return self.observed_at


ReactionCount = Annotated[
    Count | None, about("Cumulative as of observed_at; absent or null: unknown.")
]


class PostMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A post on topic `posts`, as it travels.

    The same id again, under the same platform and user, is a newer observation of the post.
    """

    id: Annotated[ItemId, about("Unique within platform and user.")]
    platform: Annotated[Platform, about("Where it was published: a-z, 0-9, _ and - only.")]
    user_id: Annotated[UserId, about("Who published it; no control characters.")]
    text: Annotated[Text, about("What it says; may be empty.")]
    created_at: Annotated[Time, about("When it was published.")]
    observed_at: Annotated[
        Time | None, about("When the counts were read; default and least value: created_at.")
    ] = None
    lang: Annotated[Language | None, about("Language of the text; not checked further.")] = None
    follower_count: Annotated[
        Count | None, about("Followers of the user; absent or null: unknown, never 0.")
    ] = None
    like_count: ReactionCount = None
    reply_count: ReactionCount = None
    repost_count: ReactionCount = None
    quote_count: ReactionCount = None
    save_count: ReactionCount = None
    view_count: ReactionCount = None
    handle: Annotated[Label | None, about("The user's handle, for people's eyes only.")] = None
    display_name: Annotated[Label | None, about("The user's name, for people's eyes only.")] = None
    url: Annotated[Label | None, about("Where the post is, for people's eyes only.")] = None
    topics: Annotated[Topics | None, about("Hashtags or domains.")] = None


_decode = WireDecoder(PostMessage)
_encode = msgspec.json.Encoder().encode


def decode_post(value: bytes | None) -> Post:
    """The post in a record's value.

    Raises:
        BadInput: the value is no valid post.
    """
    wire = _decode(value)
    created_at = checked_time("created_at", wire.created_at)
    observed_at = created_at
    if wire.observed_at is not None:
        observed_at = max(created_at, checked_time("observed_at", wire.observed_at))
    return Post(
        id=wire.id,
        platform=wire.platform,
        user_id=wire.user_id,
        text=wire.text,
        created_at=created_at,
        observed_at=observed_at,
        lang=wire.lang,
        follower_count=wire.follower_count,
        like_count=wire.like_count,
        reply_count=wire.reply_count,
        repost_count=wire.repost_count,
        quote_count=wire.quote_count,
        save_count=wire.save_count,
        view_count=wire.view_count,
        handle=wire.handle,
        display_name=wire.display_name,
        url=wire.url,
        topics=wire.topics or (),
    )


def encode_post(post: Post) -> bytes:
    """Canonical JSON: RFC 3339 times in UTC, what is unknown or default left out."""
    return _encode(
        PostMessage(
            id=post.id,
            platform=post.platform,
            user_id=post.user_id,
            text=post.text,
            created_at=rfc3339(post.created_at),
            observed_at=None if post.observed_at == post.created_at else rfc3339(post.observed_at),
            lang=post.lang,
            follower_count=post.follower_count,
            like_count=post.like_count,
            reply_count=post.reply_count,
            repost_count=post.repost_count,
            quote_count=post.quote_count,
            save_count=post.save_count,
            view_count=post.view_count,
            handle=post.handle,
            display_name=post.display_name,
            url=post.url,
            topics=post.topics or None,
        )
    )
