"""The streams' part: the same posts from one Kafka, read from the beginning by each in turn."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it re-exports them implicitly
    AdminClient,
    NewTopic,
)

from benchmarks.filling import new_producer, send
from benchmarks.rivals.environments import environ_of, python_of
from benchmarks.rivals.programs.job import PARTITIONS
from benchmarks.rivals.rivals import OURS, Rival
from benchmarks.running import Running
from benchmarks.whole_path import posts
from benchmarks.worker import START_MS, load, run_bare_once
from stream_app.engine.topics import create_topics
from stream_app.messages import encode_post
from stream_app.settings import load_settings

TIMEOUT_S = 420.0
#: a worker that is asked oftener for its counters does less
POLL_S = 0.25
BARE = "benchmarks.bare_loop"


class Round:
    """A topic of posts, which every rival reads once.

    Args:
        name: part of all names, so that nothing is left of earlier rounds.
        folder: for state, emptied after each.
        batch: posts that are taken together at most, where there are batches.
        model: a folder with a GPT-2; None where encoding shall cost nothing.
    """

    def __init__(
        self, name: str, broker: str, folder: Path, batch: int, model: Path | None = None
    ) -> None:
        self._broker = broker
        self._folder = folder
        self._prefix = f"{name}."
        self._settings = {
            "KOL_BROKER": broker,
            "KOL_PREFIX": self._prefix,
            "KOL_PARTITIONS": str(PARTITIONS),
            "KOL_BATCH_SIZE": str(batch),
            "KOL_TEXT_CACHE": "0",
            "KOL_LOG_LEVEL": "warning",
        }
        self._batch = batch
        self._model = model
        self.events = 0
        #: how many rises each rival's program told of: about alike, as all do the same
        self.rose: dict[str, int] = {}

    def fill(self, events: int, users: int, seed: int) -> None:
        """Topics for all, and the posts: of the sample where they are encoded."""
        for app_id in ("bare", "ours"):
            os.environ.update(self._settings | {"KOL_APP_ID": app_id})
            asyncio.run(create_topics(load_settings()))
        admin = AdminClient({"bootstrap.servers": self._broker})
        for made in admin.create_topics([NewTopic(f"{self._prefix}risen", PARTITIONS, 1)]).values():
            made.result()
        topic = f"{self._prefix}posts"
        if self._model is None:
            load(self._broker, topic, events, users, seed)
        else:
            _load_sample(self._broker, topic, events, seed)
        self.events = events

    def rate(self, rival: Rival) -> float:
        """Posts/s of one rival from its first post to its last."""
        if rival.name == OURS:
            return self._ours()
        if rival.stream == BARE:
            environ = dict(os.environ) | self._settings | {"KOL_APP_ID": "bare"}
            return run_bare_once(environ, self.events)
        return self._run(rival)

    def _ours(self) -> float:
        given = self._settings | {"KOL_APP_ID": "ours"}
        command = ["-m", "benchmarks.null_worker"]
        if self._model is not None:
            given |= {"KOL_ENCODER": str(self._model)}
            command = ["-m", "stream_app", "worker"]
        worker = Running(self._folder / "ours", given, command)
        try:
            return _rate(lambda: worker.metric("kol_events_total"), self.events)
        finally:
            worker.stop()
            shutil.rmtree(self._folder / "ours", ignore_errors=True)

    def _run(self, rival: Rival) -> float:
        assert rival.stream is not None
        name = rival.stream.rpartition(".")[2]
        share = rival.stream_share if self._model is None else rival.whole_share
        events = int(self.events * share)
        state = self._folder / name
        state.mkdir()
        settings = {
            "RIVAL_BROKER": self._broker,
            "RIVAL_TOPIC": f"{self._prefix}posts",
            "RIVAL_OUT": f"{self._prefix}risen",
            "RIVAL_EVENTS": str(events),
            "RIVAL_NAME": f"{self._prefix}{name}",
            "RIVAL_FOLDER": str(state),
            "RIVAL_BATCH": str(self._batch),
            "RIVAL_MODEL": "" if self._model is None else str(self._model),
        }
        try:
            found = _told(rival, settings, state, events)
        finally:
            shutil.rmtree(state, ignore_errors=True)
        self.rose[rival.name] = found["rose"]
        return float(found["events"]) / float(found["seconds"])


def _load_sample(broker: str, topic: str, events: int, seed: int) -> None:
    producer = new_producer(broker)
    for number, post in enumerate(posts(events, seed)):
        at = START_MS + number * 50
        timed = msgspec.structs.replace(post, created_at=at, observed_at=at)
        value = msgspec.json.decode(encode_post(timed))
        # Programs with a plain reading of the fields want a number.
        value["created_at"] = at
        send(producer, topic, msgspec.json.encode(value), key=post.key.encode())
    producer.flush()


def _rate(handled: Callable[[], float], events: int) -> float:
    """Between the first time that a worker says it has handled some, and the end."""
    first: tuple[float, float] | None = None
    while True:
        count, now = handled(), time.perf_counter()
        if first is None and count:
            first = count, now
        if first is not None and count >= events:
            return (count - first[0]) / max(now - first[1], 1e-9)
        time.sleep(POLL_S)


def _told(rival: Rival, settings: Mapping[str, str], folder: Path, events: int) -> Any:
    """What the program says at its end: posts, seconds, rises."""
    assert rival.stream is not None
    python = python_of(rival.requirements) if rival.requirements else Path(sys.executable)
    done = subprocess.run(
        [str(python), "-m", rival.stream, *rival.arguments],
        env=environ_of(dict(settings)),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    answers = [line for line in done.stdout.splitlines() if line.startswith('{"events"')]
    if not answers:
        raise RuntimeError(f"{rival.name}: {done.stdout[-500:]}{done.stderr[-2000:]}")
    found = json.loads(answers[-1])
    if found["events"] < events:
        raise RuntimeError(f"{rival.name} saw {found['events']} posts of {events}")
    return found


def measure(
    rivals: Iterable[Rival], rounds: Iterable[Round]
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Posts/s of each rival in each round, and the rises that each told of in the last.

    Who begins changes from round to round.
    """
    some = list(rivals)
    found: dict[str, list[float]] = {rival.name: [] for rival in some}
    rose: dict[str, int] = {}
    for number, one in enumerate(rounds):
        first = number % len(some)
        for rival in some[first:] + some[:first]:
            rate = one.rate(rival)
            found[rival.name].append(rate)
            sys.stderr.write(f"{rival.name}: {rate:,.0f} posts/s\n")
        rose = one.rose
    return found, rose
