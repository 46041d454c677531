"""`kol rebuild` on posts kept in Kafka: how long until all are scored anew, and whether rightly.

    python -m benchmarks.rebuild [--posts 100000] [--half-life-days 5]

Starts its own Kafka (Java and Maven). A worker with a fake encoder scores a stream of known content
(posts, later observations of them, interactions, some of it bad, repeated or in the wrong
partition), and is stopped. `kol rebuild` makes a new app, whose worker, with another half-life,
reads everything from the beginning. Each user that it shows is held against a slow, separate
reckoning under the new half-life, and its line and KOL events too. Prints JSON; the exit code is 1
where anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.environment import describe
from tests import stream_of_events
from tests.kafka.broker import KafkaBroker
from tests.kafka.clients import consume
from tests.kafka.feeding import send
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers, line_is_applied, running
from tests.outcome import chains, check_event, compare, line_differences
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator, Truth

DAY_MS = 86_400_000
TIMEOUT_S = 400.0
#: Of the stream's events, a quarter is no post; with some to spare.
EVENTS_PER_POST = 1.4


def until(condition: Callable[[], bool]) -> float:
    """Seconds until it holds."""
    begun = time.perf_counter()
    while not condition():
        if time.perf_counter() - begun > TIMEOUT_S:
            raise TimeoutError("the events are not all scored")
        time.sleep(0.05)
    return time.perf_counter() - begun


def score_all(system: Workers, worker: Worker) -> float:
    """Start a worker; seconds until it has scored all there is and the line has been applied."""
    begun = time.perf_counter()
    worker.start()
    until(lambda: system.cut_reached_the_end(worker))
    until(lambda: line_is_applied(worker))
    return time.perf_counter() - begun


def rebuild(worker: Worker) -> tuple[float, dict[str, Any]]:
    """Run the command as the old app; seconds, and what it says."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", "rebuild", "--json"],
        env=worker.environment,
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - begun, json.loads(done.stdout)


def check(system: Workers, worker: Worker, truth: Truth) -> dict[str, Any]:
    """The new app against the reckoning."""
    outcome = compare(worker.users(truth.users), truth)
    scores = truth.scores(truth.high_mark).values()
    line = line_differences(worker.json("/api/v1/threshold"), scores, {"kol": 0.9})
    app_id, old = worker.environment["KOL_APP_ID"], b"/kol-stream/app"
    records = []
    for record in consume(system.broker, system.names.events):
        headers = dict(record.headers)
        if headers["ce_source"] == f"/kol-stream/{app_id}".encode():
            headers["ce_source"] = old  # which `chains` expects of all
            records.append(replace(record, headers=tuple(headers.items())))
    events, repeated = chains(records)
    for chain in events.values():
        for event in chain:
            check_event(event)
    members = {key for key, chain in events.items() if chain[-1]["tier"] is not None}
    return {
        "users": len(truth.users),
        "lost": outcome.lost,
        "counted_twice": outcome.twice,
        "wrong_users": len(outcome.wrong),
        "wrong": outcome.wrong[:5] + line,
        "kol_events": sum(map(len, events.values())),
        "kol_events_sent_again": repeated,
        "members_are_those_of_the_events": members
        == {item["user"]["key"] for item in worker.kols()},
    }


def measure(options: argparse.Namespace, folder: Path, broker: str) -> dict[str, Any]:
    generator = Generator(
        options.seed, events=int(options.posts * EVENTS_PER_POST), users=options.posts // 5
    )
    posts = sum(event.topic == "posts" for event in generator.events)
    with running(
        broker, "", folder, post_memory=POST_MEMORY, interaction_memory=INTERACTION_MEMORY
    ) as system:
        send(system, generator.events)
        old = system.make("old")
        first_s = score_all(system, old)
        old.terminate()
        command_s, done = rebuild(old)
        new = system.make("new", app_id=done["app_id"], half_life=f"{options.half_life_days}d")
        again_s = score_all(system, new)
        vars(stream_of_events)["HALF_LIFE_MS"] = options.half_life_days * DAY_MS
        found = check(system, new, generator.truth())
        new.terminate()
    return {
        "events": len(generator.events),
        "posts": posts,
        "first_scored_in_s": first_s,
        "command_s": command_s,
        "scored_anew_in_s": again_s,
        "events_per_s": done["records"] / again_s,
        "found": found,
    }


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=100_000)
    parser.add_argument("--half-life-days", type=int, default=5)
    parser.add_argument("--seed", type=int, default=21)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, KafkaBroker(Path(folder, "kafka")) as broker:
        result = measure(options, Path(folder), broker.bootstrap)
    found = result["found"]
    gates = {
        "posts": result["posts"] >= options.posts,
        "nothing lost, twice or wrong": not (
            found["lost"] or found["counted_twice"] or found["wrong"]
        ),
        "members are those of the events": found["members_are_those_of_the_events"],
    }
    report = {
        "benchmark": "rebuild",
        "environment": describe(["faust-streaming", "aiokafka", "msgspec", "rocksdict"]),
        **vars(options),
        **result,
        "gates": gates,
    }
    print(json.dumps(report, indent=2))
    return 0 if all(gates.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
