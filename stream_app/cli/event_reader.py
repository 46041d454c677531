"""KOL events straight from the topic `kol-events`, as they arrive."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from stream_app.broker_access import librdkafka_options
from stream_app.errors import BROKER_ADVICE, BrokerError, TopicsError
from stream_app.messages import BadInput, KolEvent, decode_event

if TYPE_CHECKING:
    from stream_app.settings import Settings

_TIMEOUT_S = 10.0
# Events are sent again after a crash, close to their first time; far more are remembered than that.
_REMEMBERED = 10_000
_OUT_OF_REACH = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE)  # noqa: SLF001 - librdkafka's own names


class EventReader:
    """Every KOL event of the whole system, each once, in order for each user.

    Args:
        settings: broker, topic and how long a lost broker is waited for.
        from_beginning: from the oldest event kept instead of from now.

    Raises:
        BrokerError: the broker is out of reach.
        TopicsError: there is no such topic.
    """

    def __init__(self, settings: Settings, *, from_beginning: bool = False) -> None:
        self._broker = settings.broker
        self._patience_s = settings.broker_timeout
        self._topic = settings.topic("kol-events")
        self._seen: OrderedDict[tuple[str | bytes | None, str], None] = OrderedDict()
        self._down_since: float | None = None
        self._consumer = Consumer(
            librdkafka_options(settings)
            | {
                # Never subscribed and never committed: the id only has to be there.
                "group.id": f"kol-watch-{uuid.uuid4()}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
                "error_cb": self._note,
            }
        )
        try:
            self._consumer.assign(self._places(from_beginning))
        except KafkaException as error:
            self._consumer.close()
            raise BrokerError(
                f"no answer from the broker at {self._broker} ({error.args[0].str()}); "
                f"{BROKER_ADVICE}"
            ) from error

    def _places(self, from_beginning: bool) -> list[TopicPartition]:
        """Fixed offsets: what comes after this call is read, whenever reading begins."""
        topics = self._consumer.list_topics(timeout=_TIMEOUT_S).topics
        if self._topic not in topics:
            self._consumer.close()
            raise TopicsError(f"no topic {self._topic} at {self._broker}: run `kol topics create`")
        places = [TopicPartition(self._topic, number) for number in topics[self._topic].partitions]
        for place in places:
            if from_beginning:
                place.offset = OFFSET_BEGINNING
            else:
                place.offset = self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)[1]
        return places

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def poll(self, timeout_s: float) -> tuple[KolEvent, bytes] | None:
        """The next event and its record's value; None where none came in that time.

        A repeated event and a record that is no KOL event are passed over.

        Raises:
            BrokerError: the broker has been out of reach for longer than settings allow.
        """
        message = self._consumer.poll(timeout_s)
        self._check_broker()
        if message is None:
            return None
        error = message.error()
        if error is not None:
            if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise TopicsError(f"topic {self._topic} has gone: run `kol topics create`")
            return None  # passing troubles, which librdkafka mends itself
        self._down_since = None
        value = message.value()
        try:
            event = decode_event(value)
        except BadInput:
            return None
        # Two apps on the same topics may give the same id to events of their own.
        source = dict(message.headers() or ()).get("ce_source")
        if value is None or self._is_repeated((source, event.event_id)):
            return None
        return event, value

    def _is_repeated(self, event: tuple[str | bytes | None, str]) -> bool:
        if event in self._seen:
            return True
        self._seen[event] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return False

    def _note(self, error: KafkaError) -> None:
        if error.code() in _OUT_OF_REACH and self._down_since is None:
            self._down_since = monotonic()

    def _check_broker(self) -> None:
        if self._down_since is None or monotonic() - self._down_since < self._patience_s:
            return
        try:  # nothing tells that it is back while no event comes
            self._consumer.list_topics(self._topic, timeout=_TIMEOUT_S)
        except KafkaException as error:
            raise BrokerError(
                f"the broker at {self._broker} has been out of reach for too long: "
                f"{error.args[0].str()}"
            ) from error
        self._down_since = None
