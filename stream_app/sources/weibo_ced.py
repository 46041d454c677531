"""Weibo repost cascades as in CED: originals and their reposts, JSON Lines in any mix of files.

An original is a post, observed when it was written. A repost is no post of the reposting user but
an interaction with the author of the original, however many others it went through. That set does
not tell reposts from comments; so where reposts are given, originals come without their counts of
both: a source sends either counts or interactions for the same kind.
"""

import re
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from stream_app.messages import BadInput, Interaction, Post
from stream_app.messages.bad_input import shown
from stream_app.messages.decoding import checked_time
from stream_app.sources.events import Event, checked_interaction, checked_post
from stream_app.sources.json_lines import fields_of_line, line_decoder
from stream_app.sources.lines import BadLine, Line, read_lines

PLATFORM: Final = "weibo"

_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)", re.ASCII)
_ZONE: Final = "+08:00"  # China time, all year


class _Author(msgspec.Struct):
    followers: int | None = None


class _Original(msgspec.Struct):
    mid: str
    epoch: int  # seconds
    uid: str
    text: str | None = None
    reposts: int | None = None
    comments: int | None = None
    likes: int | None = None
    user: _Author | None = None


class _RepostLine(msgspec.Struct):
    root_mid: str
    mid: str
    uid: str
    date: str


class _Repost(msgspec.Struct, gc=False):
    """A repost that waits until all originals are known; there may be a million of them."""

    path: str
    number: int
    root_mid: str
    mid: str
    uid: str
    created_at: int


_original = line_decoder(_Original)
_repost = line_decoder(_RepostLine)
_names = fields_of_line("root_mid")


def events_of_files(paths: Sequence[str]) -> Iterator[Event | BadLine]:
    """Bad lines as they are found, then the posts, then the interactions with them."""
    cascades = _Cascades()
    yield from read_lines(paths, cascades.take)
    yield from cascades.events()


class _Cascades:
    """What has been read so far."""

    def __init__(self) -> None:
        self._posts: list[Post] = []
        self._author_of: dict[str, str] = {}
        self._reposts: deque[_Repost] = deque()
        self._has_reposts = False

    def take(self, line: Line) -> tuple[()]:
        """Gives nothing yet. Raises BadInput for what is neither an original nor a repost."""
        if _names(line.content):
            self._has_reposts = True
            self._reposts.append(_waiting(line, _repost(line.content)))
        else:
            post = _post(_original(line.content))
            self._posts.append(post)
            self._author_of.setdefault(post.id, post.user_id)
        return ()

    def events(self) -> Iterator[Event | BadLine]:
        """Lets go of what it gives, so that nothing is held twice."""
        for post in self._posts:
            yield _without_counts_of_reposts(post) if self._has_reposts else post
        while self._reposts:
            repost = self._reposts.popleft()
            try:
                yield self._interaction(repost)
            except BadInput as bad:
                yield BadLine.of(repost.path, repost.number, bad)

    def _interaction(self, repost: _Repost) -> Interaction:
        author = self._author_of.get(repost.root_mid)
        if author is None:
            name = shown(repost.root_mid)
            raise BadInput("invalid-field", f"root_mid: no original {name} in these files")
        return checked_interaction(
            Interaction(
                id=repost.mid,
                platform=PLATFORM,
                kind="repost",
                actor_id=repost.uid,
                target_user_id=author,
                target_post_id=repost.root_mid,
                created_at=repost.created_at,
            )
        )


def _post(original: _Original) -> Post:
    created_at = checked_time("epoch", original.epoch * 1_000)
    return checked_post(
        Post(
            id=original.mid,
            platform=PLATFORM,
            user_id=original.uid,
            text=original.text or "",
            created_at=created_at,
            observed_at=created_at,
            lang="zh",
            follower_count=None if original.user is None else original.user.followers,
            like_count=original.likes,
            reply_count=original.comments,
            repost_count=original.reposts,
            url=f"https://weibo.com/{original.uid}/{original.mid}",
        )
    )


def _without_counts_of_reposts(post: Post) -> Post:
    return msgspec.structs.replace(post, reply_count=None, repost_count=None)


def _waiting(line: Line, repost: _RepostLine) -> _Repost:
    root_mid = sys.intern(repost.root_mid)  # one string for a whole cascade
    created_at = _time_ms(repost.date)
    return _Repost(line.path, line.number, root_mid, repost.mid, repost.uid, created_at)


def _time_ms(text: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise BadInput("invalid-field", f"date: {shown(text)} is no time like 2012-01-31 18:46:00")
    return checked_time("date", f"{match[1]}T{match[2]}{_ZONE}")
