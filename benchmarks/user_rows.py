"""Users in any number, their posts, and the rows that a worker would write of them.

Rows are folded, decided and encoded by the program's own functions, without Kafka in between. Most
users have one post (3 of 4), some two or three, a few hundreds: the number falls off as 1/n^2.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from benchmarks.null_worker import NullEncoder
from stream_app.core.aggregate import fold_post, new_row
from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.row import UserRow, encode_row
from stream_app.core.scheme import Scheme
from stream_app.core.standing import z_of
from stream_app.core.tiers import Line, draw
from stream_app.engine.batch import Touched
from stream_app.engine.decider import Decider
from stream_app.engine.internal_records import PartitionMeta
from stream_app.engine.partition import Partition
from stream_app.messages import Cause, Post, TextFeatures, partition_of

PLATFORM = "bench"
START_MS = 1_700_000_000_000
SPAN_MS = 30 * 86_400_000
MOST_POSTS = 500
#: Users whose scores draw the line that decides everybody's tier.
DRAWN_FROM = 20_000

_encoder = NullEncoder()


@dataclass(frozen=True)
class User:
    """One user and all of her posts, ascending by time."""

    number: int
    key: bytes
    posts: list[Post]


def users(first: int, last: int, seed: int) -> Iterator[User]:
    """Users `first` to `last` - 1; each depends on her number and the seed alone."""
    for number in range(first, last):
        generator = random.Random(seed * 1_000_003 + number)
        count = min(MOST_POSTS, int(generator.paretovariate(2.0)))
        name = f"user-{number}"
        followers = int(generator.lognormvariate(6, 2))
        times = sorted(START_MS + generator.randrange(SPAN_MS) for _ in range(count))
        posts = [
            Post(
                id=f"{number}-{index}",
                platform=PLATFORM,
                user_id=name,
                text=f"post {index} of {name}: words that nobody reads",
                created_at=at,
                observed_at=at,
                follower_count=followers,
                like_count=int(generator.lognormvariate(1, 2)),
                reply_count=int(generator.lognormvariate(0, 1)),
                handle=f"@{name}",
                display_name=f"User {number}",
                url=f"https://social.example/{name}/{index}",
            )
            for index, at in enumerate(times)
        ]
        yield User(number, f"{PLATFORM}:{name}".encode(), posts)


def folded(user: User, scheme: Scheme, topic: str, offsets: list[int]) -> UserRow:
    """The row of a user whose posts stand at these offsets of the topic; no tier decided."""
    row = new_row(PLATFORM, f"user-{user.number}")
    for post, offset in zip(user.posts, offsets, strict=True):
        fold_post(row, post, _features(post.text), scheme)
        row.offsets[topic] = offset
    return row


class Writer:
    """Makes the rows that are written: with tier, and the event that told of it."""

    def __init__(self, scheme: Scheme, topic: str, seed: int) -> None:
        self._scheme = scheme
        self._topic = topic
        sketch = QuantileSketch()
        for user in users(0, DRAWN_FROM, seed):
            z = z_of(folded(user, scheme, topic, [0] * len(user.posts)), scheme)
            assert z is not None
            sketch.insert(z)
        mark = START_MS + SPAN_MS
        line = Line(1, mark, mark, sketch.n, draw(sketch, scheme), {}, scheme.formula)
        self._partition = Partition(0, PartitionMeta(line=line), scheme)
        self._decider = Decider(scheme, {0: self._partition})
        self._decider.sketch = sketch

    def row(self, user: User, partitions: int) -> tuple[int, bytes]:
        """The partition and the bytes of a user's row, of posts before all that are in Kafka."""
        number = partition_of(user.key, partitions)
        row = folded(user, self._scheme, self._topic, [0] * len(user.posts))
        touched = Touched(self._partition, user.key, row)
        touched.cause = Cause(
            type="post",
            topic=self._topic,
            partition=number,
            offset=0,
            post_id=user.posts[-1].id,
        )
        self._decider.decide(touched, None)
        assert touched.z is not None
        return number, encode_row(row, touched.z, self._scheme.formula)


def without_tier(row: UserRow) -> UserRow:
    """What does not depend on when a line came."""
    return msgspec.structs.replace(row, tier=None, tier_since=None, transition=None)


def _features(text: str) -> TextFeatures:
    return _encoder.encode([text])[0]
