"""The streams' part: the same posts from one Kafka, read from the beginning by each in turn."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.rivals.environments import environ_of, python_of
from benchmarks.rivals.programs.job import PARTITIONS
from benchmarks.rivals.rivals import OURS, Rival
from benchmarks.worker import load, run_bare_once, run_worker_once
from stream_app.engine.topics import create_topics
from stream_app.settings import load_settings

TIMEOUT_S = 420.0
BARE = "benchmarks.bare_loop"


class Round:
    """A topic of posts, which every rival reads once.

    Args:
        number: part of all names, so that nothing is left of earlier rounds.
        folder: for state, emptied after each.
        batch: posts that are taken together at most, where there are batches.
    """

    def __init__(self, number: int, broker: str, folder: Path, batch: int) -> None:
        self._broker = broker
        self._folder = folder
        self._prefix = f"round{number}."
        self._settings = {
            "KOL_BROKER": broker,
            "KOL_PREFIX": self._prefix,
            "KOL_PARTITIONS": str(PARTITIONS),
            "KOL_BATCH_SIZE": str(batch),
            "KOL_LOG_LEVEL": "warning",
        }
        self._batch = batch
        self.events = 0

    def fill(self, events: int, users: int, seed: int) -> None:
        """Topics for all, and the posts."""
        for app_id in ("bare", "ours"):
            os.environ.update(self._settings | {"KOL_APP_ID": app_id})
            asyncio.run(create_topics(load_settings()))
        topic = NewTopic(f"{self._prefix}risen", PARTITIONS, 1)
        for made in AdminClient({"bootstrap.servers": self._broker}).create_topics([topic]).values():
            made.result()
        load(self._broker, f"{self._prefix}posts", events, users, seed)
        self.events = events

    def rate(self, rival: Rival) -> float:
        """Posts/s of one rival from its first post to its last."""
        if rival.name == OURS:
            environ = dict(os.environ) | self._settings | {"KOL_APP_ID": "ours"}
            return run_worker_once(environ, self.events)["events_per_s"]
        if rival.stream == BARE:
            environ = dict(os.environ) | self._settings | {"KOL_APP_ID": "bare"}
            return run_bare_once(environ, self.events)
        return self._run(rival)

    def _run(self, rival: Rival) -> float:
        assert rival.stream is not None
        name = rival.stream.rpartition(".")[2]
        state = self._folder / name
        state.mkdir()
        settings = {
            "RIVAL_BROKER": self._broker,
            "RIVAL_TOPIC": f"{self._prefix}posts",
            "RIVAL_OUT": f"{self._prefix}risen",
            "RIVAL_EVENTS": str(self.events),
            "RIVAL_NAME": f"{self._prefix}{name}",
            "RIVAL_FOLDER": str(state),
            "RIVAL_BATCH": str(self._batch),
        }
        python = python_of(rival.requirements) if rival.requirements else Path(sys.executable)
        done = subprocess.run(
            [str(python), "-m", rival.stream, *rival.arguments],
            env=environ_of(settings),
            cwd=state,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        shutil.rmtree(state, ignore_errors=True)
        answers = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not answers:
            raise RuntimeError(f"{rival.name}: {done.stdout[-500:]}{done.stderr[-2000:]}")
        found = json.loads(answers[-1])
        if found["events"] < self.events:
            raise RuntimeError(f"{rival.name} saw {found['events']} posts of {self.events}")
        return float(found["events"]) / float(found["seconds"])


def measure(rivals: Iterable[Rival], rounds: Iterable[Round]) -> dict[str, list[float]]:
    """Posts/s of each rival in each round; who begins changes from round to round."""
    some = list(rivals)
    found: dict[str, list[float]] = {rival.name: [] for rival in some}
    for number, one in enumerate(rounds):
        first = number % len(some)
        for rival in some[first:] + some[:first]:
            rate = one.rate(rival)
            found[rival.name].append(rate)
            sys.stderr.write(f"{rival.name}: {rate:,.0f} posts/s\n")
    return found
