"""How long a worker takes to come back, and how much memory its users take.

    python -m benchmarks.recovery [--users 1000000] [--partitions 8]

Starts its own Kafka (Java and Maven) and fills a changelog: a worker scores the posts of a sample
of the users, then the rows of all the others are written behind it. Rows of the sample that were
made in the same way must be equal, byte for byte where no line decides, to those the worker wrote.
Then a worker starts without local state and is timed from the start of its process to `/readyz`, is
stopped, and starts once more with the state that it left. `rows_per_s` counts from the first time
that `/readyz` says it recovers. The encoder costs nothing and is not in memory (no torch). Prints
JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.environment import describe
from benchmarks.filling import Flow, fill, new_producer, send
from benchmarks.running import MIB, MemoryCurve, Running, folder_bytes, new_app
from benchmarks.user_rows import folded, users, without_tier
from stream_app.core.row import decode_header, decode_row
from stream_app.core.scheme import Scheme
from stream_app.messages import encode_post, partition_of
from tests.kafka.broker import KafkaBroker
from tests.kafka.clients import consume

SAMPLE = 2_000
RECOVERING = b"recovering"


def score_sample(broker: str, topic: str, partitions: int, seed: int) -> dict[bytes, list[int]]:
    """Send the sample's posts; the offsets of each user's."""
    ends = [0] * partitions
    offsets: dict[bytes, list[int]] = {}
    sender = new_producer(broker)
    for user in users(0, SAMPLE, seed):
        number = partition_of(user.key, partitions)
        for post in user.posts:
            send(sender, topic, encode_post(post), key=user.key, partition=number)
            offsets.setdefault(user.key, []).append(ends[number])
            ends[number] += 1
    sender.flush()
    return offsets


def check_sample(
    broker: str, names: Any, scheme: Scheme, offsets: dict[bytes, list[int]], seed: int
) -> int:
    """Compare the worker's rows with ours; returns how many are equal in every byte."""
    written = {record.key: record.value for record in consume(broker, names.changelog)}
    equal = 0
    for user in users(0, SAMPLE, seed):
        value = written[user.key]
        assert value is not None
        row = folded(user, scheme, names.posts, offsets[user.key])
        theirs = decode_row(value)
        if without_tier(theirs) != row:
            raise AssertionError(f"{user.key!r}: the worker wrote {theirs}, not {row}")
        equal += theirs.tier is None and decode_header(value).posts == len(user.posts)
    return equal


def start(home: Path, environ: dict[str, str], count: int) -> tuple[Running, dict[str, Any]]:
    """Start a worker; what it took to be ready with that many users."""
    worker = Running(home, environ)
    curve = MemoryCurve(worker)
    curve.start()
    begun = None
    try:
        while begun is None:
            status, body = worker.ask("/readyz")
            if status == 200 or RECOVERING in body:
                begun = time.perf_counter()
            time.sleep(0.02)
        ready = worker.wait_until_ready()
        span = time.perf_counter() - begun
        held = worker.metric("kol_users")
        if held != count:
            raise AssertionError(f"{held} users of {count} are held")
        time.sleep(5)  # the first snapshots are made, what was needed for the start is freed
    except BaseException:
        worker.kill()
        raise
    finally:
        curve.end()
    return worker, {
        "ready_s": ready,
        "recovery_s": span,
        "rows_per_s": count / span,
        "peak_mib": worker.peak_memory(),
        "settled_mib": worker.memory(),
        "memory_mib_over_s": " ".join(f"{s:g}:{m:.0f}" for s, m in curve.curve),
    }


def score(worker: Running, broker: str, topic: str, options: argparse.Namespace) -> dict[str, Any]:
    """Let it score posts of users that come at random; its memory then."""
    flow = Flow(broker, topic, options.users, 0.0, options.seed)
    before, begun = worker.metric("kol_events_total"), time.perf_counter()
    generator = random.Random(options.seed)
    for _ in range(options.posts):
        flow.post(f"user-{generator.randrange(options.users)}")
    flow.flush()
    while worker.metric("kol_events_total") < before + options.posts:
        time.sleep(0.1)
    return {
        "posts": options.posts,
        "seconds": time.perf_counter() - begun,
        "peak_mib": worker.peak_memory(),
        "mib": worker.memory(),
    }


def measure(options: argparse.Namespace, folder: Path, broker: str) -> dict[str, Any]:
    given, names, scheme = new_app("recovery", broker, options)
    report: dict[str, Any] = {}

    offsets = score_sample(broker, names.posts, options.partitions, options.seed)
    sampler = Running(folder / "sampler", given)
    sampler.wait_until_ready()
    while sampler.metric("kol_events_total") < sum(map(len, offsets.values())):
        time.sleep(0.1)
    time.sleep(2)
    base = sampler.memory()
    sampler.stop()
    report["rows_equal_to_the_workers_own"] = check_sample(
        broker, names, scheme, offsets, options.seed
    )
    report["memory_with_sample_mib"] = base
    rest = range(SAMPLE, options.users)
    report["changelog"] = fill(broker, names, scheme, rest, options.partitions, options.seed)
    home = folder / "worker"
    worker, report["without_local_state"] = start(home, given, options.users)
    if options.hold:
        sys.stderr.write(f"worker {worker.pid} port {worker.port}; Enter goes on\n")
        input()
    report["after_scoring"] = score(worker, broker, names.posts, options)
    report["stop_s"] = worker.stop()
    report["disk_bytes_per_user"] = folder_bytes(home / "state") / options.users
    for name in ("with_local_state", "with_local_state_after_kill"):
        worker, report[name] = start(home, given, options.users)
        if name == "with_local_state":
            worker.kill()
        else:
            worker.stop()
    report["memory_per_user_bytes"] = (
        (report["with_local_state"]["settled_mib"] - base) * MIB / options.users
    )
    if options.keep:
        shutil.copytree(home / "state", options.keep)
    return report


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--posts", type=int, default=50_000, help="scored after the recovery")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log-level", default="warning")
    parser.add_argument(
        "--hold", action="store_true", help="wait while the worker can be looked at"
    )
    parser.add_argument("--keep", type=Path, help="copy the worker's state to this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, KafkaBroker(Path(folder)) as broker:
        found = measure(options, Path(folder), broker.bootstrap)
    fresh, again = found["without_local_state"], found["with_local_state"]
    report = {
        "benchmark": "recovery",
        "environment": describe(["faust-streaming", "aiokafka", "msgspec", "rocksdict"]),
        "users": options.users,
        "partitions": options.partitions,
        "seed": options.seed,
        **found,
        "gates": {
            "rows_per_s >= 10000": fresh["rows_per_s"] >= 10_000,
            "with local state < 3 s": again["ready_s"] < 3,
            "peak < 600 MiB": max(found["after_scoring"]["peak_mib"], again["peak_mib"]) < 600,
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
