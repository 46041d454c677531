"""Tweets as Twitter's API v1.1 gave them, one JSON object a line (stocknet, PHEME).

A tweet is a post of its author, observed when it was written. A retweet is no post of the
retweeting user: it carries a newer observation of the original post, made when it was retweeted.
A quoting tweet is a post of its own, and carries an observation of the quoted one.
"""

import html
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, Optional

import msgspec

from stream_app.messages import BadInput, Post
from stream_app.sources.events import checked_post, fitting_topics
from stream_app.sources.json_lines import line_decoder

PLATFORM: Final = "twitter"

# fmt: off
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun",
                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# fmt: on
# strptime would read the names of days and months in the operator's language.
_TIME: Final = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d) (\d{4})",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Tag(msgspec.Struct):
    text: str


class _Entities(msgspec.Struct):
    hashtags: list[_Tag] = []
    symbols: list[_Tag] = []


class _Author(msgspec.Struct):
    id_str: str
    screen_name: str | None = None
    name: str | None = None
    followers_count: int | None = None


class _Tweet(msgspec.Struct):
    id_str: str
    created_at: str
    user: _Author
    text: str | None = None
    full_text: str | None = None
    lang: str | None = None
    retweet_count: int | None = None
    favorite_count: int | None = None
    entities: _Entities = msgspec.field(default_factory=_Entities)
    retweeted_status: Optional["_Tweet"] = None
    quoted_status: Optional["_Tweet"] = None


_tweet = line_decoder(_Tweet)


def posts_of_line(line: bytes) -> list[Post]:
    """What one tweet tells of: its own post or the one it passes on, and the one it quotes.

    Raises:
        BadInput: no tweet of this format, or one that breaks the limits of a post.
    """
    tweet = _tweet(line)
    seen_at = _time_ms(tweet.created_at)
    told = tweet.retweeted_status or tweet
    posts = [_post(told, seen_at)]
    if told.quoted_status is not None:
        posts.append(_post(_without_zeros(told.quoted_status), seen_at))
    return posts


def _post(tweet: _Tweet, seen_at: int) -> Post:
    author = tweet.user
    created_at = _time_ms(tweet.created_at)
    return checked_post(
        Post(
            id=tweet.id_str,
            platform=PLATFORM,
            user_id=author.id_str,
            text=html.unescape(tweet.full_text or tweet.text or ""),
            created_at=created_at,
            observed_at=max(created_at, seen_at),
            lang=tweet.lang,
            follower_count=author.followers_count,
            like_count=tweet.favorite_count,
            repost_count=tweet.retweet_count,
            handle=author.screen_name,
            display_name=author.name,
            url=_url(tweet),
            topics=_topics(tweet.entities),
        )
    )


def _without_zeros(quoted: _Tweet) -> _Tweet:
    """Zeros of a quoted tweet are unknown counts: the streams of 2015 did not fill them in."""
    return msgspec.structs.replace(
        quoted,
        retweet_count=quoted.retweet_count or None,
        favorite_count=quoted.favorite_count or None,
    )


def _url(tweet: _Tweet) -> str | None:
    name = tweet.user.screen_name
    return f"https://twitter.com/{name}/status/{tweet.id_str}" if name else None


def _topics(entities: _Entities) -> tuple[str, ...]:
    """Hashtags in lower case, then cash tags with their dollar sign; each once."""
    found = [tag.text.lower() for tag in entities.hashtags]
    found += [f"${tag.text.upper()}" for tag in entities.symbols]
    return fitting_topics(found)


def _time_ms(text: str) -> int:
    """Epoch milliseconds of a time like `Tue Dec 31 23:10:08 +0000 2013`."""
    match = _TIME.fullmatch(text)
    if match is None or match[1] not in _MONTHS:
        raise BadInput("invalid-field", f"created_at: {text[:40]!a} is no time of this format")
    month, day, hour, minute, second, sign, ahead_h, ahead_min, year = match.groups()
    ahead = timedelta(hours=int(ahead_h), minutes=int(ahead_min))
    try:
        zone = timezone(ahead if sign == "+" else -ahead)
        date = (int(year), _MONTHS.index(month) + 1, int(day))
        moment = datetime(*date, int(hour), int(minute), int(second), tzinfo=zone)
    except ValueError as error:
        raise BadInput("invalid-field", f"created_at: {error}") from None
    return (moment - _EPOCH) // timedelta(milliseconds=1)
