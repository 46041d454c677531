"""Xiaohongshu: notes and creators as crawlers store them, JSON Lines in any mix of files.

Counts and followers were read at the crawl, long after most notes were written. A crawl goes
through an author's notes from the newest to the oldest and stamps some with the time of their last
change instead; so all notes of an author are observed when the last of them was read.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from stream_app.messages import Post
from stream_app.messages.decoding import checked_time
from stream_app.sources.counts import count_of
from stream_app.sources.events import checked_post, fitting_topics
from stream_app.sources.json_lines import fields_of_line, line_decoder
from stream_app.sources.lines import BadLine, Line, read_lines

PLATFORM: Final = "xhs"

_TOPIC: Final = re.compile(r"#([^#\n]+)\[话题\]#")


class _Note(msgspec.Struct):
    note_id: str
    user_id: str
    time: int  # when it was written, in epoch milliseconds
    last_update_time: int | None = None
    title: str | None = None
    desc: str | None = None
    liked_count: str | int | None = None
    collected_count: str | int | None = None
    comment_count: str | int | None = None
    share_count: str | int | None = None
    tag_list: str | None = None  # names with commas between
    last_modify_ts: int | None = None  # when it was crawled, in epoch milliseconds


class _Creator(msgspec.Struct):
    user_id: str
    fans: str | int
    last_modify_ts: int = 0


_note = line_decoder(_Note)
_creator = line_decoder(_Creator)
_names = fields_of_line("note_id", "fans")


def posts_of_files(paths: Sequence[str]) -> Iterator[Post | BadLine]:
    """Bad lines as they are found, then every note with what is known of its author at the end."""
    crawl = _Crawl()
    yield from read_lines(paths, crawl.take)
    yield from crawl.posts()


class _Crawl:
    """What has been read so far."""

    def __init__(self) -> None:
        self._posts: list[Post] = []
        # By author: whether it is a time of the crawl, and the time.
        self._ended: dict[str, tuple[bool, int]] = {}
        self._fans: dict[str, tuple[int, int | None]] = {}  # by author: when read, how many

    def take(self, line: Line) -> tuple[()]:
        """Gives nothing yet. Raises BadInput for what is neither a note nor a creator."""
        if _names(line.content) == {"fans"}:
            self._take_creator(_creator(line.content))
        else:
            self._take_note(_note(line.content))
        return ()

    def posts(self) -> Iterator[Post]:
        for post in self._posts:
            fans_at, fans = self._fans.get(post.user_id, (0, None))
            is_known, ended_at = self._ended[post.user_id]
            seen_at = max(post.created_at, ended_at, 0 if is_known else fans_at)
            yield msgspec.structs.replace(post, observed_at=seen_at, follower_count=fans)

    def _take_creator(self, creator: _Creator) -> None:
        fans = count_of("fans", creator.fans)
        read_at = checked_time("last_modify_ts", creator.last_modify_ts)
        if read_at >= self._fans.get(creator.user_id, (0, None))[0]:
            self._fans[creator.user_id] = (read_at, fans)

    def _take_note(self, note: _Note) -> None:
        post = _post(note)
        self._posts.append(post)
        of_crawl = note.last_modify_ts not in (None, note.time, note.last_update_time)
        before = self._ended.get(post.user_id, (False, 0))
        self._ended[post.user_id] = max(before, (of_crawl, post.observed_at))


def _post(note: _Note) -> Post:
    created_at = checked_time("time", note.time)
    crawled_at = created_at
    if note.last_modify_ts is not None:
        crawled_at = checked_time("last_modify_ts", note.last_modify_ts)
    text = _text(note.title or "", note.desc or "")
    return checked_post(
        Post(
            id=note.note_id,
            platform=PLATFORM,
            user_id=note.user_id,
            text=text,
            created_at=created_at,
            observed_at=max(created_at, crawled_at),
            lang="zh",
            like_count=count_of("liked_count", note.liked_count),
            reply_count=count_of("comment_count", note.comment_count),
            repost_count=count_of("share_count", note.share_count),
            save_count=count_of("collected_count", note.collected_count),
            url=f"https://www.xiaohongshu.com/explore/{note.note_id}",
            topics=_topics(note.tag_list or "", text),
        )
    )


def _text(title: str, desc: str) -> str:
    """Title and description, each word once: some descriptions begin with the title."""
    title, desc = title.strip(), desc.strip()
    if desc.startswith(title):
        return desc
    return f"{title}\n{desc}" if desc else title


def _topics(tag_list: str, text: str) -> tuple[str, ...]:
    names = [*tag_list.split(","), *_TOPIC.findall(text)]
    return fitting_topics(name.strip() for name in names)
