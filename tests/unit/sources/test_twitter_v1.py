import json
from typing import Any

import pytest

from stream_app.messages import BadInput, parse_time
from stream_app.sources.lines import MAX_LINE_BYTES
from stream_app.sources.twitter_v1 import posts_of_line


def tweet(**changes: Any) -> dict[str, Any]:
    return {
        "id_str": "1",
        "created_at": "Tue Jul 01 12:00:00 +0000 2014",
        "text": "$GME &amp; $AAPL up &lt;5%",
        "lang": "en",
        "retweet_count": 0,
        "favorite_count": 0,
        "user": {"id_str": "7", "screen_name": "seven", "followers_count": 70},
        "entities": {
            "hashtags": [{"text": "Stocks"}, {"text": "stocks"}],
            "symbols": [{"text": "gme"}],
        },
    } | changes


def line(**changes: Any) -> bytes:
    return json.dumps(tweet(**changes)).encode()


ORIGINAL = tweet(
    id_str="2",
    created_at="Mon Jun 30 10:00:00 +0000 2014",
    text="full text",
    retweet_count=15,
    favorite_count=4,
    user={"id_str": "8", "screen_name": "eight", "followers_count": 800},
)


def test_a_tweet_is_a_post_of_its_author_seen_when_it_was_written() -> None:
    (post,) = posts_of_line(line())
    assert (post.key, post.id, post.handle) == ("twitter:7", "1", "seven")
    assert post.text == "$GME & $AAPL up <5%"
    assert post.created_at == post.observed_at == parse_time("2014-07-01T12:00:00Z")
    assert (post.follower_count, post.repost_count, post.like_count) == (70, 0, 0)
    assert (post.reply_count, post.view_count) == (None, None)
    assert post.url == "https://twitter.com/seven/status/1"
    assert post.topics == ("stocks", "$GME")


def test_a_retweet_is_an_observation_of_the_original_and_no_post_of_the_retweeter() -> None:
    (post,) = posts_of_line(line(text="RT @eight: full te…", retweeted_status=ORIGINAL))
    assert (post.key, post.id, post.text) == ("twitter:8", "2", "full text")
    assert post.created_at == parse_time("2014-06-30T10:00:00Z")
    assert post.observed_at == parse_time("2014-07-01T12:00:00Z")
    assert (post.follower_count, post.repost_count, post.like_count) == (800, 15, 4)


def test_a_quoting_tweet_is_a_post_and_an_observation_of_the_quoted() -> None:
    own, quoted = posts_of_line(line(quoted_status=ORIGINAL))
    assert (own.id, quoted.id) == ("1", "2")
    assert quoted.observed_at == own.created_at
    assert quoted.repost_count == 15


def test_zeros_of_a_quoted_tweet_are_unknown() -> None:
    zeros = ORIGINAL | {"retweet_count": 0, "favorite_count": 0}
    _, quoted = posts_of_line(line(quoted_status=zeros))
    assert (quoted.repost_count, quoted.like_count) == (None, None)


def test_a_retweeted_quote_tells_of_both_tweets() -> None:
    retweeted = tweet(id_str="3") | {"quoted_status": ORIGINAL}
    assert [post.id for post in posts_of_line(line(retweeted_status=retweeted))] == ["3", "2"]


def test_offsets_count() -> None:
    (post,) = posts_of_line(line(created_at="Tue Jul 01 12:00:00 -0430 2014"))
    assert post.created_at == parse_time("2014-07-01T16:30:00Z")


def test_more_topics_than_a_post_may_have_are_left_out() -> None:
    tags = [{"text": "x" * 129}, {"text": ""}, *({"text": f"t{i}"} for i in range(70))]
    (post,) = posts_of_line(line(entities={"hashtags": tags, "symbols": []}))
    assert post.topics == tuple(f"t{i}" for i in range(64))


def test_what_is_not_told_is_unknown() -> None:
    bare = {"id_str": "1", "created_at": "Tue Jul 01 12:00:00 +0000 2014", "user": {"id_str": "7"}}
    (post,) = posts_of_line(json.dumps(bare).encode())
    assert (post.text, post.lang, post.url, post.topics) == ("", None, None, ())
    assert (post.follower_count, post.repost_count) == (None, None)


@pytest.mark.parametrize(
    ("bad", "reason", "begins"),
    [
        (b"{", "invalid-json", "value: "),
        (b'{"x": ' + b"[" * 100_000, "invalid-json", "value: "),
        (line().replace(b"Stocks", b"\xff"), "invalid-json", "value: "),
        (b"{}", "missing-field", "id_str: "),
        (line(user={}), "missing-field", "user.id_str: "),
        (b'{"' + b"x" * MAX_LINE_BYTES, "too-large", "value: "),
        (line(user={"id_str": 7}), "invalid-field", "user.id_str: "),
        (line(user={"id_str": ""}), "invalid-field", "user_id: "),
        (line(retweet_count=-1), "invalid-field", "repost_count: "),
        (line(created_at="2014-07-01"), "invalid-field", "created_at: "),
        (line(created_at="Tue Jux 01 12:00:00 +0000 2014"), "invalid-field", "created_at: "),
        (line(created_at="Tue Jun 31 12:00:00 +0000 2014"), "invalid-field", "created_at: "),
        (line(created_at="Tue Jul 01 12:00:00 +9900 2014"), "invalid-field", "created_at: "),
        (line(created_at="Tue Jul 01 12:00:00 +0000 1914"), "invalid-field", "created_at: "),
    ],
)
def test_what_is_no_tweet_is_refused(bad: bytes, reason: str, begins: str) -> None:
    with pytest.raises(BadInput) as caught:
        posts_of_line(bad)
    assert caught.value.reason == reason
    assert caught.value.detail.startswith(begins)
