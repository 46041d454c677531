"""Spoilt records at scale, through Apache Kafka, a worker and `kol dlq`.

    python -m tests.kafka.fuzz [--records 100000] [--seed 1]

Starts its own Kafka (Java and Maven) and one worker. A third of the records is broken: each of them
must become a dead letter, whole and with a right reason, and each other one must be scored. Then
`kol dlq` lists the letters, exports them, and sends back what they were before they were spoilt,
which must be scored too. Prints what was found; exit code 1 where anything is not as it must be.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from tests.fuzzing.records import Fuzzed, Fuzzer
from tests.kafka.broker import KafkaBroker
from tests.kafka.clients import consume, wait_for
from tests.kafka.fuzzed_records import (
    HANDLED_TIMEOUT_S,
    SETTINGS,
    Clock,
    Place,
    Sender,
    kinds,
    run_through,
    settle,
    truth_of,
)
from tests.kafka.reckoning import reckon, tell
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers, running

PARTITIONS = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    tell(f"seed {options.seed}")
    records = list(Fuzzer(options.seed, options.records, PARTITIONS).records())
    with (
        tempfile.TemporaryDirectory(prefix="kol-fuzz-") as folder,
        KafkaBroker(Path(folder, "kafka")) as broker,
    ):
        home = Path(folder, "workers")
        home.mkdir()
        with running(broker.bootstrap, "", home, partitions=PARTITIONS, **SETTINGS) as workers:
            try:
                fuzz(workers, records)
            except AssertionError as error:
                tell(f"NOT AS IT MUST BE: {error}")
                return 1
    return 0


def fuzz(workers: Workers, records: Sequence[Fuzzed]) -> None:
    for line in kinds(records):
        tell(line)
    clock = Clock()
    worker, sender = workers.start("only"), Sender(workers)
    clock.tell("start of the worker")
    memory = run_through(worker, sender, records)
    clock.tell("sending and handling")
    tell(f"worker's MB before and after each third: {[round(mb) for mb in memory]}")
    reckon(workers, worker, truth_of(records))
    settle(workers, worker, sender, records)
    tell(f"worker's MB at the end: {worker.memory()}")
    clock.tell("reckoning")
    send_back(workers, worker, records, sender)
    assert worker.terminate() == 0


def send_back(workers: Workers, worker: Worker, records: Sequence[Fuzzed], sender: Sender) -> None:
    """All dead letters through `kol dlq`, each corrected to what it was meant to be."""
    home = worker.log_path.parent
    broken = {sender.places[one.number]: one for one in records if not one.is_good}
    listed = kol(worker, "dlq", out=home / "list.txt")
    lines = (home / "list.txt").read_bytes().count(b"\n")
    tell(f"kol dlq: {lines} lines, {listed}")
    assert lines == len(broken)
    tell(f"kol dlq export: {kol(worker, 'dlq', 'export', '--out', str(home / 'bad.jsonl'))}")
    correct(home / "bad.jsonl", home / "fixed.jsonl", broken)
    before = sum(worker.counters("kol_events_total").values())
    resent = kol(worker, "dlq", "resend", str(home / "fixed.jsonl"))
    tell(f"kol dlq resend: {len(broken)} letters, {resent}")
    wait_for(
        lambda: worker.counter("kol_events_total") >= before + len(broken),
        "what was sent back to be handled",
        HANDLED_TIMEOUT_S,
    )
    reckon(workers, worker, truth_of(records, broken.values()))
    letters = len(consume(workers.broker, workers.names.dead_letters))
    assert letters == len(broken), "nothing new, nothing gone"
    tell(f"sent back and scored: {len(broken)}; worker's MB: {worker.memory()}")


def correct(exported: Path, fixed: Path, broken: dict[Place, Fuzzed]) -> None:
    with exported.open("rb") as lines, fixed.open("w", encoding="utf-8") as out:
        for line in map(json.loads, lines):
            one = broken[line["topic"], line["partition"], line["offset"]]
            line.pop("value_base64", None)
            line["value"] = one.meant
            out.write(json.dumps(line) + "\n")


def kol(worker: Worker, *arguments: str, out: Path | None = None) -> str:
    """The command succeeds; returns what it took."""
    started = monotonic()
    command = [sys.executable, "-m", "stream_app", *arguments]
    with (out or Path(os.devnull)).open("wb") as standard_output:
        done = subprocess.run(
            # From a small process: a child begins with the peak of the one that started it.
            [sys.executable, "-c", _MEASURE, *command],
            env=worker.environment,
            cwd=worker.log_path.parent,
            stdin=subprocess.DEVNULL,
            stdout=standard_output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 0, f"kol {' '.join(arguments)}: {done.stderr}"
    peak_mb = int(done.stderr.splitlines()[-1]) * 1024 / 1e6
    return f"{monotonic() - started:.1f} s, {peak_mb:.0f} MB at most"


_MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


if __name__ == "__main__":
    sys.exit(main())
