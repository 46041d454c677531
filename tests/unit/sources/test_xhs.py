from pathlib import Path
from typing import Any

import pytest

from stream_app.messages import Post, parse_time
from tests.unit.sources.written import json_lines, read

WRITTEN = parse_time("2023-05-01T08:00:00Z")
CRAWLED = parse_time("2025-03-14T01:00:00Z")


def note(**changes: Any) -> dict[str, Any]:
    return {
        "note_id": "64ec1",
        "user_id": "55f2f7e3",
        "type": "normal",
        "title": "达拉斯｜日料",
        "desc": "第一次来\n#达拉斯美食[话题]# #日料[话题]#",
        "time": WRITTEN,
        "last_update_time": WRITTEN + 1,
        "liked_count": "1.1万",
        "collected_count": "20",
        "comment_count": "3",
        "share_count": "2",
        "ip_location": "美国",
        "tag_list": "达拉斯美食,探店",
        "last_modify_ts": CRAWLED,
        "image_count": 6,
    } | changes


def creator(**changes: Any) -> dict[str, Any]:
    return {
        "user_id": "55f2f7e3",
        "follows": "74",
        "fans": "5445",
        "interaction": "64573",
        "ip_location": "美国",
        "last_modify_ts": CRAWLED - 5,
    } | changes


def posts(tmp_path: Path, *lines: dict[str, Any] | bytes) -> list[Post]:
    """Of a file in which every line is good."""
    events, bad = read("xhs", json_lines(tmp_path / "notes.jsonl", *lines))
    assert bad == []
    return [event for event in events if isinstance(event, Post)]


def test_a_note_is_a_post_read_at_the_crawl(tmp_path: Path) -> None:
    (post,) = posts(tmp_path, note(), creator())
    assert (post.key, post.id, post.lang) == ("xhs:55f2f7e3", "64ec1", "zh")
    assert post.text == "达拉斯｜日料\n第一次来\n#达拉斯美食[话题]# #日料[话题]#"
    assert (post.created_at, post.observed_at) == (WRITTEN, CRAWLED)
    assert (post.like_count, post.save_count) == (11_000, 20)
    assert (post.reply_count, post.repost_count) == (3, 2)
    assert (post.view_count, post.quote_count) == (None, None)
    assert post.follower_count == 5445
    assert post.topics == ("达拉斯美食", "探店", "日料")
    assert post.url == "https://www.xiaohongshu.com/explore/64ec1"


def test_notes_and_creators_may_come_in_any_mix_of_files(tmp_path: Path) -> None:
    first = json_lines(tmp_path / "1", note(), creator(user_id="b", fans="7"))
    second = json_lines(tmp_path / "2", creator(), note(note_id="n2", user_id="b"))
    for order in ((first, second), (second, first)):
        events, bad = read("xhs", *order)
        assert bad == []
        followers = {event.key: event.follower_count for event in events if isinstance(event, Post)}
        assert followers == {"xhs:55f2f7e3": 5445, "xhs:b": 7}


def test_an_author_without_a_creator_row_has_unknown_followers(tmp_path: Path) -> None:
    (post,) = posts(tmp_path, note(), creator(user_id="someone-else"))
    assert post.follower_count is None


def test_the_newest_creator_row_counts(tmp_path: Path) -> None:
    newer = creator(fans="1.2万", last_modify_ts=CRAWLED)
    for rows in ((newer, creator()), (creator(), newer)):
        (post,) = posts(tmp_path, note(), *rows)
        assert post.follower_count == 12_000


def test_all_notes_of_an_author_are_observed_at_the_end_of_her_crawl(tmp_path: Path) -> None:
    stamped_when_written = note(note_id="old", last_modify_ts=WRITTEN)
    early = note(note_id="early", last_modify_ts=CRAWLED - 60_000)
    other = note(note_id="other", user_id="b", last_modify_ts=CRAWLED + 9)
    found = posts(tmp_path, note(), stamped_when_written, early, other)
    assert [post.observed_at for post in found] == [CRAWLED] * 3 + [CRAWLED + 9]


def test_a_note_stamped_with_its_own_change_says_nothing_about_the_crawl(tmp_path: Path) -> None:
    changed = WRITTEN + 86_400_000
    own = note(note_id="own", last_update_time=changed, last_modify_ts=changed)
    assert [p.observed_at for p in posts(tmp_path, own, creator())] == [CRAWLED - 5]
    assert [p.observed_at for p in posts(tmp_path, own)] == [changed]
    crawled = note(last_modify_ts=changed - 1)
    assert [p.observed_at for p in posts(tmp_path, own, crawled, creator())] == [changed - 1] * 2


def test_counts_are_never_read_before_the_note_was_written(tmp_path: Path) -> None:
    unknown = note(note_id="1", last_modify_ts=None)
    wrong = note(note_id="2", last_modify_ts=WRITTEN - 1)
    assert [post.observed_at for post in posts(tmp_path, unknown, wrong)] == [WRITTEN] * 2


@pytest.mark.parametrize(
    ("title", "desc", "text"),
    [
        ("标题", "正文", "标题\n正文"),
        ("标题", "标题\n正文", "标题\n正文"),
        ("标题", "标题", "标题"),
        ("", "正文", "正文"),
        ("标题", "", "标题"),
        (" 标题 ", None, "标题"),
        (None, None, ""),
    ],
)
def test_title_and_description_are_the_text_each_once(
    tmp_path: Path, title: str | None, desc: str | None, text: str
) -> None:
    (post,) = posts(tmp_path, note(title=title, desc=desc))
    assert post.text == text


def test_counts_and_tags_that_are_not_there_are_unknown(tmp_path: Path) -> None:
    bare = {"note_id": "1", "user_id": "u", "time": WRITTEN}
    (post,) = posts(tmp_path, bare)
    assert (post.like_count, post.save_count, post.reply_count, post.repost_count) == (None,) * 4
    assert (post.text, post.topics, post.observed_at) == ("", (), WRITTEN)


def test_what_is_neither_note_nor_creator_is_named_and_passed_over(tmp_path: Path) -> None:
    path = json_lines(
        tmp_path / "n",
        note(liked_count="many"),
        note(time=10**18),
        note(time=str(WRITTEN)),
        note(last_modify_ts=-1),
        note(user_id="a\nb"),
        {"user_id": "u"},
        b"{",
        note(note_id="good"),
        creator(fans="-5"),
        creator(user_id=5),
    )
    events, bad = read("xhs", path)
    assert [event.id for event in events] == ["good"]
    assert [line.split(": ")[:3] for line in bad] == [
        ["n:1", "invalid-field", "liked_count"],
        ["n:2", "invalid-field", "time"],
        ["n:3", "invalid-field", "time"],
        ["n:4", "invalid-field", "last_modify_ts"],
        ["n:5", "invalid-field", "user_id"],
        ["n:6", "missing-field", "note_id"],
        ["n:7", "invalid-json", "value"],
        ["n:9", "invalid-field", "fans"],
        ["n:10", "invalid-field", "user_id"],
    ]


def test_a_bad_note_says_nothing_about_the_crawl(tmp_path: Path) -> None:
    late = note(note_id="bad", liked_count="?", last_modify_ts=CRAWLED + 1)
    (event,), _ = read("xhs", json_lines(tmp_path / "n", note(), late))
    assert event.event_time == CRAWLED
