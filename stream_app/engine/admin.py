"""Asking a broker about topics, and for new ones, within a time limit.

librdkafka's admin client, although the worker reads and writes with aiokafka: only it tells topic
ids, asking it for a topic never creates one, and every call of it ends in time and quietly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it re-exports them implicitly
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from stream_app.broker_access import librdkafka_options
from stream_app.errors import BROKER_ADVICE, BrokerError, TopicsError

if TYPE_CHECKING:
    from stream_app.settings import Settings

T = TypeVar("T")

# Names of librdkafka's errors; those with an underscore arise in the client, not at the broker.
_OUT_OF_REACH = {
    "_TRANSPORT",
    "_TIMED_OUT",
    "_TIMED_OUT_QUEUE",
    "_RESOLVE",
    "_ALL_BROKERS_DOWN",
    "REQUEST_TIMED_OUT",
}
_UNTOLD = ("_UNSUPPORTED_FEATURE", "TOPIC_AUTHORIZATION_FAILED")
_NO_ID = "A" * 22  # sixteen zero bytes in base64: a broker from before topic ids
_LEAST_WAIT_S = 0.1  # librdkafka takes 0 for its own default


@dataclass(frozen=True, kw_only=True)
class FoundTopic:
    """A topic as the broker has it.

    Attributes:
        id: empty where the broker gives none; a topic deleted and made again has another.
        config: its settings in force; empty where the broker does not tell them.
    """

    id: str
    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class TopicOrder:
    """A topic to be made, its settings complete but for replication."""

    name: str
    partitions: int
    config: Mapping[str, str]


class Admin:
    """A short-lived, blocking connection whose calls together take `timeout_s` at most.

    Every call raises BrokerError when no broker answers in that time, and TopicsError when it
    refuses.
    """

    def __init__(self, settings: Settings, timeout_s: float) -> None:
        self._broker = settings.broker
        self._timeout_s = timeout_s
        self._deadline = monotonic() + timeout_s
        self._reason = ""
        config = librdkafka_options(settings) | {"error_cb": self._remember}
        self._client = self._answer(lambda _: AdminClient(config))

    def describe(self, names: Sequence[str]) -> dict[str, FoundTopic]:
        """Those of the topics that exist."""
        futures = self._answer(
            lambda left: self._client.describe_topics(
                TopicCollection(list(names)), request_timeout=left
            )
        )
        topics = {
            name: self._result(future, "UNKNOWN_TOPIC_OR_PART") for name, future in futures.items()
        }
        present = {name: topic for name, topic in topics.items() if topic is not None}
        config = self._configs(list(present))
        return {
            name: FoundTopic(
                id=_topic_id(topic), partitions=len(topic.partitions), config=config[name]
            )
            for name, topic in present.items()
        }

    def create(self, orders: Sequence[TopicOrder]) -> None:
        """The broker has agreed to make them; one that is there already is left as it is."""
        replicas = min(3, self._count_brokers())
        # Of three copies two must have a record before it counts: one broker may be down.
        safety = {"min.insync.replicas": "1" if replicas < 3 else "2"}
        topics = [
            NewTopic(order.name, order.partitions, replicas, config={**safety, **order.config})
            for order in orders
        ]
        futures = self._answer(
            lambda left: self._client.create_topics(
                topics, operation_timeout=left, request_timeout=left
            )
        )
        for future in futures.values():
            self._result(future, "TOPIC_ALREADY_EXISTS")

    @property
    def is_late(self) -> bool:
        return monotonic() >= self._deadline

    def _count_brokers(self) -> int:
        return len(self._answer(lambda left: self._client.list_topics(timeout=left)).brokers)

    def _configs(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        futures = self._answer(
            lambda left: self._client.describe_configs(resources, request_timeout=left)
        )
        return {
            resource.name: {
                key: entry.value
                for key, entry in (self._result(future, *_UNTOLD) or {}).items()
                if entry.value is not None
            }
            for resource, future in futures.items()
        }

    def _answer(self, call: Callable[[float], T]) -> T:
        try:
            return call(max(self._deadline - monotonic(), _LEAST_WAIT_S))
        except KafkaException as error:
            raise self._error(error) from error

    def _result(self, future: Future[Any], *expected: str) -> Any | None:
        """What the future brings; None when it fails with an expected error."""
        try:
            return future.result()
        except KafkaException as error:
            if error.args[0].name() in expected:
                return None
            raise self._error(error) from error

    def _remember(self, error: KafkaError) -> None:
        if error.name() != "_ALL_BROKERS_DOWN":  # the consequence; the cause came before it
            self._reason = error.str().partition(" (after ")[0]

    def _error(self, error: KafkaException) -> TopicsError | BrokerError:
        cause: KafkaError = error.args[0]
        if cause.name() not in _OUT_OF_REACH:
            return TopicsError(f"the broker at {self._broker} refuses: {cause.str()}")
        self._client.poll(0)  # hands over the errors met on the way
        reason = f" ({self._reason})" if self._reason else ""
        return BrokerError(
            f"no answer from the broker at {self._broker} within {self._timeout_s:g} s{reason}; "
            f"{BROKER_ADVICE}"
        )


@dataclass(frozen=True, kw_only=True)
class Beat:
    """What a broker answered, if any did.

    Attributes:
        why: why none has answered; None when one has, whatever it said.
        topics: topic -> its id and number of partitions, None where there is no such topic; without
            topics that it does not tell of.
    """

    why: str | None
    topics: Mapping[str, tuple[str, int] | None] = field(default_factory=dict)


class Pulse:
    """A long-lived connection that tells whether a broker answers; it joins no group."""

    def __init__(self, settings: Settings, topics: Sequence[str]) -> None:
        self._topics = TopicCollection(list(topics))
        self._reason = ""
        # Reconnecting soon shows soon that a broker is back; there is one request at a time.
        config: dict[str, Any] = librdkafka_options(settings) | {
            "reconnect.backoff.max.ms": 1_000,
            "error_cb": self._remember,
        }
        self._client = AdminClient(config)

    async def feel(self, timeout_s: float) -> Beat:
        """Whether a broker answers in that time, and what it says of the topics."""
        futures = self._client.describe_topics(self._topics, request_timeout=timeout_s)
        topics: dict[str, tuple[str, int] | None] = {}
        for name, future in futures.items():
            try:
                topic = await asyncio.wrap_future(future)
            except KafkaException as error:
                cause: KafkaError = error.args[0]
                if cause.name() in _OUT_OF_REACH:
                    self._client.poll(0)
                    return Beat(why=self._reason or cause.str())
                if cause.name() == "UNKNOWN_TOPIC_OR_PART":
                    topics[name] = None
            else:
                topics[name] = (_topic_id(topic), len(topic.partitions))
        self._reason = ""
        return Beat(why=None, topics=topics)

    def _remember(self, error: KafkaError) -> None:
        if error.name() != "_ALL_BROKERS_DOWN":
            self._reason = error.str().partition(" (after ")[0]


def _topic_id(topic: Any) -> str:
    text = str(topic.topic_id)
    return "" if text == _NO_ID else text
