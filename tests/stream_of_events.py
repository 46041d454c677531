"""Streams of posts and interactions whose outcome is known: made by seed, counted by the contract.

The counting here is a second, slow and obvious reading of the contract's section 5. It takes events
in any order, which is what the generator keeps to: whatever order topics, partitions and forwarding
bring about, the outcome of such a stream is one.
"""

from __future__ import annotations

import json
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from stream_app.core.originality import FLOOR
from stream_app.messages import COUNT_FIELDS, KINDS, parse_time, partition_of, rfc3339, user_key
from tests.kafka.clients import Record

Topic = Literal["posts", "interactions"]

START = parse_time("2014-07-01T00:00:00Z")
STEP_MS = 60_000  # between one event and the next, so that no two are observed at the same time
HALF_LIFE_MS = 30 * 86_400_000
ACTIVE_WINDOW_MS = 90 * 86_400_000
NEUTRAL_REACH = 400
WEIGHTS = {
    "like": 1, "reply": 2, "repost": 3, "quote": 3, "save": 2, "view": 0, "mention": 1, "follow": 2,
}  # fmt: skip
EXPONENTS = {"reach": 0.3, "attention": 0.3, "resonance": 0.4, "text": 0.1}

#: Memories of the workers that score such a stream: small, so that what is counted twice shows.
POST_MEMORY = 16
INTERACTION_MEMORY = 8

#: Values that no worker may score, with the reason it must give.
BAD_POSTS: tuple[tuple[bytes | None, str], ...] = (
    (b"{", "invalid-json"),
    (b"\xff\xfe", "invalid-json"),
    (None, "empty"),
    (b"", "empty"),
    (b'{"id":"x","platform":"x","user_id":"u1"}', "missing-field"),
    (
        b'{"id":"x","platform":"x","user_id":"u1","text":"","created_at":"2014-07-01T00:00:00Z",'
        b'"like_count":-1}',
        "invalid-field",
    ),
    (b'{"id":"x","platform":"X!","user_id":"u1","text":"","created_at":0}', "invalid-field"),
)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One record to be produced, and what is in it; `content` is None for a bad one."""

    topic: Topic
    record: Record
    content: dict[str, Any] | None
    reason: str | None = None
    misplaced: bool = False


@dataclass
class User:
    """What the contract makes of one user's events."""

    key: str
    posts: dict[str, dict[str, Any]] = field(default_factory=dict)
    interactions: dict[str, dict[str, Any]] = field(default_factory=dict)
    followers: tuple[int, int | None] = (-1, None)

    def take(self, topic: Topic, content: dict[str, Any]) -> None:
        if topic == "interactions":
            if content["actor_id"] != content["target_user_id"]:
                self.interactions.setdefault(content["id"], content)
            return
        at = observed_at(content)
        if content.get("follower_count") is not None and at > self.followers[0]:
            self.followers = (at, content["follower_count"])
        known = self.posts.setdefault(
            content["id"], {"at": -1, "created": parse_time(content["created_at"]), "counts": {}}
        )
        known["text"] = content["text"]
        if at > known["at"]:
            known["at"] = at
            known["counts"] |= {
                name: content[f"{name}_count"]
                for name in COUNT_FIELDS
                if content.get(f"{name}_count") is not None
            }

    def raw(self) -> dict[str, Any]:
        """As under `raw` in the web's answer."""
        return {
            "posts": len(self.posts),
            **{n: sum(p["counts"].get(n, 0) for p in self.posts.values()) for n in COUNT_FIELDS},
            "interactions": {
                kind: sum(i["kind"] == kind for i in self.interactions.values()) for kind in KINDS
            },
        }

    def factors(self, at: int) -> dict[str, float]:
        """Value of each factor as of `at` (ms)."""
        drawn = {
            post_id: 1.0 + sum(WEIGHTS[name] * count for name, count in post["counts"].items())
            for post_id, post in self.posts.items()
        }
        loose = 0.0
        for interaction in self.interactions.values():
            weight = WEIGHTS[interaction["kind"]]
            if interaction.get("target_post_id") in drawn:
                drawn[interaction["target_post_id"]] += weight
            else:
                loose += weight * _worth(parse_time(interaction["created_at"]), at)
        worth = {post_id: _worth(post["created"], at) for post_id, post in self.posts.items()}
        total = math.fsum(worth.values())
        logs = math.fsum(worth[post_id] * math.log(drawn[post_id]) for post_id in worth)
        followers = NEUTRAL_REACH if self.followers[1] is None else self.followers[1]
        return {
            "reach": 1.0 + followers,
            "attention": math.fsum(worth[post_id] * drawn[post_id] for post_id in worth) + loose,
            "resonance": math.exp(logs / total),
            "text": self._originality(worth),
        }

    def score(self, at: int) -> float:
        factors = self.factors(at)
        return math.exp(sum(EXPONENTS[name] * math.log(factors[name]) for name in factors))

    def _originality(self, worth: dict[str, float]) -> float:
        """The decayed mean of 1 for a new text and FLOOR for one the user has posted before."""
        seen: set[str] = set()
        value = weight = 0.0
        for post_id, post in sorted(
            self.posts.items(), key=lambda item: (item[1]["created"], item[0])
        ):
            if len(post["text"]) > 1:
                value += worth[post_id] * (FLOOR if post["text"] in seen else 1.0)
                weight += worth[post_id]
                seen.add(post["text"])
        return value / weight if weight else 1.0


