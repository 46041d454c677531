"""What more workers, more users and more partitions cost: `python -m benchmarks.scale`.

    python -m benchmarks.scale [--parts workers,users,partitions,leader] [--users 10000,100000]

Starts its own Kafka (Java and Maven) where a part needs one; the encoder costs nothing.

- workers: events/s of 1, 2 and 4 worker processes on one backlog, from when all are ready;
- users: events/s of posts by users that come at random, once so many have a row, and what a user
  takes in memory, in the local store and in the changelog;
- partitions: events/s of one worker over a backlog in 4, 32 and 256 partitions;
- leader: milliseconds to read a snapshot of each of 1,000 partitions, and to draw line and ranking.

Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.environment import describe
from benchmarks.filling import fill
from benchmarks.recovery import score, start
from benchmarks.running import MIB, Running, folder_bytes, new_app
from benchmarks.user_rows import folded
from benchmarks.user_rows import users as users_of
from benchmarks.worker import load
from stream_app.core.scheme import Scheme
from stream_app.core.standing import standing_of
from stream_app.engine.internal_records import PartitionMeta, Snapshot, decode, encode
from stream_app.engine.leader import Census
from stream_app.engine.partition import Partition
from tests.kafka.broker import KafkaBroker

POLL_S = 0.1


def backlog_rate(
    name: str, folder: Path, broker: str, options: Namespace, workers: int, partitions: int
) -> float:
    """Events/s of workers over a backlog, from when all of them are ready."""
    home = folder / name
    home.mkdir()
    given, names, _ = new_app(
        name,
        broker,
        Namespace(partitions=partitions, log_level="warning"),
        KOL_PREFIX=f"{name}.",
        KOL_BATCH_SIZE="4096",
    )
    load(broker, names.posts, options.events, options.events // 10, options.seed)
    crew = [Running(home / str(number), given) for number in range(workers)]
    try:
        for worker in crew:
            worker.wait_until_ready()
        counts = _handled(crew)
        begun, first = time.perf_counter(), counts
        while counts < options.events:
            time.sleep(POLL_S)
            counts = _handled(crew)
        return (counts - first) / (time.perf_counter() - begun)
    finally:
        for worker in crew:
            worker.stop()
        shutil.rmtree(home, ignore_errors=True)


def _handled(crew: list[Running]) -> float:
    return sum(worker.metric("kol_events_total") for worker in crew)


def per_users(name: str, folder: Path, broker: str, options: Namespace, users: int) -> Any:
    """What so many users cost, and posts/s of users that come at random."""
    chosen = Namespace(**vars(options) | {"users": users, "partitions": 8, "log_level": "warning"})
    given, names, scheme = new_app(name, broker, chosen, KOL_PREFIX=f"{name}.")
    written = fill(broker, names, scheme, range(users), chosen.partitions, options.seed)
    home = folder / name
    worker, found = start(home, given, users)
    scored = score(worker, broker, names.posts, chosen)
    worker.stop()
    report = {
        "users": users,
        "changelog_bytes_per_user": written["bytes_per_row"],
        "disk_bytes_per_user": folder_bytes(home / "state") / users,
        "memory_bytes_per_user": found["settled_mib"] * MIB / users,
        "posts_per_s": scored["posts"] / scored["seconds"],
    }
    shutil.rmtree(home, ignore_errors=True)
    return report


def leader(options: Namespace, scheme: Scheme, partitions: int) -> dict[str, Any]:
    """Milliseconds of a leader's work with a snapshot of each of so many partitions."""
    chance = random.Random(options.seed)
    data = [encode(_snapshot(number, scheme, chance)) for number in range(partitions)]
    census = Census(partitions, scheme)

    def read() -> None:
        for value in data:
            census.take(decode(Snapshot, value))

    def draw_anew() -> None:
        read()
        census.line(1, census.merged())

    steps: dict[str, Callable[[], object]] = {
        "read_all_snapshots_ms": read,
        "draw_line_from_new_snapshots_ms": draw_anew,
        "draw_line_from_known_ones_ms": lambda: census.line(1, census.merged()),
        "rank_ms": census.ranking,
    }
    report: dict[str, Any] = {"partitions": partitions, "bytes": sum(map(len, data))}
    for name, step in steps.items():
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            step()
            times.append(1000 * (time.perf_counter() - begun))
        report[name] = statistics.median(times)
    return report


def _snapshot(number: int, scheme: Scheme, chance: random.Random) -> Snapshot:
    """Of a partition of 1,000 users, ten of whom may be in the ranking."""
    partition = Partition(number, PartitionMeta(epoch=1), scheme)
    for user in range(1_000):
        key = b"bench:%d-%d" % (number, user)
        partition.columns.update(key, 400 + chance.gauss(0, 2), 1_700_000_000_000, True, 0)
    first = number * 10
    rows = [
        folded(user, scheme, "posts", [0] * len(user.posts))
        for user in users_of(first, first + 10, 0)
    ]
    top = sorted(filter(None, (standing_of(row, scheme) for row in rows)), key=lambda one: -one.z)
    return partition.snapshot([], top, ["posts", "interactions"])


def measure(options: Namespace) -> dict[str, Any]:
    """All parts asked for."""
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, KafkaBroker(Path(name)) as broker:
        folder = Path(name)
        for part, counts in (("workers", (1, 2, 4)), ("partitions", (4, 32, 256))):
            if part in options.parts:
                report[part] = {
                    count: _rates(part, count, folder, broker.bootstrap, options)
                    for count in counts
                }
        if "users" in options.parts:
            report["users"] = [
                per_users(f"u{users}", folder, broker.bootstrap, options, users)
                for users in options.users
            ]
        if "leader" in options.parts:
            _, _, scheme = new_app(
                "leader", broker.bootstrap, Namespace(partitions=4, log_level="warning")
            )
            report["leader"] = [leader(options, scheme, count) for count in (10, 100, 1_000)]
    return report


def _rates(part: str, count: int, folder: Path, broker: str, options: Namespace) -> Any:
    """Events/s of so many workers, or of one worker with so many partitions."""
    workers, partitions = (count, 8) if part == "workers" else (1, count)
    found = [
        backlog_rate(f"{part}-{count}-{number}", folder, broker, options, workers, partitions)
        for number in range(options.repeats)
    ]
    return {"events_per_s": statistics.median(found), "all": found}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--parts",
        type=lambda text: text.split(","),
        default=["workers", "users", "partitions", "leader"],
    )
    parser.add_argument(
        "--users",
        type=lambda text: list(map(int, text.split(","))),
        default=[10_000, 100_000, 1_000_000],
    )
    parser.add_argument("--events", type=int, default=100_000, help="in a backlog")
    parser.add_argument("--posts", type=int, default=20_000, help="of users that come at random")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    report = {
        "benchmark": "scale",
        "environment": describe(["faust-streaming", "aiokafka", "msgspec", "rocksdict"]),
        "seed": options.seed,
        "events": options.events,
        **measure(options),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
