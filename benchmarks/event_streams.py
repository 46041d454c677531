"""What a thousand open event streams cost a worker that scores.

    python -m benchmarks.event_streams [--streams 1000] [--posts 20000] [--rounds 2]

Starts its own Kafka (Java and Maven) and one worker whose encoder costs nothing. In turn without
and with the streams it is given the same number of posts as fast as it takes them; they move the
line, so users are promoted and demoted and every stream is sent the events. One stream in ten is
never read. Beside it the time that the worker takes for an answer is measured: how long its loop
is held up. Readers and the broker share the machine with the worker. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from benchmarks.environment import describe
from benchmarks.visibility import Feed, Worker, started, wait
from benchmarks.worker import cpu_seconds
from stream_app.engine.topics import create_topics
from stream_app.settings import load_settings
from tests.kafka.broker import KafkaBroker

PARTITIONS = 8
ASK_EVERY_S = 0.02
#: One in so many readers takes nothing.
STUCK = 10
_REQUEST = b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Readers:
    """A process that holds streams open, and counts the events on those that it reads."""

    def __init__(self, port: int, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.count = count
        self.opened: Synchronized[int] = context.Value("q", 0)
        self.frames: Synchronized[int] = context.Value("q", 0)
        self._process = context.Process(
            target=read, args=(port, count, self.opened, self.frames), daemon=True
        )

    def __enter__(self) -> Readers:
        self._process.start()
        wait(lambda: self.opened.value >= self.count)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()


def read(port: int, count: int, opened: Any, frames: Any) -> None:
    """Open the streams and read until killed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count + 200, hard)), hard))
    asyncio.run(_read_all(port, count, opened, frames))


async def _read_all(port: int, count: int, opened: Any, frames: Any) -> None:
    await asyncio.gather(*(_read(port, n, opened, frames) for n in range(count)))


async def _read(port: int, number: int, opened: Any, frames: Any) -> None:
    await asyncio.sleep(number / 1_000)  # not all at the same moment
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=16_384)
    writer.write(_REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head:
        raise RuntimeError(head.decode())
    opened.value += 1
    if number % STUCK == 0:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()
    while part := await reader.read(65_536):
        frames.value += part.count(b"event: ")


def figures(worker: Worker, names: tuple[str, ...]) -> float:
    """The sum of those metrics, over their labels."""
    with contextlib.closing(worker.connect()) as connection:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    lines = (line for line in text.splitlines() if line.startswith(names))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


class Asking:
    """Asks for an answer again and again, and notes how long each takes."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.seconds: list[float] = []

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _ask(self) -> None:
        with contextlib.closing(self._worker.connect()) as connection:
            while not self._end.wait(ASK_EVERY_S):
                begin = time.perf_counter()
                connection.request("GET", "/healthz")
                connection.getresponse().read()
                self.seconds.append(time.perf_counter() - begin)


def run_round(feed: Feed, worker: Worker, pid: int, posts: int) -> dict[str, float]:
    """All of the posts have been scored."""
    before = figures(worker, ("kol_events_total",))
    cpu, begin = cpu_seconds(pid), time.perf_counter()
    with Asking(worker) as asking:
        feed.burst(posts)
        wait(lambda: figures(worker, ("kol_events_total",)) - before >= posts)
        seconds = time.perf_counter() - begin
    found = sorted(asking.seconds)
    return {
        "posts_per_s": posts / seconds,
        "cpu_s": cpu_seconds(pid) - cpu,
        "answer_p50_ms": 1e3 * statistics.median(found),
        "answer_p99_ms": 1e3 * found[int(len(found) * 0.99)],
        "answer_max_ms": 1e3 * found[-1],
    }


@contextlib.contextmanager
def streams(port: int, count: int) -> Iterator[Readers | None]:
    """So many are open; none is as good as no process."""
    if not count:
        yield None
        return
    with Readers(port, count) as readers:
        yield readers


def measure(options: argparse.Namespace, folder: Path, broker: str) -> list[dict[str, float]]:
    settings = {
        "KOL_BROKER": broker,
        "KOL_APP_ID": "streams",
        "KOL_PARTITIONS": str(PARTITIONS),
        "KOL_LOG_LEVEL": "warning",
    }
    os.environ.update(settings)
    asyncio.run(create_topics(load_settings()))
    feed = Feed(broker, options.users, options.seed)
    feed.fill()
    rounds = []
    with started(dict(os.environ), folder, 1) as (worker,):
        wait(lambda: figures(worker, ("kol_events_total",)) >= options.users)
        for _ in range(options.rounds):
            for count in (0, options.streams):
                with streams(worker.port, count) as readers:
                    found = run_round(feed, worker, worker.pid, options.posts)
                    frames = readers.frames.value if readers is not None else 0
                rounds.append({"streams": count, **found, "events_read": frames})
    feed.close()
    return rounds


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--posts", type=int, default=20_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, KafkaBroker(Path(folder)) as broker:
        rounds = measure(options, Path(folder), broker.bootstrap)
    rates = {
        count: statistics.median(r["posts_per_s"] for r in rounds if r["streams"] == count)
        for count in (0, options.streams)
    }
    report = {
        "benchmark": "event_streams",
        "environment": describe(["faust-streaming", "aiohttp"]),
        **vars(options),
        "measured": rounds,
        "posts_per_s": rates,
        "ratio": rates[options.streams] / rates[0],
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
