"""A third of all records is spoilt: each of those is put aside, every other one is scored.

`python -m tests.kafka.fuzz --records 100000` is the long form.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzzing.records import Fuzzer
from tests.kafka.fuzzed_records import SETTINGS, Sender, run_through, settle, truth_of
from tests.kafka.reckoning import reckon, tell
from tests.kafka.workers import Workers

SEED = 20_260_701
RECORDS = 6_000
PARTITIONS = 4
#: More than allocators and caches take after the first third, far less than records that are kept.
GROWTH_MB = 60.0


def test_spoilt_records_are_put_aside_whole_with_a_right_reason_and_all_others_are_scored(
    workers: Callable[..., Workers],
) -> None:
    tell(f"seed {SEED}")
    records = list(Fuzzer(SEED, RECORDS, PARTITIONS).records())
    system = workers(partitions=PARTITIONS, **SETTINGS)
    worker, sender = system.start("only"), Sender(system)

    memory = run_through(worker, sender, records)

    reckon(system, worker, truth_of(records))
    settle(system, worker, sender, records)
    tell(f"MB before and after each third: {[round(mb) for mb in memory]}, {worker.memory()}")
    assert memory[-1] - memory[1] < GROWTH_MB
    assert worker.terminate() == 0
