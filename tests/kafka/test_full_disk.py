"""A disk that is full ends the worker with one line; with room again it has lost nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from tests.kafka.feeding import send
from tests.kafka.reckoning import reckon
from tests.kafka.worker import READY_TIMEOUT_S, Worker
from tests.kafka.workers import Workers
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

SEED = 1984
#: Small batches write the rows of busy users again and again, however fast the machine is.
SETTINGS = {"post_memory": POST_MEMORY, "interaction_memory": INTERACTION_MEMORY, "batch_size": 32}
#: Far less than what is written of a partition takes.
FULL = ("--most-bytes-in-a-file", "150000")


def test_a_full_disk_ends_the_worker_with_1_and_one_line_and_loses_nothing(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    generator = streams(SEED, events=2_500, users=300)
    system = workers(**SETTINGS)
    send(system, generator.events)
    worker, heir = system.make("full"), system.make("heir")
    check_that_it_ends(worker.launch(*FULL))
    heir.start()
    system.wait_until_scored(heir)
    assert heir.terminate() == 0

    # Full again while the rows come back from the changelog, to a place that has none.
    shutil.rmtree(worker.data_dir)
    check_that_it_ends(worker.launch(*FULL))

    worker.start()
    reckon(system, worker, generator.truth())


def check_that_it_ends(worker: Worker) -> None:
    assert worker.wait(READY_TIMEOUT_S) == 1
    log = worker.log_path.read_text()
    last = log.splitlines()[-1]
    assert last.startswith("kol: KOL_DATA_DIR: cannot write"), log
    assert str(worker.data_dir) in last
    assert "make room" in last
    assert "Traceback" not in log
