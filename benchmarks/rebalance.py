"""How long consumption stops while a worker joins or leaves, and how much comes twice.

    python -m benchmarks.rebalance [--users 100000] [--rounds 5] [--rate 800]

Starts its own Kafka (Java and Maven) with the rows of so many users in the changelog, one worker
whose encoder costs nothing, and an even flow of posts. Again and again a second worker, without
local state, joins in good order and leaves in good order (SIGTERM).

The stop of consumption is the longest time between two successive user rows of one partition in the
changelog, by the time at which they were written, over all partitions and the whole rebalance: from
before the worker is started, or told to leave, until two seconds after all workers are ready again.
With posts of a partition every 10 ms or so, about so much of it is the flow itself. Redelivered are
the events that `kol_duplicates_total` counts. Prints JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import describe
from benchmarks.filling import Flow, Tail, fill
from benchmarks.running import Running, new_app
from stream_app.engine.fencing import RESERVED
from tests.kafka.broker import KafkaBroker

#: After all workers are ready, until a rebalance counts as over.
SETTLE_S = 2.0
TIMEOUT_S = 60.0


class Rows(Tail):
    """Times (s) at which user rows were written, by partition, since they were last asked for."""

    def __init__(self, broker: str, topic: str, partitions: int) -> None:
        super().__init__(broker, topic, partitions)
        self._lock = threading.Lock()
        self._times: dict[int, list[float]] = {number: [] for number in range(partitions)}

    def note(self, message: Any) -> None:
        if not message.key().startswith(RESERVED):
            with self._lock:
                self._times[message.partition()].append(message.timestamp()[1] / 1000)

    def stops(self) -> dict[int, float]:
        """The longest time without a row of each partition; what is asked for next begins here."""
        with self._lock:
            found = {}
            for number, times in self._times.items():
                pairs = itertools.pairwise(times)
                found[number] = max((after - before for before, after in pairs), default=0.0)
                del times[:-1]
            return found


def wait_until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.05)


def settle(workers: Sequence[Running], partitions: int) -> None:
    """All are ready, share the partitions, and have been so for a while."""

    def is_shared() -> bool:
        owned = [len(worker.partitions()) for worker in workers]
        ready = all(worker.ask("/readyz")[0] == 200 for worker in workers)
        return ready and min(owned) > 0 and sum(owned) == partitions

    wait_until(is_shared, "the workers do not settle")
    time.sleep(SETTLE_S)


def measure(options: argparse.Namespace, folder: Path, broker: str) -> dict[str, Any]:
    given, names, scheme = new_app("rebalance", broker, options)
    fill(broker, names, scheme, range(options.users), options.partitions, options.seed)
    first = Running(folder / "first", given)
    running = [first]
    found: dict[str, list[Any]] = {"joins_s": [], "leaves_s": [], "again": [], "leaving_took_s": []}
    flow = Flow(broker, names.posts, options.users, options.rate, options.seed)
    rows = Rows(broker, names.changelog, options.partitions)
    try:
        first.wait_until_ready()
        rows.start()
        flow.start()
        settle(running, options.partitions)
        again = 0.0
        for number in range(options.rounds):
            rows.stops()
            second = Running(folder / f"second{number}", given)
            running.append(second)
            settle(running, options.partitions)
            found["joins_s"].append(max(rows.stops().values()))
            again_there = second.metric("kol_duplicates_total")
            found["leaving_took_s"].append(second.stop())
            running.remove(second)
            settle(running, options.partitions)
            found["leaves_s"].append(max(rows.stops().values()))
            again_here = first.metric("kol_duplicates_total")
            found["again"].append(again_here + again_there - again)
            again = again_here
    finally:
        flow.end()
        rows.end()
        for worker in running:
            worker.stop()
    return {**found, "events": flow.sent}


def summary(seconds: Sequence[float]) -> dict[str, Any]:
    return {"median": statistics.median(seconds), "worst": max(seconds), "all": seconds}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--rate", type=float, default=800.0, help="posts a second")
    parser.add_argument("--rounds", type=int, default=5, help="joins, and as many leaves")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log-level", default="warning")
    parser.add_argument("--logs", type=Path, help="copy the workers' logs to this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, KafkaBroker(Path(folder)) as broker:
        found = measure(options, Path(folder), broker.bootstrap)
        for log in Path(folder).glob("*/log") if options.logs else ():
            shutil.copy(log, options.logs / f"{log.parent.name}.log")
    joins, leaves = summary(found["joins_s"]), summary(found["leaves_s"])
    share = sum(found["again"]) / found["events"]
    report = {
        "benchmark": "rebalance",
        "environment": describe(["faust-streaming", "aiokafka", "msgspec", "rocksdict"]),
        **{name: value for name, value in vars(options).items() if name != "logs"},
        "stop_in_a_join_s": joins,
        "stop_in_a_leave_s": leaves,
        "leaving_took_s": found["leaving_took_s"],
        "events": found["events"],
        "redelivered_by_round": found["again"],
        "redelivered_share": share,
        "gates": {
            "stop < 5 s": max(joins["worst"], leaves["worst"]) < 5,
            "redelivered <= 2 %": share <= 0.02,
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
