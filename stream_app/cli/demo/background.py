"""The replay in a thread of its own, so that promotions can be shown meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from stream_app.sources.replay import Replayer

if TYPE_CHECKING:
    from stream_app.settings import Settings
    from stream_app.sources import Event

# The embedded broker forgets what is more than 5 MiB behind in a partition, which is far more. A
# short queue also lets the first line reach the worker soon, so that promotions begin early.
_MAX_LAG = 800
_JOIN_S = 5.0


class BackgroundReplay:
    """Sends the events from entering on; leaving stops it. A context manager."""

    def __init__(self, settings: Settings, events: Sequence[Event], speed: float | None) -> None:
        self._events = events
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._replayer = Replayer(settings, speed=speed, max_lag=_MAX_LAG, stop=self._stop)
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_JOIN_S)

    @property
    def delivered(self) -> int:
        """Events in Kafka by now."""
        return self._replayer.delivered

    def is_done(self) -> bool:
        """Whether every event is in Kafka; raises what went wrong, if anything did."""
        if self._failure is not None:
            raise self._failure
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._replayer.run(self._events)
        except BaseException as error:  # whatever it is, is_done raises it again
            self._failure = error
