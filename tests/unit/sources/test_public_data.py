"""The public data sets as they are: nothing lost on the way, every bad line explained."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_app.messages import Interaction, Post
from stream_app.sources import BadLine, Event, in_event_time_order, read_events

DATA = Path(__file__).parents[3].parent / "shared" / "data"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="needs the public data sets"),
]

COUNTS = ("like", "reply", "repost", "save")


def read(format_name: str, *names: str) -> tuple[list[Post], list[Interaction], list[BadLine]]:
    found = list(read_events([str(DATA / name) for name in names], format_name))
    return (
        [item for item in found if isinstance(item, Post)],
        [item for item in found if isinstance(item, Interaction)],
        [item for item in found if isinstance(item, BadLine)],
    )


def sums(posts: list[Post]) -> dict[str, int]:
    return {name: sum(getattr(post, f"{name}_count") or 0 for post in posts) for name in COUNTS}


def json_rows(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / name) as file:
        yield from map(json.loads, file)


def is_in_order(events: list[Event]) -> bool:
    times = [(event.event_time, event.created_at) for event in in_event_time_order(events)]
    return times == sorted(times)


def test_stocknet_and_pheme_are_read_whole() -> None:
    stocknet, _, bad = read("twitter-v1", "stocknet_tweets_2014-01_2015-08.jsonl.gz")
    assert bad == []
    rows = list(json_rows("stocknet_tweets_2014-01_2015-08.jsonl.gz"))
    told = [row.get("retweeted_status") or row for row in rows]
    assert len(rows) == 71_019
    assert len(stocknet) == len(rows) + sum("quoted_status" in row for row in told)
    quoted = [row["quoted_status"] for row in told if "quoted_status" in row]
    assert sums(stocknet)["repost"] == sum(row["retweet_count"] for row in [*told, *quoted])
    assert sums(stocknet)["like"] == sum(row["favorite_count"] for row in [*told, *quoted])

    pheme, _, bad = read("twitter-v1", "pheme_source_tweets_2014-08_2014-11.jsonl.gz")
    assert (len(pheme), bad) == (2_418, [])


def test_xiaohongshu_is_read_whole() -> None:
    posts, _, bad = read("xhs", "xhs_notes_dev.jsonl.gz", "xhs_creators_dev.jsonl.gz")
    assert (len(posts), bad) == (8_742, [])
    names = {
        "like": "liked_count",
        "reply": "comment_count",
        "repost": "share_count",
        "save": "collected_count",
    }
    written = Counter[str]()
    for row in json_rows("xhs_notes_dev.jsonl.gz"):
        for name, field in names.items():
            written[name] += 11_000 if row[field] == "1.1万" else int(row[field])
    assert sums(posts) == dict(written)
    fans = {row["user_id"]: int(row["fans"]) for row in json_rows("xhs_creators_dev.jsonl.gz")}
    assert {post.user_id: post.follower_count for post in posts} == {
        post.user_id: fans.get(post.user_id) for post in posts
    }
    assert len({post.user_id for post in posts if post.follower_count is None}) == 1
    # One moment for each author, and all of them in the days of the crawl.
    assert len({(post.user_id, post.observed_at) for post in posts}) == 53
    assert min(post.observed_at for post in posts) >= 1_741_000_000_000
    assert sum(post.text == "" for post in posts) == 31
    assert is_in_order([*posts])


def test_facebook_is_read_whole() -> None:
    posts, _, bad = read("facebook-csv", "fb_news_posts_dev.csv.gz")
    assert (len(posts), bad) == (9_900, [])
    with gzip.open(DATA / "fb_news_posts_dev.csv.gz") as file:
        rows = list(csv.DictReader(io.TextIOWrapper(file, "utf-8", newline="")))
    likes = sum(int(row[name]) for row in rows for name in row if name.startswith("react_"))
    shares = sum(int(row["shares"]) for row in rows)
    assert sums(posts) == {"like": likes, "reply": 0, "repost": shares, "save": 0}
    assert len({post.key for post in posts}) == 41
    assert sum(post.text == "" for post in posts) == 19


def test_weibo_originals_alone_carry_their_counts() -> None:
    posts, interactions, bad = read("weibo-ced", "ced_weibo_originals_2010_2012.jsonl.gz")
    assert (len(posts), interactions, bad) == (1_735, [], [])
    rows = list(json_rows("ced_weibo_originals_2010_2012.jsonl.gz"))
    assert sums(posts) == {
        "like": sum(row["likes"] for row in rows),
        "reply": sum(row["comments"] for row in rows),
        "repost": sum(row["reposts"] for row in rows),
        "save": 0,
    }
    assert sum(post.follower_count is None for post in posts) == 40


def test_weibo_reposts_are_interactions_but_for_26_with_a_broken_date() -> None:
    posts, interactions, bad = read(
        "weibo-ced",
        "ced_weibo_reposts_2010_2012.jsonl.gz",
        "ced_weibo_originals_2010_2012.jsonl.gz",
    )
    assert len(posts) == 1_735
    assert len(interactions) + len(bad) == 665_135
    assert [line.detail[:6] for line in bad] == ["date: "] * 26
    assert sums(posts)["repost"] == sums(posts)["reply"] == 0
    authors = {post.id: post.user_id for post in posts}
    assert all(authors[i.target_post_id or ""] == i.target_user_id for i in interactions)
    read_plainly = Counter(
        row["root_mid"]
        for row in json_rows("ced_weibo_reposts_2010_2012.jsonl.gz")
        if row["date"].startswith("20")
    )
    assert Counter(i.target_post_id for i in interactions) == read_plainly
    events: list[Event] = [*posts, *interactions]
    assert is_in_order(events)
