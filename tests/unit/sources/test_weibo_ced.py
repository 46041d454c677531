from pathlib import Path
from typing import Any

import pytest

from stream_app.messages import Interaction, Post, parse_time
from tests.unit.sources.written import json_lines, read

WRITTEN = parse_time("2010-12-02T04:06:58Z")


def original(**changes: Any) -> dict[str, Any]:
    return {
        "mid": "6tsQ7d",
        "uid": "1347851222",
        "label": "rumor",
        "epoch": WRITTEN // 1000,
        "time": WRITTEN // 1000,
        "text": "[怒] 千万别上当",
        "reposts": 498,
        "comments": 171,
        "likes": 5,
        "has_url": False,
        "pics": 1,
        "source": "微博 weibo.com",
        "user": {"verified": False, "verified_type": -1, "followers": 3032, "time": 1251448461},
    } | changes


def repost(**changes: Any) -> dict[str, Any]:
    return {
        "root_mid": "6tsQ7d",
        "mid": "6tsQ7e",
        "uid": "papa",
        "parent": "",
        "date": "2010-12-02 12:26:08",
        "text": "转发一下",
    } | changes


def test_an_original_is_a_post_observed_when_it_was_written(tmp_path: Path) -> None:
    (post,), bad = read("weibo-ced", json_lines(tmp_path / "o", original()))
    assert bad == []
    assert isinstance(post, Post)
    assert (post.key, post.id, post.lang) == ("weibo:1347851222", "6tsQ7d", "zh")
    assert post.text == "[怒] 千万别上当"
    assert post.created_at == post.observed_at == WRITTEN
    assert (post.like_count, post.reply_count, post.repost_count) == (5, 171, 498)
    assert post.follower_count == 3032
    assert post.url == "https://weibo.com/1347851222/6tsQ7d"


def test_a_repost_is_an_interaction_with_the_author_of_the_original(tmp_path: Path) -> None:
    through_others = repost(mid="6twoZL", uid="tangjian77", parent="6tsQ7e")
    path = json_lines(tmp_path / "o", original(), repost(), through_others)
    (_, first, second), bad = read("weibo-ced", path)
    assert bad == []
    assert first == Interaction(
        id="6tsQ7e",
        platform="weibo",
        kind="repost",
        actor_id="papa",
        target_user_id="1347851222",
        target_post_id="6tsQ7d",
        created_at=parse_time("2010-12-02T04:26:08Z"),
    )
    assert isinstance(second, Interaction)
    assert (second.key, second.target_post_id) == ("weibo:1347851222", "6tsQ7d")


def test_where_reposts_are_given_originals_carry_no_counts_of_them(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "o", original(), repost(), original(mid="other"))
    (first, other, _), _ = read("weibo-ced", path)
    for post in (first, other):
        assert isinstance(post, Post)
        assert (post.repost_count, post.reply_count, post.like_count) == (None, None, 5)


def test_originals_and_reposts_may_come_in_any_mix_of_files(tmp_path: Path) -> None:
    first = json_lines(tmp_path / "1", repost(), original(mid="b", uid="2"))
    second = json_lines(tmp_path / "2", original(), repost(root_mid="b", mid="r2"))
    for order in ((first, second), (second, first)):
        events, bad = read("weibo-ced", *order)
        assert bad == []
        assert {event.id: event.key for event in events} == {
            "6tsQ7d": "weibo:1347851222",
            "b": "weibo:2",
            "6tsQ7e": "weibo:1347851222",
            "r2": "weibo:2",
        }


def test_a_repost_of_an_original_that_is_not_there_is_a_bad_line(tmp_path: Path) -> None:
    paths = json_lines(tmp_path / "o", original()), json_lines(tmp_path / "r", repost(root_mid="x"))
    events, bad = read("weibo-ced", *paths)
    assert len(events) == 1
    assert bad == ["r:1: invalid-field: root_mid: no original 'x' in these files"]


@pytest.mark.parametrize("user", [None, {}, {"followers": None}])
def test_an_original_without_an_author_object_has_unknown_followers(
    tmp_path: Path, user: object
) -> None:
    (post,), bad = read("weibo-ced", json_lines(tmp_path / "o", original(user=user)))
    assert bad == []
    assert isinstance(post, Post)
    assert (post.user_id, post.follower_count) == ("1347851222", None)


def test_what_is_neither_original_nor_repost_is_named_and_passed_over(tmp_path: Path) -> None:
    nobodys = original()
    del nobodys["uid"]
    path = json_lines(
        tmp_path / "o",
        original(),
        nobodys,
        original(uid=""),
        original(epoch=10**15),
        original(likes=-1),
        repost(date="01月01日 18:46"),
        repost(date="2010-13-02 12:26:08"),
        repost(date="2010-12-02 12:26"),
        repost(mid=""),
        repost(uid=None),
        b"nonsense",
        repost(mid="good"),
    )
    events, bad = read("weibo-ced", path)
    assert [event.id for event in events] == ["6tsQ7d", "good"]
    assert [line.split(": ")[:3] for line in sorted(bad, key=lambda b: int(b.split(":")[1]))] == [
        ["o:2", "missing-field", "uid"],
        ["o:3", "invalid-field", "user_id"],
        ["o:4", "invalid-field", "epoch"],
        ["o:5", "invalid-field", "like_count"],
        ["o:6", "invalid-field", "date"],
        ["o:7", "invalid-field", "date"],
        ["o:8", "invalid-field", "date"],
        ["o:9", "invalid-field", "id"],
        ["o:10", "invalid-field", "uid"],
        ["o:11", "invalid-json", "value"],
    ]


def test_a_broken_date_is_shown_in_letters_that_any_log_can_hold(tmp_path: Path) -> None:
    _, (said,) = read("weibo-ced", json_lines(tmp_path / "o", repost(date="01月01日 18:46")))
    assert said == (
        r"o:1: invalid-field: date: '01\u670801\u65e5 18:46' is no time like 2012-01-31 18:46:00"
    )
