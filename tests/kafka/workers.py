"""The real workers of one system, in processes of their own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stream_app.engine.topics import TopicNames, create_topics, topic_names
from stream_app.settings import Settings, load_settings
from tests.kafka.broker import free_port
from tests.kafka.clients import end_offsets, wait_for
from tests.kafka.worker import Worker

ROOT = Path(__file__).parents[2]
SETTLE_TIMEOUT_S = 90.0

WITH_FAKE_ENCODER = (sys.executable, "-m", "tests.kafka.worker_process")
KOL_WORKER = (sys.executable, "-m", "stream_app", "worker")


class Workers:
    """The workers of one test: same broker, prefix, app id and topics."""

    def __init__(self, broker: str, prefix: str, home: Path, **settings: Any) -> None:
        self.broker = broker
        self.settings: Settings = load_settings(
            **{"broker": broker, "prefix": prefix, "app_id": "app", "partitions": 4} | settings
        )
        self.names: TopicNames = topic_names(self.settings)
        self._given = {"partitions": 4} | settings
        self._prefix = prefix
        self._home = home
        self._made: list[Worker] = []

    def create_topics(self) -> None:
        asyncio.run(create_topics(self.settings))

    def make(
        self, name: str, *, command: Sequence[str] = WITH_FAKE_ENCODER, **settings: Any
    ) -> Worker:
        """A worker that does not run yet."""
        home = self._home / name
        home.mkdir()
        given = self._given | {
            "broker": self.broker,
            "prefix": self._prefix,
            "app_id": self.settings.app_id,
            "web_port": free_port(),
            "data_dir": home / "data",
        }
        environment = {k: v for k, v in os.environ.items() if not k.upper().startswith("KOL_")}
        environment |= {f"KOL_{k.upper()}": str(v) for k, v in (given | settings).items()}
        environment["PYTHONPATH"] = str(ROOT)
        worker = Worker(command, environment, home)
        self._made.append(worker)
        return worker

    def adopt(self, workers: Iterable[Worker]) -> None:
        """Workers made elsewhere are ended with the others, and their logs shown."""
        self._made += workers

    def start(self, name: str, *options: str, **settings: Any) -> Worker:
        """A new worker, ready."""
        return self.make(name, **settings).start(*options)

    def cut_reached_the_end(self, worker: Worker) -> bool:
        """Whether the line in force reflects every record that the source topics hold now."""
        cut = worker.json("/api/v1/threshold")["cut"]
        ends = {
            topic: {str(p): end for p, end in end_offsets(self.broker, topic).items()}
            for topic in (self.names.posts, self.names.interactions)
        }
        return bool(cut == ends)

    def wait_until_scored(self, worker: Worker) -> None:
        """Everything produced so far is in the rows and the line, and the line has been applied."""
        self._wait(worker, lambda: self.cut_reached_the_end(worker), "all events to be scored")
        self._wait(worker, lambda: line_is_applied(worker), "the line to be applied")

    def _wait(self, worker: Worker, condition: Callable[[], bool], what: str) -> None:
        try:
            wait_for(condition, what, SETTLE_TIMEOUT_S)
        except AssertionError as error:
            logs = "\n".join(w.log() for w in self._made if w.log_path.exists())
            line = worker.get("/api/v1/threshold")[1]
            raise AssertionError(f"{error}; line {line!r}\n{logs}") from None

    def close(self) -> None:
        for worker in self._made:
            if not worker.has_ended:
                worker.kill()


def line_is_applied(worker: Worker) -> bool:
    """Whether members and line agree: nobody from `enter` up is out, nobody below `leave` is in."""
    rankings = worker.json("/api/v1/rankings?limit=500")
    tier = rankings["tiers"][0]
    if tier["enter"] is None:
        return True
    members = worker.kols()
    above = [item for item in rankings["items"] if item["score"] >= tier["enter"]]
    return (
        len(members) == tier["members"]
        and all(item["tier"] is not None for item in above)
        and all(item["score"] >= tier["leave"] for item in members)
    )


@contextmanager
def running(broker: str, prefix: str, home: Path, **settings: Any) -> Iterator[Workers]:
    """Topics made, and no worker left behind."""
    workers = Workers(broker, prefix, home, **settings)
    workers.create_topics()
    try:
        yield workers
    finally:
        workers.close()
