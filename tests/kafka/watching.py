"""Asking workers again and again while something happens to them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from threading import Event, Thread

from tests.kafka.worker import Worker

POLL_S = 0.05


@contextmanager
def watching_versions(workers: Sequence[Worker]) -> Iterator[dict[str, list[int]]]:
    """While the block runs, the versions of the line that each worker shows, one after the other.

    Every answer must come, unless the worker's process has ended.
    """
    seen: dict[str, list[int]] = {str(worker.port): [] for worker in workers}
    failures: list[str] = []
    ended = Event()

    def watch(worker: Worker) -> None:
        while not ended.is_set():
            try:
                status, body = worker.get("/api/v1/rankings?limit=1")
            except (OSError, HTTPException, AssertionError):
                status, body = 0, b""
            if status == 200:
                version = json.loads(body)["threshold_version"]
                seen[str(worker.port)] += [] if version is None else [version]
            elif not worker.has_ended and not ended.is_set():
                failures.append(f"{worker.port}: {status} {body!r}")
            ended.wait(POLL_S)

    threads = [Thread(target=watch, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failures == []
