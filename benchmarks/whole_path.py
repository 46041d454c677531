"""A worker with its encoder on, against the encoder alone, and how soon its events come.

    python -m benchmarks.whole_path [--posts 20000] [--rounds 5] [--encoder bundled]

Starts its own Kafka (Java and Maven). Texts are those of the bundled sample, each made unlike all
others, so that every one is encoded. In turn: the encoder alone on all texts, in a process of its
own, then a worker on the same texts as a backlog. Last, a worker under an even flow of 70 % of what
it did: milliseconds from just before a post is given to the producer until a consumer has the KOL
event that it caused. Prints JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.environment import describe
from benchmarks.figures import ratios, spread
from benchmarks.filling import Tail, new_producer, send
from benchmarks.running import Running, new_app
from stream_app.messages import Post, decode_event, encode_post
from stream_app.sample import sample_path
from tests.kafka.broker import KafkaBroker

USERS = 2_000
AT_ONCE = 256  # texts that the encoder alone is given at a time, as a worker's batch has them
LOAD = 0.7
POLL_S = 0.25  # to ask a worker for its counters costs it milliseconds


def texts(count: int) -> Iterator[str]:
    """Texts of the sample, again and again, each with a word of its own."""
    with gzip.open(sample_path(), "rt", encoding="utf-8") as sample:
        found = [json.loads(line)["text"] for line in sample]
    for number in range(count):
        yield f"{found[number % len(found)]} {number:x}"


def posts(count: int, seed: int) -> Iterator[Post]:
    """Posts of USERS users, few of whom post most; without times."""
    chance = random.Random(seed)
    for number, text in enumerate(texts(count)):
        user = int(USERS * chance.random() ** 1.6)
        yield Post(
            id=f"post-{number}",
            platform="bench",
            user_id=f"user-{user}",
            text=text,
            created_at=0,
            observed_at=0,
            follower_count=int(random.Random(user).lognormvariate(6, 2)),
            like_count=int(chance.lognormvariate(1, 2)),
        )


def encode_alone(count: int) -> None:
    """What the process that only encodes does; prints texts/s."""
    from stream_app.encoder import create_encoder
    from stream_app.settings import load_settings

    encoder = create_encoder(load_settings())
    given = list(texts(count))
    encoder.encode(given[:AT_ONCE])
    begun = time.perf_counter()
    for start in range(0, count, AT_ONCE):
        encoder.encode(given[start : start + AT_ONCE])
    sys.stdout.write(f"{count / (time.perf_counter() - begun)}\n")


class OneWorker:
    """One app with one worker, and the events that it sends."""

    def __init__(self, name: str, folder: Path, broker: str, options: Namespace) -> None:
        self._home = folder / name
        given, self.names, _ = new_app(
            name,
            broker,
            Namespace(partitions=4, log_level="warning"),
            KOL_PREFIX=f"{name}.",
            KOL_ENCODER=options.encoder,
            KOL_TEXT_CACHE="0",
        )
        self._producer = new_producer(broker, linger_ms=0)
        self._given = given

    def start(self) -> Running:
        return Running(self._home, self._given, ("-m", "stream_app", "worker"))

    def post(self, post: Post) -> None:
        at = time.time_ns() // 1_000_000
        timed = msgspec.structs.replace(post, created_at=at, observed_at=at)
        send(self._producer, self.names.posts, encode_post(timed), key=post.key.encode())

    def flush(self) -> None:
        self._producer.flush()

    def remove(self) -> None:
        shutil.rmtree(self._home, ignore_errors=True)


def backlog(name: str, folder: Path, broker: str, options: Namespace) -> float:
    """Posts/s of a worker over a backlog, from its first to its last."""
    app = OneWorker(name, folder, broker, options)
    for post in posts(options.posts, options.seed):
        app.post(post)
    app.flush()
    worker = app.start()
    try:
        first: tuple[float, float] | None = None
        while True:
            handled, now = worker.metric("kol_events_total"), time.perf_counter()
            if first is None and handled:
                first = handled, now
            if first is not None and handled >= options.posts:
                return (handled - first[0]) / (now - first[1])
            time.sleep(POLL_S)
    finally:
        worker.stop()
        app.remove()


class Events(Tail):
    """Milliseconds from a post to the KOL event that it caused."""

    def __init__(self, broker: str, topic: str, partitions: int) -> None:
        super().__init__(broker, topic, partitions)
        self.sent: dict[str, float] = {}
        self.found: list[float] = []
        self._seen: set[str] = set()

    def note(self, message: Any) -> None:
        now = time.perf_counter()
        event = decode_event(message.value())
        post_id = event.cause.post_id
        if isinstance(post_id, str) and event.event_id not in self._seen and post_id in self.sent:
            self._seen.add(event.event_id)
            self.found.append(1000 * (now - self.sent[post_id]))


def latency(folder: Path, broker: str, options: Namespace, rate: float) -> dict[str, Any]:
    """Of the events that an even flow of so many posts a second causes."""
    app = OneWorker("latency", folder, broker, options)
    worker = app.start()
    try:
        worker.wait_until_ready()
        events = Events(broker, app.names.events, 4)
        events.start()
        count = int(rate * options.seconds)
        begun = time.perf_counter()
        end = threading.Event()
        for number, post in enumerate(posts(count, options.seed + 1)):
            ahead = begun + number / rate - time.perf_counter()
            if ahead > 0:
                end.wait(ahead)
            if number > count // 4:  # until then there is hardly a line
                events.sent[post.id] = time.perf_counter()
            app.post(post)
        app.flush()
        while worker.metric("kol_events_total") < count:
            time.sleep(POLL_S)
        time.sleep(2)
        events.end()
    finally:
        worker.stop()
        app.remove()
    found = sorted(events.found)
    return {
        "posts_per_s": rate,
        "events": len(found),
        **{f"p{q}_ms": found[int(q / 100 * (len(found) - 1))] for q in (50, 90, 99)},
        "worst_ms": found[-1],
    }


def measure(options: Namespace) -> dict[str, Any]:
    alone: list[float] = []
    whole: list[float] = []
    with tempfile.TemporaryDirectory() as name, KafkaBroker(Path(name)) as broker:
        for number in range(options.rounds):
            whole.append(backlog(f"r{number}", Path(name), broker.bootstrap, options))
            told = subprocess.run(
                [sys.executable, "-m", "benchmarks.whole_path", "--alone", str(options.posts)],
                check=True,
                capture_output=True,
                text=True,
            )
            alone.append(float(told.stdout))
        rate = LOAD * statistics.median(whole)
        timed = latency(Path(name), broker.bootstrap, options, rate)
    return {
        "encoder_alone_posts_per_s": spread(alone),
        "worker_posts_per_s": spread(whole),
        "ratio": spread(ratios(whole, alone)),
        "latency_at_70_percent": timed,
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the even flow")
    parser.add_argument("--encoder", default="bundled")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        encode_alone(options.alone)
        return
    found = measure(options)
    timed = found["latency_at_70_percent"]
    report = {
        "benchmark": "whole_path",
        "environment": describe(["faust-streaming", "aiokafka", "torch", "transformers"]),
        "encoder": options.encoder,
        "posts": options.posts,
        "seed": options.seed,
        **found,
        "gates": {
            "ratio >= 0.95": found["ratio"]["median"] >= 0.95,
            "p50 < 150 ms": timed["p50_ms"] < 150,
            "p99 < 1 s": timed["p99_ms"] < 1_000,
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
