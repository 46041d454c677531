"""How late promotions come while one of three workers is killed.

    python -m benchmarks.failover [--users 20000] [--kills 3] [--session-timeout 10s]

Starts its own Kafka (Java and Maven) with the rows of so many users in the changelog, workers whose
encoder costs nothing, and an even flow of posts. All the while new users post something that must
promote them at once, their score being far above every line. Each is timed from just before the
post is given to the producer until its KOL event is read from `kol-events`. One worker is killed
(SIGKILL), and, once its partitions are served again, another takes its place. The worst time is
that of a post in a partition of the killed worker: nobody notices before its session is over.
Prints JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import describe
from benchmarks.filling import Flow, Tail, fill
from benchmarks.rebalance import settle, wait_until
from benchmarks.running import Running, new_app
from benchmarks.user_rows import PLATFORM
from stream_app.messages import partition_of
from tests.kafka.broker import KafkaBroker

WORKERS = 3
#: A probe goes out this often, before and after the kill for so long.
EVERY_S = 0.05
AROUND_S = 5.0


class Events(Tail):
    """When each probe's KOL event was read."""

    def __init__(self, broker: str, topic: str, partitions: int) -> None:
        super().__init__(broker, topic, partitions)
        self.seen: dict[bytes, float] = {}

    def note(self, message: Any) -> None:
        self.seen.setdefault(message.key(), time.perf_counter())


class Probes(threading.Thread):
    """New users who must be promoted, one after another."""

    def __init__(self, flow: Flow, first: int) -> None:
        super().__init__(name="probes", daemon=True)
        self.sent: dict[bytes, float] = {}
        self._flow = flow
        self._numbers = itertools.count(first)
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(EVERY_S):
            name = f"star-{next(self._numbers)}"
            self.sent[f"{PLATFORM}:{name}".encode()] = time.perf_counter()
            self._flow.post(name, follower_count=10_000_000, like_count=1_000_000)

    def end(self) -> None:
        self._end.set()
        self.join()


def kill_one(
    workers: list[Running], events: Events, probes: Probes, partitions: int
) -> dict[str, Any]:
    """Kill the first worker; how long probes took around it."""
    killed, *others = workers
    lost = killed.partitions()
    probes.start()
    time.sleep(AROUND_S)
    at = time.perf_counter()
    killed.kill()
    settle(others, partitions)
    back = time.perf_counter() - at
    time.sleep(AROUND_S)
    probes.end()
    wait_until(lambda: probes.sent.keys() <= events.seen.keys(), "probes without an event")
    took = {key: events.seen[key] - sent for key, sent in probes.sent.items()}
    hit = [s for key, s in took.items() if partition_of(key, partitions) in lost]
    spared = [s for key, s in took.items() if partition_of(key, partitions) not in lost]
    return {
        "worst_s": max(hit),
        "worst_of_other_partitions_s": max(spared),
        "median_s": statistics.median(took.values()),
        "all_ready_s": back,
        "probes": len(took),
    }


def measure(options: argparse.Namespace, folder: Path, broker: str) -> list[dict[str, Any]]:
    given, names, scheme = new_app(
        "failover", broker, options, KOL_SESSION_TIMEOUT=options.session_timeout
    )
    fill(broker, names, scheme, range(options.users), options.partitions, options.seed)
    made = 0

    def new_worker() -> Running:
        nonlocal made
        made += 1
        return Running(folder / f"worker{made}", given)

    workers = [new_worker() for _ in range(WORKERS)]
    flow = Flow(broker, names.posts, options.users, options.rate, options.seed)
    events = Events(broker, names.events, options.partitions)
    found = []
    try:
        events.start()
        flow.start()
        settle(workers, options.partitions)
        time.sleep(AROUND_S)  # a line is drawn, the users of before are decided
        for number in range(options.kills):
            probes = Probes(flow, number * 1_000_000)
            found.append(kill_one(workers, events, probes, options.partitions))
            workers = [*workers[1:], new_worker()]
            settle(workers, options.partitions)
    finally:
        flow.end()
        events.end()
        for worker in workers:
            worker.stop()
    return found


def worst(found: Sequence[dict[str, Any]], name: str) -> float:
    return max(float(times[name]) for times in found)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--rate", type=float, default=400.0, help="posts a second")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--session-timeout", default="10s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log-level", default="warning")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, KafkaBroker(Path(folder)) as broker:
        found = measure(options, Path(folder), broker.bootstrap)
    report = {
        "benchmark": "failover",
        "environment": describe(["faust-streaming", "aiokafka", "msgspec", "rocksdict"]),
        **vars(options),
        "worst_s": worst(found, "worst_s"),
        "worst_of_other_partitions_s": worst(found, "worst_of_other_partitions_s"),
        "kills": found,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
