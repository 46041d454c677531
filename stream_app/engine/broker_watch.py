"""Whether the broker is there, waited for but not for ever, and whether its topics stay the same.

Faust takes a topic that was made anew, or has got more partitions, for the one that it knows: its
records would be taken for old ones, or go to workers without their users' rows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar

from stream_app.broker_access import require_access
from stream_app.engine.admin import Pulse
from stream_app.engine.topics import DEFAULT_TIMEOUT_S, check_topics, topic_names
from stream_app.engine.topics_kept import TopicsKept
from stream_app.errors import BrokerError
from stream_app.settings import duration_text

if TYPE_CHECKING:
    from stream_app.settings import Settings

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Between two questions to a broker that answers, and the longest wait for an answer.
_EVERY_S: Final = 1.0
_PATIENCE_S: Final = 3.0
#: Between two questions to one that does not.
_RETRY_S: Final = 0.5


class BrokerWatch:
    """Says why the worker is not ready while the broker is out of reach, and when to give up."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept = TopicsKept(settings)
        #: in words, while the broker is out of reach
        self.reason: str | None = f"waiting for the broker at {settings.broker}"

    def expect(self, ids: Mapping[str, str]) -> None:
        """These topics must keep their ids and partitions from now on; before `run`."""
        self._kept.ids = dict(ids)

    async def wait_for_topics(self) -> None:
        """Returns when the broker is there, and its topics are there and fit.

        Raises:
            TopicsError: they are missing or do not fit; at once, waiting would not help.
            AccessError: the broker does not let us in; at once, for the same reason.
            BrokerError: it was out of reach for KOL_BROKER_TIMEOUT.
        """
        await self.wait_for(self._check_topics)

    async def _check_topics(self, timeout_s: float) -> None:
        await asyncio.to_thread(require_access, self._settings, timeout_s=timeout_s)
        await check_topics(self._settings, timeout_s=timeout_s)

    async def wait_for(self, ask: Callable[[float], Awaitable[T]]) -> T:
        """The answer to a question that takes the broker, asked again while it is out of reach.

        Args:
            ask: gets the time that it may take, in seconds.

        Raises:
            BrokerError: it was out of reach for KOL_BROKER_TIMEOUT.
        """
        deadline = monotonic() + self._settings.broker_timeout
        while True:
            left = max(deadline - monotonic(), 1.0)
            try:
                answer = await ask(min(DEFAULT_TIMEOUT_S, left))
            except BrokerError as error:
                if monotonic() >= deadline:
                    raise
                self.reason = f"waiting for the broker at {self._settings.broker}"
                log.warning("waiting for the broker: %s", error)
                await asyncio.sleep(_RETRY_S)
            else:
                self.reason = None
                return answer

    async def run(self, *, clock: Callable[[], float] = monotonic) -> None:
        """Ask the broker again and again, for ever.

        Raises:
            BrokerError: it was out of reach for KOL_BROKER_TIMEOUT. Counted from its last answer:
                before anything that was sent to it since can fail for the same reason.
            TopicsError, StateError: a topic is not the one that this worker started with.
        """
        settings = self._settings
        pulse = Pulse(settings, list(self._kept.ids) or [topic_names(settings).snapshots])
        last = clock()
        while True:
            asked = clock()
            beat = await pulse.feel(min(_PATIENCE_S, settings.broker_timeout))
            why = beat.why
            if why is None:
                self._found(clock() - last)
                self._kept.compare(beat.topics, clock())
                last = asked
                await asyncio.sleep(_EVERY_S)
                continue
            self._lost(why)
            left = last + settings.broker_timeout - clock()
            if left <= 0:
                raise BrokerError(
                    f"the broker at {settings.broker} has been out of reach for "
                    f"{duration_text(settings.broker_timeout)}, as long as KOL_BROKER_TIMEOUT "
                    f"allows ({why}); nothing was lost: start the worker again when Kafka runs"
                )
            await asyncio.sleep(min(_RETRY_S, left))

    def _lost(self, why: str) -> None:
        if self.reason is None:
            log.warning("waiting for the broker at %s: %s", self._settings.broker, why)
        self.reason = f"waiting for the broker at {self._settings.broker}: {why}"

    def _found(self, away_s: float) -> None:
        if self.reason is not None:
            log.info("the broker at %s is back after %.0f s", self._settings.broker, away_s)
        self.reason = None
