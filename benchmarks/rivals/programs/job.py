"""What every rival does with a post, however it comes by it: into the user's row, over the line?

The user's row holds decayed sums; a score is followers times the mean norm of her texts, weighed by
what a typical post draws; the line is the quantile of all users' newest scores, drawn anew every
thousand posts. Who rises above it is told of. Programs are given their settings in RIVAL_*.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from typing import Any

import numpy as np

HALF_LIFE_MS = 30 * 86_400_000.0
QUANTILE = 0.9
DRAWN_EVERY = 1_000

BROKER = os.environ.get("RIVAL_BROKER", "")
TOPIC = os.environ.get("RIVAL_TOPIC", "")
#: where it is told who rose
OUT = os.environ.get("RIVAL_OUT", "")
EVENTS = int(os.environ.get("RIVAL_EVENTS", "0"))
#: group, application or whatever else has to be new for each run
NAME = os.environ.get("RIVAL_NAME", "rival")
#: an empty folder for state
FOLDER = os.environ.get("RIVAL_FOLDER", "")
#: a folder with a GPT-2; empty: encoding costs nothing
MODEL = os.environ.get("RIVAL_MODEL", "")
BATCH = int(os.environ.get("RIVAL_BATCH", "4096"))
PARTITIONS = 4

#: newest time (ms), attention, logs, weight, norms, followers, posts; what any codec can write
Row = list[float]


def fold(row: Row | None, at: int, followers: int | None, likes: int | None, norm: float) -> Row:
    """The row with one more post."""
    newest, attention, logs, weight, norms, known, posts = row or (0, 0.0, 0.0, 0.0, 0.0, 0, 0)
    now = max(newest, at)
    fade = 2.0 ** ((newest - now) / HALF_LIFE_MS) if weight else 0.0
    fresh = 2.0 ** ((at - now) / HALF_LIFE_MS)
    drawn = float(likes or 0)
    return [
        now,
        attention * fade + fresh * (1.0 + drawn),
        logs * fade + fresh * math.log1p(drawn),
        weight * fade + fresh,
        norms + norm,
        followers or known,
        posts + 1,
    ]


def score(row: Row) -> float:
    """Followers x mean norm, the article's, times what a post draws."""
    _, attention, _, weight, norms, followers, posts = row
    return (1.0 + followers) * norms / posts * attention / weight


class Line:
    """Knows every user's newest score; only in memory."""

    def __init__(self) -> None:
        self._scores: dict[Any, float] = {}
        self._due = DRAWN_EVERY
        self.value = math.inf

    def rose(self, user: Any, now: float) -> bool:
        """Whether this score brings the user above the line."""
        before = self._scores.get(user, -math.inf)
        self._scores[user] = now
        self._due -= 1
        if not self._due:
            self._due = DRAWN_EVERY
            scores = np.fromiter(self._scores.values(), float, len(self._scores))
            self.value = float(np.quantile(scores, QUANTILE))
        return before < self.value <= now

    def told(self, user: str, now: float) -> dict[str, Any]:
        """What is sent of who rose."""
        return {"user": user, "score": now, "line": self.value}


class Stopwatch:
    """From the first post to the last; says so on stdout."""

    def __init__(self) -> None:
        self.seen = 0
        self.rose = 0
        self._begun = 0.0

    def start(self) -> None:
        """The first post is about to be worked on; no effect later."""
        self._begun = self._begun or time.perf_counter()

    def count(self, posts: int = 1) -> bool:
        """So many more are done; whether that were all."""
        self.seen += posts
        return self.seen >= EVENTS

    def tell(self) -> None:
        """Prints what the runner reads."""
        seconds = time.perf_counter() - self._begun
        found = {"events": self.seen, "seconds": seconds, "rose": self.rose}
        out = sys.__stdout__  # Faust makes a log of the other
        assert out is not None
        out.write(json.dumps(found) + "\n")
        out.flush()
