"""Scores recomputed offline from all events: slow, obvious, written from the contract alone.

Nothing is ever let go here: a post that the real row would forget stays in the list, marked,
and every sum is taken over the whole list whenever somebody asks. Agrees with `core` within
rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from stream_app.core.scheme import Scheme
from stream_app.messages import COUNT_FIELDS, Interaction, Post, TextFeatures

Event = Post | Interaction
Features = Callable[[str], TextFeatures]


@dataclass
class OraclePost:
    id: str
    created_at: int
    observed_at: int
    counts: dict[str, int]
    features: TextFeatures
    is_remembered: bool = True
    #: kinds of the interactions that name it
    kinds: list[str] = field(default_factory=list)
    #: the posts that were remembered when this one came, or came while this one was remembered
    met: list[OraclePost] = field(default_factory=list)

    @property
    def order(self) -> tuple[int, str]:
        return (self.created_at, self.id)

    def engagement(self, weights: dict[str, float]) -> float:
        counted = [weights[name] * count for name, count in self.counts.items()]
        return math.fsum(counted + [weights[kind] for kind in self.kinds])

    def originality(self) -> float | None:
        if not self.features.signature:
            return None
        earlier = [other for other in self.met if other.order < self.order]
        similar = [_similarity(self, other) for other in earlier if other.features.signature]
        # 1 up to a similarity of 0.93, a tenth from 0.98 on, a straight line between.
        way = (max(similar, default=-1.0) - 0.93) / 0.05
        return 1.0 - 0.9 * min(max(way, 0.0), 1.0)


def _similarity(one: OraclePost, other: OraclePost) -> float:
    """The cosine that the share of different signs tells of."""
    pairs = zip(one.features.signature, other.features.signature, strict=True)
    different = sum(bin(a ^ b).count("1") for a, b in pairs)
    return math.cos(math.pi * different / (8 * len(one.features.signature)))


@dataclass
class OracleInteraction:
    id: str
    kind: str
    created_at: int
    names: str | None
    is_attached: bool = False


@dataclass
class OracleUser:
    """One user's events, and what follows from them."""

    key: str
    scheme: Scheme
    posts: list[OraclePost] = field(default_factory=list)
    interactions: list[OracleInteraction] = field(default_factory=list)
    followers: int | None = None
    followers_at: int = -1

    # -- events, in the order they arrive

    def take_post(self, post: Post, features: Features) -> None:
        if post.follower_count is not None and post.observed_at > self.followers_at:
            self.followers, self.followers_at = post.follower_count, post.observed_at
        counts = {name: getattr(post, name + "_count") for name in COUNT_FIELDS}
        known_counts = {name: count for name, count in counts.items() if count is not None}
        remembered = self._remembered()
        for known in remembered:
            if known.id == post.id:
                if post.observed_at > known.observed_at:
                    known.observed_at = post.observed_at
                    known.counts |= known_counts
                return
        # A post as old as the oldest remembered one may have been let go before it: ids break ties.
        is_full = len(remembered) >= self.scheme.post_memory
        if is_full and (post.created_at, post.id) < remembered[0].order:
            return
        new = OraclePost(
            post.id, post.created_at, post.observed_at, known_counts, features(post.text)
        )
        for other in remembered:
            new.met.append(other)
            other.met.append(new)
        for heard in self._heard():
            if heard.names == new.id and not heard.is_attached:
                heard.is_attached = True
                new.kinds.append(heard.kind)
        self.posts.append(new)
        if is_full:
            self._remembered()[0].is_remembered = False

    def take_interaction(self, interaction: Interaction) -> None:
        if interaction.actor_id == interaction.target_user_id:
            return
        if any(heard.id == interaction.id for heard in self._heard()):
            return
        new = OracleInteraction(
            interaction.id, interaction.kind, interaction.created_at, interaction.target_post_id
        )
        self.interactions.append(new)
        for post in self._remembered():
            if post.id == new.names:
                post.kinds.append(new.kind)
                new.is_attached = True

    def _remembered(self) -> list[OraclePost]:
        return sorted((p for p in self.posts if p.is_remembered), key=lambda post: post.order)

    def _heard(self) -> list[OracleInteraction]:
        return self.interactions[-self.scheme.interaction_memory :]

    # -- factors; all but reach need a post

    @property
    def newest_post_at(self) -> int:
        return max(post.created_at for post in self.posts)

    def reach(self) -> float:
        return float(self.scheme.neutral_reach if self.followers is None else self.followers)

    def attention(self, at: int) -> float:
        weights = self.scheme.weights
        posts = [self._w(p.created_at, at) * (1 + p.engagement(weights)) for p in self.posts]
        loose = [i for i in self.interactions if not i.is_attached]
        return math.fsum(posts + [self._w(i.created_at, at) * weights[i.kind] for i in loose])

    def resonance(self) -> float:
        weights = self.scheme.weights
        return math.exp(self._mean([(p, math.log1p(p.engagement(weights))) for p in self.posts]))

    def text(self) -> float:
        found = [(post, post.originality()) for post in self.posts]
        comparable = [(post, value) for post, value in found if value is not None]
        return self._mean(comparable) if comparable else 1.0

    def score(self, at: int) -> float:
        """As of a time (ms); 0 for a user without posts."""
        if not self.posts:
            return 0.0
        if self.scheme.preset == "article":
            norms = [post.features.logits_norm or 0.0 for post in self.posts]
            return (self.followers or 0) * math.fsum(norms) / len(norms)
        powers = self.scheme.exponents
        product: float = (1 + self.reach()) ** powers["reach"]
        product *= self.attention(at) ** powers["attention"]
        product *= self.resonance() ** powers["resonance"]
        product *= self.text() ** powers["text"]
        return product

    def is_eligible(self, expiry_mark: int) -> bool:
        if len(self.posts) < self.scheme.min_posts:
            return False
        window = self.scheme.active_window_ms
        return window is None or self.newest_post_at >= expiry_mark - window

    def _mean(self, values: list[tuple[OraclePost, float]]) -> float:
        """Decayed mean of values of posts, relative to the newest of them."""
        at = max(post.created_at for post, _ in values)
        total = math.fsum(self._w(post.created_at, at) for post, _ in values)
        return math.fsum(self._w(post.created_at, at) * value for post, value in values) / total

    def _w(self, created_at: int, at: int) -> float:
        return float(2.0 ** (-(at - created_at) / self.scheme.half_life_ms))


@dataclass
class Oracle:
    """All users after all events; `features` gives what the encoder says of a text."""

    scheme: Scheme
    features: Features
    users: dict[str, OracleUser] = field(default_factory=dict)
    high_mark: int | None = None

    def take(self, events: Iterable[Event]) -> Oracle:
        """Take events in; their order matters as in each partition of the real thing."""
        for event in events:
            self.high_mark = max(event.event_time, self.high_mark or 0)
            if isinstance(event, Interaction) and event.actor_id == event.target_user_id:
                continue
            user = self.users.setdefault(event.key, OracleUser(event.key, self.scheme))
            if isinstance(event, Post):
                user.take_post(event, self.features)
            else:
                user.take_interaction(event)
        return self

    def population(self, expiry_mark: int) -> list[OracleUser]:
        return [user for user in self.users.values() if user.is_eligible(expiry_mark)]

    def threshold(self, quantile: float, at: int, expiry_mark: int | None = None) -> float | None:
        """The q-quantile of the current scores; None for nobody eligible."""
        users = self.population(at if expiry_mark is None else expiry_mark)
        if not users:
            return None
        return float(np.percentile([user.score(at) for user in users], 100 * quantile))
