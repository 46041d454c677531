"""Sends posts and interactions to their topics: in order, at a chosen pace, acknowledged by all.

Prints nothing; whoever runs it is called back with what has been delivered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream_app.broker_access import librdkafka_options
from stream_app.errors import BROKER_ADVICE, BrokerError
from stream_app.messages import Post, encode_interaction, encode_post
from stream_app.sources.events import Event
from stream_app.sources.group_lag import GroupLag

if TYPE_CHECKING:
    from stream_app.settings import Settings

_POLL_S: Final = 0.1
_LAG_INTERVAL_S: Final = 0.2  # a look at the lag asks the broker once for each partition
_MOST_WAITING_KB: Final = 64 * 1024
_LAST_FLUSH_S: Final = 2.0  # what is still under way when someone stops the replay
# A record that no broker will take fails alone; any other failure is that of everything after it.
_TOO_LARGE: Final = KafkaError.MSG_SIZE_TOO_LARGE


class Pace:
    """When events are due: the first at once, others as far behind it as they happened behind it.

    Args:
        speed: event time passes that many times as fast as ours; None sends everything at once.
        clock: seconds that only grow.
    """

    def __init__(self, speed: float | None, clock: Callable[[], float] = monotonic) -> None:
        self._speed = speed
        self._clock = clock
        self._first: tuple[int, float] | None = None

    def wait_s(self, event_time: int) -> float:
        """Seconds until an event of that time (ms) is due; 0 or less when it is."""
        if self._speed is None:
            return 0.0
        if self._first is None:
            self._first = (event_time, self._clock())
        first_ms, started = self._first
        return (event_time - first_ms) / 1_000 / self._speed - (self._clock() - started)


class Replayer:
    """Produces events as given, each to its topic under its user's key.

    Args:
        settings: broker, prefix, and how long a lost broker is waited for.
        speed: see `Pace`.
        max_lag: at most that many events are delivered but not yet committed by the workers; None
            does not look.
        on_delivered: called in `run` with the number of events acknowledged so far.
        stop: once set, `run` returns soon.

    Attributes:
        delivered: events acknowledged so far.
        delivered_interactions: those of them that are interactions.
        too_large: events that no broker will take.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        speed: float | None = None,
        max_lag: int | None = None,
        on_delivered: Callable[[int], object] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.delivered = 0
        self.delivered_interactions = 0
        self.too_large = 0
        self._settings = settings
        self._posts, self._interactions = settings.topic("posts"), settings.topic("interactions")
        self._pace = Pace(speed)
        self._max_lag = max_lag
        self._on_delivered = on_delivered
        self._stop = stop or threading.Event()
        self._failure: KafkaError | None = None
        self._room = 0
        self._producer = Producer(producer_options(settings))

    def run(self, events: Iterable[Event]) -> None:
        """Every event is acknowledged by all in-sync replicas, or counted in `too_large`.

        Raises:
            BrokerError: an event could not be delivered; those after it were not sent.
        """
        with nullcontext() if self._max_lag is None else GroupLag(self._settings) as lag:
            try:
                self._send_all(events, lag)
            except BaseException:
                self._producer.purge()  # else its destructor would wait for the broker
                raise

    def _send_all(self, events: Iterable[Event], lag: GroupLag | None) -> None:
        for event in events:
            self._wait_until_due(event)
            self._wait_for_room(lag)
            if self._stop.is_set():
                break
            self._send(event)
        self._flush()

    def _wait_until_due(self, event: Event) -> None:
        while (wait_s := self._pace.wait_s(event.event_time)) > 0 and not self._stop.is_set():
            self._poll(min(wait_s, _POLL_S))

    def _wait_for_room(self, lag: GroupLag | None) -> None:
        """Returns when one more event keeps within the lag allowed."""
        if lag is None or self._max_lag is None:
            return
        while self._room <= 0 and not self._stop.is_set():
            self._room = self._max_lag - lag.records() - len(self._producer)
            if self._room <= 0:
                self._poll(_LAG_INTERVAL_S)
        self._room -= 1

    def _send(self, event: Event) -> None:
        if isinstance(event, Post):
            topic, value = self._posts, encode_post(event)
        else:
            topic, value = self._interactions, encode_interaction(event)
        while True:
            try:
                self._producer.produce(
                    topic, key=event.key.encode(), value=value, on_delivery=self._on_delivery
                )
                break
            except BufferError:  # its queue is full: the broker is the slower one
                self._poll(_POLL_S)
                if self._stop.is_set():
                    return
            except KafkaException as error:
                self._count_failure(error.args[0])
                break
        self._poll(0)

    def _flush(self) -> None:
        deadline = monotonic() + _LAST_FLUSH_S
        while len(self._producer) and not (self._stop.is_set() and monotonic() > deadline):
            self._producer.flush(_POLL_S)
            self._after_poll()
        if len(self._producer):
            self._producer.purge()

    def _poll(self, timeout_s: float) -> None:
        self._producer.poll(timeout_s)
        self._after_poll()

    def _after_poll(self) -> None:
        if self._failure is not None:
            raise BrokerError(
                f"posts could not be delivered to {self._settings.broker}: "
                f"{self._failure.str()}; {BROKER_ADVICE}"
            )
        if self._on_delivered is not None:
            self._on_delivered(self.delivered)

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.delivered += 1
            self.delivered_interactions += message.topic() == self._interactions
        else:
            self._count_failure(error)

    def _count_failure(self, error: KafkaError) -> None:
        if error.code() == _TOO_LARGE:
            self.too_large += 1
        elif self._failure is None:
            self._failure = error


def producer_options(settings: Settings) -> dict[str, Any]:
    """librdkafka's, of a producer that loses nothing and finds the partitions that workers do."""
    return librdkafka_options(settings) | {
        "partitioner": "murmur2_random",  # where the worker expects the key, see messages.user_keys
        "enable.idempotence": True,  # neither lost nor doubled nor out of order by a retry
        "acks": "all",
        "compression.type": "lz4",
        "linger.ms": 20,
        # What waits for a slow broker; librdkafka's own limit is a gigabyte.
        "queue.buffering.max.kbytes": _MOST_WAITING_KB,
        # Idempotence forbids a time-out shorter than one request's.
        "message.timeout.ms": max(round(settings.broker_timeout * 1_000), 1_000),
    }
