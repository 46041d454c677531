"""How long it takes until what was produced is seen on every worker.

    python -m benchmarks.visibility [--workers 2] [--partitions 8] [--rate 50] [--probes 200]

Starts its own Kafka (Java and Maven) and workers whose encoder costs nothing, fills them with users
and keeps a modest load on them. Each probe is one more post of a user at the top of the ranking; it
is timed from just before it is given to the producer until each worker shows it: in the ranking,
in the threshold's cut, and at the user. Workers are asked one after another without pause, so a
figure is at most one round of questions too large. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Producer

from benchmarks.environment import describe
from stream_app.engine.topics import create_topics
from stream_app.messages import partition_of
from stream_app.settings import load_settings
from tests.kafka.broker import KafkaBroker, free_port

KINDS = ("rankings", "threshold", "user")
STARS = 10
TIMEOUT_S = 60.0


class Feed:
    """Posts of users `bench:0` and on; the first few are stars."""

    def __init__(self, broker: str, users: int, seed: int) -> None:
        self._producer = Producer(
            {"bootstrap.servers": broker, "partitioner": "murmur2_random", "linger.ms": 0}
        )
        self._users = users
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._numbers = [0] * users
        #: (user, number) -> offset of the posts that are timed, once the broker has told it
        self.offsets: dict[tuple[int, int], int] = {}

    def fill(self) -> None:
        """One post of everybody."""
        for user in range(self._users):
            self.post(user)
        self._producer.flush()

    def close(self) -> None:
        self._producer.flush()

    def offset(self, user: int, number: int) -> int | None:
        """Where the user's post of this number went, None while that is not known."""
        self._producer.poll(0)
        return self.offsets.get((user, number))

    def post(self, user: int) -> int:
        """One more post, on its way after the call; returns how many the user has."""
        with self._lock:
            self._numbers[user] += 1
            number = self._numbers[user]
        self._producer.produce(
            "posts",
            msgspec.json.encode(
                {
                    "id": f"p{number}",
                    "platform": "bench",
                    "user_id": str(user),
                    "text": f"post {number} of user {user}",
                    "created_at": int(time.time() * 1000),
                    "follower_count": 10_000_000 if user < STARS else user,
                    "like_count": 100_000 if user < STARS else self._random.randrange(100),
                }
            ),
            key=f"bench:{user}".encode(),
            on_delivery=partial(self._placed, user, number),
        )
        self._producer.poll(0)
        return number

    def _placed(self, user: int, number: int, error: Any, message: Any) -> None:
        if error is None and user < STARS:
            self.offsets[user, number] = message.offset()

    def burst(self, posts: int) -> None:
        """So many posts of all but the stars, as fast as the broker takes them."""
        for _ in range(posts):
            self.post(self._random.randrange(STARS, self._users))
        self._producer.flush()

    def keep_on(self, rate: float, end: threading.Event) -> None:
        """Posts of all but the stars, evenly, until told to end."""
        while not end.wait(1.0 / rate):
            self.post(self._random.randrange(STARS, self._users))


class Worker:
    """A worker's answers, over one connection."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self.pid = pid
        self._connection: HTTPConnection | None = None

    def get(self, path: str) -> Any:
        """The answer, None while there is none."""
        try:
            if self._connection is None:
                self._connection = self.connect()
            self._connection.request("GET", path)
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, HTTPException):
            self._connection = None
            return None
        return json.loads(body) if response.status == 200 else None

    def connect(self) -> HTTPConnection:
        """A connection of the caller's own."""
        return HTTPConnection("127.0.0.1", self.port, timeout=10)

    def shows(self, kind: str, user: int, number: int) -> bool:
        """Whether the user's post of this number is seen."""
        key = f"bench:{user}"
        if kind == "rankings":
            answer = self.get(f"/api/v1/rankings?limit={2 * STARS}") or {"items": []}
            return any(i["user"]["key"] == key and i["posts"] >= number for i in answer["items"])
        answer = self.get(f"/api/v1/users/{key}") or {"raw": {"posts": 0}}
        return bool(answer["raw"]["posts"] >= number)

    def next_offset(self, partition: int) -> int:
        """The first offset that the line does not reflect."""
        answer = self.get("/api/v1/threshold") or {"cut": {}}
        return int(answer["cut"].get("posts", {}).get(str(partition), 0))


