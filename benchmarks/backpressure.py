"""A worker whose encoder can do a tenth of what arrives: its memory, its lag, the line's age.

    python -m benchmarks.backpressure [--texts-per-second 50] [--minutes 3]

Starts its own Kafka (Java and Maven) and a worker whose encoder takes a fixed time for each text,
then sends ten times as many posts as that, all the while. Every few seconds: resident memory, lag,
posts handled, seconds since the line last moved, and how long the web API took to say so. Then
SIGTERM under the same load, timed, and a start with an encoder that keeps up: all posts must be
there, once each. Prints JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Producer

from benchmarks.environment import describe
from tests.kafka.broker import KafkaBroker
from tests.kafka.clients import wait_for
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers, running

USERS = 2_000
OVERLOAD = 10
EVERY_S = 5.0
DRAIN_TIMEOUT_S = 600.0


class Arrivals:
    """Posts at a steady rate, each of a text of its own, from a thread of its own."""

    def __init__(self, workers: Workers, rate: float) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": workers.broker,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 20,
            }
        )
        self._topic = workers.names.posts
        self._rate = rate
        self.sent = 0

    def keep_on(self, end: threading.Event) -> None:
        started = time.monotonic()
        while not end.wait(0.05):
            due = int(self._rate * (time.monotonic() - started))
            for _ in range(due - self.sent):
                self._post()
            self._producer.poll(0)
        self._producer.flush()

    def _post(self) -> None:
        user = self.sent % USERS
        value = {
            "id": f"p{self.sent}",
            "platform": "bench",
            "user_id": str(user),
            "text": f"post {self.sent}: " + "words that nobody reads " * 4,
            "created_at": int(time.time() * 1000),
            "like_count": self.sent * 7919 % 1_000,
        }
        self._producer.produce(
            self._topic, msgspec.json.encode(value), key=f"bench:{user}".encode()
        )
        self.sent += 1


@contextlib.contextmanager
def arriving(arrivals: Arrivals) -> Iterator[None]:
    end = threading.Event()
    thread = threading.Thread(target=arrivals.keep_on, args=(end,))
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


class Watch:
    """What the worker says now and then."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._started = time.monotonic()
        self._line: tuple[int | None, float] = (None, self._started)

    def sample(self) -> dict[str, float]:
        asked = time.monotonic()
        found = self._worker.counters("kol_lag", "kol_events_total")
        version = self._worker.json("/api/v1/threshold")["version"]
        now = time.monotonic()
        if version != self._line[0]:
            self._line = (version, now)
        return {
            "at_s": round(now - self._started, 1),
            "rss_mb": round(self._worker.memory()["rss"], 1),
            "lag": found["kol_lag"],
            "handled": found["kol_events_total"],
            "line_age_s": round(now - self._line[1], 1),
            "web_ms": round(500 * (now - asked), 1),  # of one of the two answers
        }

    def over(self, seconds: float) -> list[dict[str, float]]:
        samples: list[dict[str, float]] = []
        oldest = 0.0
        while time.monotonic() - self._started < seconds:
            time.sleep(0.25)
            sample = self.sample()
            oldest = max(oldest, sample["line_age_s"])
            if not samples or sample["at_s"] - samples[-1]["at_s"] >= EVERY_S:
                samples.append(sample | {"line_age_s": oldest})
                oldest = 0.0
                sys.stderr.write(f"{samples[-1]}\n")
        return samples


def measure(workers: Workers, texts_per_second: float, seconds: float) -> dict[str, Any]:
    worker = workers.start("only", "--texts-per-second", str(texts_per_second))
    arrivals = Arrivals(workers, OVERLOAD * texts_per_second)
    with arriving(arrivals):
        samples = Watch(worker).over(seconds)
        asked = time.monotonic()
        code = worker.terminate()
        stopping_s = time.monotonic() - asked
    worker.start()
    wait_for(
        lambda: (
            worker.json("/api/v1/rankings")["items"] != [] and workers.cut_reached_the_end(worker)
        ),
        "everything to be scored",
        DRAIN_TIMEOUT_S,
    )
    shown = worker.users(f"bench:{user}" for user in range(USERS))
    posts = [user["raw"]["posts"] if user is not None else 0 for user in shown.values()]
    due = [len(range(user, arrivals.sent, USERS)) for user in range(USERS)]
    full = [sample["rss_mb"] for sample in samples[len(samples) // 2 :]]
    return {
        "texts_per_second": texts_per_second,
        "posts_per_second": OVERLOAD * texts_per_second,
        "sent": arrivals.sent,
        "lost": sum(max(d - p, 0) for d, p in zip(due, posts, strict=True)),
        "twice": sum(max(p - d, 0) for d, p in zip(due, posts, strict=True)),
        "rss_growth_in_the_second_half_mb": round(full[-1] - full[0], 1),
        "line_age_s_at_most": max(sample["line_age_s"] for sample in samples),
        "web_ms_at_most": max(sample["web_ms"] for sample in samples),
        "stop": {"exit_code": code, "seconds": round(stopping_s, 1)},
        "samples": samples,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts-per-second", type=float, default=50.0)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--batch-size", type=int, default=256)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        KafkaBroker(Path(folder, "kafka")) as broker,
    ):
        home = Path(folder, "workers")
        home.mkdir()
        with running(
            broker.bootstrap, "", home, partitions=8, batch_size=options.batch_size
        ) as workers:
            report = measure(workers, options.texts_per_second, 60 * options.minutes)
    report = {
        "benchmark": "backpressure",
        "environment": describe(["faust-streaming", "aiokafka"]),
        "batch_size": options.batch_size,
        **report,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
