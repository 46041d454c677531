"""The demo while it runs: what moves on the screen between the first post and the last score."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from stream_app.cli.demo.background import BackgroundReplay
from stream_app.cli.demo.settling import Settling
from stream_app.cli.demo.worker_process import WorkerProcess
from stream_app.cli.event_reader import EventReader
from stream_app.cli.terminal import EVENT_COLOURS, Bar, bar, columns, spinner
from stream_app.cli.web_client import NotReachable, Refused, WebClient
from stream_app.cli.wording import event_line
from stream_app.errors import FatalError
from stream_app.sources.group_lag import GroupLag

if TYPE_CHECKING:
    from stream_app.settings import Settings
    from stream_app.sources import Event

_POLL_S = 0.1
_LAG_INTERVAL_S = 0.5
# Loading a model from a cold disk takes a minute at most.
_READY_WITHIN_S = 180.0


def wait_until_ready(worker: WorkerProcess, client: WebClient) -> None:
    """Returns when the worker says that it is ready.

    Raises:
        KolError: it ended instead, or took far too long.
    """
    deadline = monotonic() + _READY_WITHIN_S
    with spinner("starting the worker and its GPT-2"):
        while not client.is_ready():
            worker.check()
            if monotonic() > deadline:
                raise FatalError(
                    f"the worker was not ready within {_READY_WITHIN_S:g} s; its log is "
                    f"{worker.log_path}"
                )
            sleep(_POLL_S)


def open_in_browser(url: str) -> bool:
    """Whether a browser took the address."""
    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False


class Show:
    """Replays posts and interactions and shows what becomes of them until all are scored."""

    def __init__(self, settings: Settings, worker: WorkerProcess, client: WebClient) -> None:
        self._settings = settings
        self._worker = worker
        self._client = client
        self._settling = Settling()

    def replay(self, sent: Sequence[Event], speed: float | None) -> float:
        """Every event is scored and shown by the worker; returns the seconds until the last score.

        Raises:
            KolError: the worker ended, or the events could not be delivered.
        """
        with EventReader(self._settings) as events, GroupLag(self._settings) as lag:
            started = monotonic()
            with (
                BackgroundReplay(self._settings, sent, speed) as replay,
                bar("posts scored", len(sent)) as progress,
            ):
                self._until(lambda: self._is_scored(replay, lag, progress), events, progress)
                seconds = monotonic() - started
                progress.move(len(sent))
                topics = [self._settings.topic(name) for name in ("posts", "interactions")]
                ends = {topic: lag.ends(topic) for topic in topics}
                self._until(lambda: self._is_settled(ends), events, progress)
        return seconds

    def _until(self, is_reached: Callable[[], bool], events: EventReader, progress: Bar) -> None:
        """Shows events until it is reached, asking twice a second."""
        asked = 0.0
        while True:
            found = events.poll(_POLL_S)
            if found is not None:
                event, _ = found
                progress.say(event_line(event, columns()), EVENT_COLOURS[event.kind])
                self._settling.disturb()
            if monotonic() - asked >= _LAG_INTERVAL_S:
                self._worker.check()
                if is_reached():
                    return
                asked = monotonic()

    def _is_scored(self, replay: BackgroundReplay, lag: GroupLag, progress: Bar) -> bool:
        is_done = replay.is_done()
        delivered, behind = replay.delivered, lag.records()
        progress.move(max(delivered - behind, 0))
        return is_done and behind == 0

    def _is_settled(self, ends: dict[str, dict[int, int]]) -> bool:
        threshold: Any = ask(self._worker, lambda: self._client.get("/api/v1/threshold"))
        return all(self._settling.is_settled(threshold, *end) for end in ends.items())


def ask(worker: WorkerProcess, question: Callable[[], Any]) -> Any:
    """The worker's answer; what it died of, if it does not answer because of that."""
    try:
        return question()
    except (NotReachable, Refused):
        sleep(_POLL_S)
        worker.check()
        raise
