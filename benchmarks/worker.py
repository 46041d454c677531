"""A whole worker on a real Kafka, encoder cost excluded, against two loops in the same run.

    python -m benchmarks.worker [--events 200000] [--users 20000] [--repeats 5]

Starts its own Kafka (Java and Maven), loads the topic, then lets each runner read it from the
beginning, in turn: `bare_loop` keeps running sums and nothing else, `same_work` does all that the
worker does with an event and nothing of what makes it an engine. Prints JSON: events/s of each
repeat, medians, the ratios, and the worker's CPU time per event.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Producer

from benchmarks.environment import describe
from benchmarks.figures import ratios, spread
from stream_app.engine.topics import create_topics
from stream_app.settings import load_settings
from tests.kafka.broker import KafkaBroker

WEB_PORT = 16_066
START_MS = 1_700_000_000_000


def load(broker: str, topic: str, events: int, users: int, seed: int) -> None:
    """Produce `events` posts of some 280 bytes; a few users post most."""
    generator = random.Random(seed)
    producer = Producer(
        {
            "bootstrap.servers": broker,
            "partitioner": "murmur2_random",
            "linger.ms": 50,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 500_000,
        }
    )
    for number in range(events):
        user = int(users * generator.random() ** 1.6)
        post = {
            "id": f"post-{number}",
            "platform": "bench",
            "user_id": f"user-{user}",
            "text": f"number {number} of user {user}: " + "words that nobody reads " * 4,
            "created_at": START_MS + number * 50,
            "follower_count": int(generator.lognormvariate(6, 2)),
            "like_count": int(generator.lognormvariate(1, 2)),
        }
        producer.produce(topic, msgspec.json.encode(post), key=f"bench:user-{user}".encode())
        producer.poll(0)
    producer.flush()


def handled() -> float:
    """Posts the worker has handled so far; 0 while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{WEB_PORT}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return 0.0
    found = re.search(r'^kol_events_total\{topic="[^"]*posts"\} (\S+)', text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def run_worker_once(environ: dict[str, str], events: int) -> dict[str, float]:
    """Start a worker with empty state; events/s between its first and its last event."""
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.null_worker"],
            env=environ | {"KOL_DATA_DIR": f"{folder}/state", "KOL_WEB_PORT": str(WEB_PORT)},
            stdout=log,
            stderr=log,
        )
        try:
            first: tuple[float, float] | None = None
            cpu_before = 0.0
            while True:
                if process.poll() is not None:
                    raise RuntimeError(Path(folder, "log").read_text()[-2000:])
                count, now = handled(), time.perf_counter()
                if first is None and count:
                    first, cpu_before = (count, now), cpu_seconds(process.pid)
                if first is not None and count >= events:
                    span = max(now - first[1], 1e-9)
                    cpu = cpu_seconds(process.pid) - cpu_before
                    return {
                        "events_per_s": (count - first[0]) / span,
                        "cpu_us_per_event": 1e6 * cpu / (count - first[0]),
                    }
                time.sleep(0.25)
        finally:
            process.terminate()
            process.wait(30)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_loop_once(module: str, environ: dict[str, str], *arguments: int) -> float:
    """Events/s of a plain loop."""
    answer = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=environ,
        check=True,
        capture_output=True,
        text=True,
    )
    result = json.loads(answer.stdout)
    return float(result["events"]) / float(result["seconds"])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=4_096)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    workers: list[dict[str, float]] = []
    bare: list[float] = []
    same: list[float] = []
    with tempfile.TemporaryDirectory() as folder, KafkaBroker(Path(folder)) as broker:
        for repeat in range(options.repeats):
            settings = {
                "KOL_BROKER": broker.bootstrap,
                "KOL_APP_ID": f"bench{repeat}",
                "KOL_PREFIX": f"r{repeat}.",
                "KOL_BATCH_SIZE": str(options.batch_size),
                "KOL_LOG_LEVEL": "warning",
            }
            environ = dict(os.environ) | settings
            # The loops have changelogs of their own, under their own app ids.
            for app_id in ("bare", "same", settings["KOL_APP_ID"]):
                os.environ.update(settings | {"KOL_APP_ID": app_id})
                asyncio.run(create_topics(load_settings()))
            load(
                broker.bootstrap,
                f"r{repeat}.posts",
                options.events,
                options.users,
                options.seed + repeat,
            )
            bare_environ, same_environ = (environ | {"KOL_APP_ID": own} for own in ("bare", "same"))
            bare.append(run_loop_once("benchmarks.bare_loop", bare_environ, options.events))
            same.append(
                run_loop_once(
                    "benchmarks.same_work", same_environ, options.events, options.batch_size
                )
            )
            workers.append(run_worker_once(environ, options.events))
    rates = [worker["events_per_s"] for worker in workers]
    rate, to_bare, to_same = spread(rates), spread(ratios(rates, bare)), spread(ratios(rates, same))
    report: dict[str, Any] = {
        "benchmark": "worker",
        "environment": describe(["faust-streaming", "aiokafka", "msgspec", "rocksdict"]),
        "events": options.events,
        "users": options.users,
        "seed": options.seed,
        "batch_size": options.batch_size,
        "worker_events_per_s": rate,
        "worker_cpu_us_per_event": spread([w["cpu_us_per_event"] for w in workers]),
        "bare_events_per_s": spread(bare),
        "ratio": to_bare,
        "same_work_events_per_s": spread(same),
        "ratio_to_same_work": to_same,
        "gates": {
            "worker_events_per_s >= 18000": rate["median"] >= 18_000,
            "ratio >= 0.8": to_bare["median"] >= 0.8,
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