class Truth:
    """What all events together amount to, whatever order they came in."""

    def __init__(
        self,
        events: Iterable[tuple[Topic, dict[str, Any]]],
        *,
        active_window_ms: int = ACTIVE_WINDOW_MS,
    ) -> None:
        self._active_window_ms = active_window_ms
        self.users: dict[str, User] = {}
        self.high_mark = -1
        self.take(events)

    def take(self, events: Iterable[tuple[Topic, dict[str, Any]]]) -> None:
        """More of them."""
        for topic, content in events:
            key = key_of(topic, content)
            self.users.setdefault(key, User(key)).take(topic, content)
            at = observed_at(content) if topic == "posts" else parse_time(content["created_at"])
            self.high_mark = max(self.high_mark, at)

    def scores(self, at: int) -> dict[str, float]:
        """Of the users that are eligible."""
        edge = at - self._active_window_ms
        return {
            key: user.score(at)
            for key, user in self.users.items()
            if user.posts and max(post["created"] for post in user.posts.values()) >= edge
        }


class Generator:
    """Events of one seed.

    Ordinary users stay within both memories, so that their events may come in any order. The first
    `crowded` users outgrow them: one half posts more than is remembered, in order; the other half
    receives far more interactions than are remembered, none of which names a post.

    Streams that follow each other have other users, by the first letters of their ids.
    """

    def __init__(
        self,
        seed: int,
        *,
        events: int,
        users: int = 1000,
        partitions: int = 4,
        crowded: int = 8,
        start: int = START,
        letters: str = "u",
    ) -> None:
        self.random = random.Random(seed)
        self.users = users
        self.partitions = partitions
        self.crowded = crowded
        self.letters = letters
        self._posts: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self._received: dict[int, int] = defaultdict(int)
        self.events: list[Event] = []
        while len(self.events) < events:
            self.events += self._next(start + len(self.events) * STEP_MS)
        del self.events[events:]

    def truth(self) -> Truth:
        return truth_of(self.events)

    def in_any_order(self) -> list[Event]:
        """Its events, less those of the crowded users: these may come in any order."""
        crowd = {f"{self.letters}{number}" for number in range(self.crowded)}
        return [event for event in self.events if _owner(event) not in crowd]

    def _next(self, at: int) -> Iterator[Event]:
        draw = self.random.random()
        if draw < 0.003:
            value, reason = self.random.choice(BAD_POSTS)
            record = Record(key=b"any", value=value, partition=self._any_partition())
            yield Event(topic="posts", record=record, content=None, reason=reason)
        elif draw < 0.12:
            yield from self._crowded(at)
        elif draw < 0.30:
            yield from self._interaction(at)
        elif draw < 0.50:
            yield from self._observation(at)
        else:
            yield from self._post(at)

    def _ordinary(self) -> int:
        """Some users are far more active than others."""
        share = self.random.random() ** 2
        return self.crowded + int(share * (self.users - self.crowded))

    def _post(self, at: int) -> Iterator[Event]:
        user = self._ordinary()
        if len(self._posts[user]) >= POST_MEMORY:
            yield from self._observation(at)
            return
        post = self._new_post(user, at)
        repeated = [p["text"] for p in self._posts[user]]
        if repeated and self.random.random() < 0.1:
            post["text"] = self.random.choice(repeated)
        misplaced = self.random.random() < 0.02
        if not misplaced:  # a later observation might otherwise come before it
            self._posts[user].append(post)
        else:
            self._posts[user].append({**post, "id": None})
        yield self._event("posts", post, misplaced=misplaced)
        if self.random.random() < 0.01:
            yield self._event("posts", post)  # a source that repeats itself

    def _observation(self, at: int) -> Iterator[Event]:
        user = self._ordinary()
        posts = [post for post in self._posts[user] if post["id"] is not None]
        if not posts:
            return
        post = self.random.choice(posts)
        older = {**post}
        for name in COUNT_FIELDS:
            count = post[f"{name}_count"]
            if count is not None:
                post[f"{name}_count"] = max(0, count + int(self.random.gauss(count / 2 + 2, 5)))
        post["observed_at"] = rfc3339(at)
        post["follower_count"] = self._followers(user)
        yield self._event("posts", post)
        if self.random.random() < 0.05:
            yield self._event("posts", older)  # read earlier, sent later

    def _interaction(self, at: int) -> Iterator[Event]:
        user = self._ordinary()
        if self._received[user] >= INTERACTION_MEMORY:
            return
        self._received[user] += 1
        interaction = self._new_interaction(user, at)
        ids = [post["id"] for post in self._posts[user] if post["id"] is not None]
        draw = self.random.random()
        if ids and draw < 0.6:
            interaction["target_post_id"] = self.random.choice(ids)
        elif draw < 0.7:
            interaction["target_post_id"] = "never-seen"
        elif draw < 0.75:
            interaction["actor_id"] = interaction["target_user_id"]
        yield self._event("interactions", interaction, misplaced=self.random.random() < 0.02)
        if self.random.random() < 0.05:
            yield self._event("interactions", interaction)

    def _crowded(self, at: int) -> Iterator[Event]:
        user = self.random.randrange(self.crowded)
        if user % 2 and self._posts[user]:
            yield self._event("interactions", self._new_interaction(user, at))
        else:
            post = self._new_post(user, at)
            self._posts[user].append(post)
            yield self._event("posts", post)

    def _new_post(self, user: int, at: int) -> dict[str, Any]:
        number = len(self._posts[user])
        scale = 1.5 ** (user % 17)
        counts = {
            f"{name}_count": int(self.random.expovariate(1 / scale))
            if self.random.random() < 0.8
            else None
            for name in COUNT_FIELDS
        }
        return {
            "id": f"u{user}-p{number}",
            "platform": "x",
            "user_id": f"{self.letters}{user}",
            "text": f"What user {user} thinks, part {number}: 好的 {self.random.random()}",
            "created_at": rfc3339(at),
            "follower_count": self._followers(user),
            **counts,
        }

    def _new_interaction(self, user: int, at: int) -> dict[str, Any]:
        return {
            "id": f"i{at}",
            "platform": "x",
            "kind": self.random.choice(KINDS),
            "actor_id": f"a{self.random.randrange(1000)}",
            "target_user_id": f"{self.letters}{user}",
            "created_at": rfc3339(at),
        }

    def _followers(self, user: int) -> int | None:
        if user % 7 == 0 or self.random.random() < 0.3:
            return None
        return int(10 ** (1 + user % 5) * self.random.uniform(1, 2))

    def _event(self, topic: Topic, content: dict[str, Any], *, misplaced: bool = False) -> Event:
        content = {name: value for name, value in content.items() if value is not None}
        key = key_of(topic, content).encode()
        value = json.dumps(content, ensure_ascii=False).encode()
        if not misplaced:
            return Event(topic=topic, record=Record(key=key, value=value), content=content)
        away = 1 + self.random.randrange(self.partitions - 1)
        partition = (partition_of(key, self.partitions) + away) % self.partitions
        record = Record(key=None, value=value, partition=partition)
        return Event(topic=topic, record=record, content=content, misplaced=True)

    def _any_partition(self) -> int:
        return self.random.randrange(self.partitions)


def truth_of(events: Iterable[Event]) -> Truth:
    """What these amount to, the bad ones left out."""
    return Truth((e.topic, e.content) for e in events if e.content is not None)


def _owner(event: Event) -> str | None:
    content = event.content or {}
    found: str | None = content.get("user_id", content.get("target_user_id"))
    return found


def key_of(topic: Topic, content: dict[str, Any]) -> str:
    """The key of the user that the event belongs to."""
    user_id = content["user_id"] if topic == "posts" else content["target_user_id"]
    return user_key(content["platform"], user_id)


def observed_at(post: dict[str, Any]) -> int:
    return max(
        parse_time(post["created_at"]), parse_time(post.get("observed_at", post["created_at"]))
    )


def _worth(created: int, at: int) -> float:
    return float(2.0 ** ((created - at) / HALF_LIFE_MS))