@contextlib.contextmanager
def started(environ: dict[str, str], folder: Path, count: int) -> Iterator[list[Worker]]:
    """Workers that are ready."""
    processes, workers = [], []
    try:
        for number in range(count):
            port = free_port()
            home = folder / f"worker{number}"
            home.mkdir()
            own = {
                "KOL_DATA_DIR": str(home / "state"),
                "KOL_WEB_PORT": str(port),
                "KOL_WEB_ADVERTISE": f"127.0.0.1:{port}",
            }
            with Path(home, "log").open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "benchmarks.null_worker"],
                        env=environ | own,
                        stdout=log,
                        stderr=log,
                    )
                )
            workers.append(Worker(port, processes[-1].pid))
        for worker in workers:
            wait(lambda ready=worker: ready.get("/readyz") is not None)
        yield workers
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def wait(condition: Any) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the workers do not get on")
        time.sleep(0.05)


def probe(feed: Feed, workers: list[Worker], user: int, partitions: int) -> dict[str, float]:
    """Seconds until the last worker shows one more post of the user."""
    partition = partition_of(f"bench:{user}".encode(), partitions)
    begin = time.perf_counter()
    number = feed.post(user)
    waiting = {(kind, worker) for kind in KINDS for worker in workers}
    seen: dict[str, float] = {}
    while waiting:
        if time.perf_counter() - begin > TIMEOUT_S:
            raise TimeoutError(f"not seen: {waiting}")
        offset = feed.offset(user, number)
        for kind, worker in list(waiting):
            if kind == "threshold":
                is_seen = offset is not None and worker.next_offset(partition) > offset
            else:
                is_seen = worker.shows(kind, user, number)
            if is_seen:
                waiting.discard((kind, worker))
                seen[kind] = time.perf_counter() - begin
    return seen


def summary(seconds: list[float]) -> dict[str, float]:
    """Median, 99th percentile and greatest, in seconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"p50_s": cuts[49], "p99_s": cuts[98], "max_s": max(seconds)}


def measure(options: argparse.Namespace, folder: Path, broker: str) -> dict[str, list[float]]:
    settings = {
        "KOL_BROKER": broker,
        "KOL_APP_ID": "visibility",
        "KOL_PARTITIONS": str(options.partitions),
        "KOL_LOG_LEVEL": "warning",
    }
    os.environ.update(settings)
    asyncio.run(create_topics(load_settings()))
    feed = Feed(broker, options.users, options.seed)
    feed.fill()
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with started(dict(os.environ), folder, options.workers) as workers:
        for worker in workers:
            wait(lambda asked=worker: _is_filled(asked, options.users))
        end = threading.Event()
        load = threading.Thread(target=feed.keep_on, args=(options.rate, end))
        load.start()
        try:
            for number in range(options.warm_up + options.probes):
                seen = probe(feed, workers, number % STARS, options.partitions)
                if number >= options.warm_up:
                    for kind in KINDS:
                        found[kind].append(seen[kind])
        finally:
            end.set()
            load.join()
            feed.close()
    return found


def _is_filled(worker: Worker, users: int) -> bool:
    answer = worker.get("/api/v1/rankings?limit=1")
    return answer is not None and answer["population"] == users


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--rate", type=float, default=50.0, help="posts a second beside the probes")
    parser.add_argument("--probes", type=int, default=200)
    parser.add_argument("--warm-up", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, KafkaBroker(Path(folder)) as broker:
        found = measure(options, Path(folder), broker.bootstrap)
    report = {
        "benchmark": "visibility",
        "environment": describe(["faust-streaming", "aiokafka", "msgspec", "rocksdict"]),
        **vars(options),
        "until_seen_on_every_worker": {kind: summary(values) for kind, values in found.items()},
        "gates": {"p99 <= 2 s": all(summary(values)["p99_s"] <= 2 for values in found.values())},
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
