"""A post: one published item, or a newer observation of it."""

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec.structs import force_setattr

from stream_app.messages.decoding import WireDecoder, checked_time, quickly
from stream_app.messages.fields import (
    Count,
    ItemId,
    Label,
    Language,
    Platform,
    PlatformText,
    Text,
    Time,
    Topics,
    UserId,
    UserIdText,
    about,
    is_platform,
)
from stream_app.messages.times import rfc3339
from stream_app.messages.user_keys import user_key

if TYPE_CHECKING:
    _Ms = int
else:
    _Ms = Time  # as it travels; `decode_post` leaves milliseconds in its place


class Post(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A post after all checks. Times are epoch milliseconds; a count of None is unknown."""

    id: ItemId
    platform: PlatformText
    user_id: UserIdText
    text: Text
    created_at: _Ms
    #: when the counts were read; never before created_at
    observed_at: _Ms = None  # type: ignore[assignment]  # only until `decode_post` has set it
    lang: Language | None = None
    follower_count: Count | None = None
    like_count: Count | None = None
    reply_count: Count | None = None
    repost_count: Count | None = None
    quote_count: Count | None = None
    save_count: Count | None = None
    view_count: Count | None = None
    handle: Label | None = None
    display_name: Label | None = None
    url: Label | None = None
    topics: Topics = ()

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


_decode = msgspec.json.Decoder(Post).decode
_decode_message = WireDecoder(PostMessage)
_encode = msgspec.json.Encoder().encode


def decode_post(value: bytes | None) -> Post:
    """The post in a record's value.

    Raises:
        BadInput: the value is no valid post.
    """
    # The limits of `Post` leave out what is dear to check and as good as always true.
    post = quickly(_decode, value)
    if post is None or not is_platform(post.platform) or not post.user_id.isprintable():
        return decode_checked(value)
    created_at, observed_at = post.created_at, post.observed_at
    if type(created_at) is not int:
        created_at = checked_time("created_at", created_at)
        force_setattr(post, "created_at", created_at)
    if observed_at is None:
        force_setattr(post, "observed_at", created_at)
    elif type(observed_at) is not int or observed_at < created_at:
        observed_at = max(created_at, checked_time("observed_at", observed_at))
        force_setattr(post, "observed_at", observed_at)
    return post


def decode_checked(value: bytes | None) -> Post:
    """As `decode_post`, each field by the rules of `PostMessage`."""
    wire = _decode_message(value)
    created_at = checked_time("created_at", wire.created_at)
    observed_at = created_at
    if wire.observed_at is not None:
        observed_at = max(created_at, checked_time("observed_at", wire.observed_at))
    fields = {name: getattr(wire, name) for name in wire.__struct_fields__}
    return Post(
        **fields
        | {"created_at": created_at, "observed_at": observed_at, "topics": wire.topics or ()}
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
