"""What a batch sends: KOL events, dead letters, forwarded records; all awaited before the ack."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping
from typing import Any, cast

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError
from faust.exceptions import ProducerSendError

from stream_app.engine.intake import Misplaced, Rejected
from stream_app.engine.metrics import Metrics
from stream_app.engine.topics import TopicNames
from stream_app.messages import KolEvent, decode_kept_event, event_headers, rfc3339, stamp_event
from stream_app.messages.marks import APP, FORWARDED, MARKS, ORIGIN

#: A record of this size goes as a compressed batch of its own: it may have fitted its topic only
#: because its producer compressed it, which ours does not.
_LARGE_BYTES = 64 * 1024


def now_ms() -> int:
    """Processing time."""
    return time.time_ns() // 1_000_000


class Outbox:
    """Sends and collects the broker's answers; `settle` raises the first failure."""

    def __init__(self, app: Any, topics: TopicNames, app_id: str, metrics: Metrics) -> None:
        self._app = app
        self._topics = topics
        self._app_id = app_id
        self._metrics = metrics
        self._pending: list[Awaitable[Any]] = []
        self._forwards: list[tuple[Awaitable[Any], Any]] = []
        self._letters: list[tuple[Awaitable[Any], Any, list[tuple[str, bytes]]]] = []

    async def settle(self) -> None:
        """Wait until the broker has confirmed what was sent. Raises what it answers instead."""
        forwards, self._forwards = self._forwards, []
        for sent, message in forwards:
            try:
                await sent
            except KafkaError as error:
                await self._cannot_carry(message, error)
        letters, self._letters = self._letters, []
        for sent, message, headers in letters:
            try:
                await sent
            except KafkaError as error:
                await self._name_only(message, headers, error)
        pending, self._pending = self._pending, []
        if pending:
            await asyncio.gather(*pending)

    async def event(self, event: KolEvent, kept: bytes, partition: int) -> None:
        """Send a promotion or demotion, for the first time or again; `kept` are its row's bytes."""
        await self._send(
            self._topics.events,
            event.user.key.encode(),
            stamp_event(kept, rfc3339(now_ms())),
            partition=partition,
            headers=event_headers(event, self._app_id),
        )
        tier = event.tier if event.kind == "promoted" else event.from_tier
        self._metrics.transition(event.kind, tier or "")

    async def event_again(self, kept: bytes, partition: int) -> None:
        """Send the event that a row keeps, for it may not have got out."""
        await self.event(decode_kept_event(kept), kept, partition)

    async def dead_letter(self, message: Any, verdict: Rejected) -> None:
        """Put a bad record aside: key and bytes untouched, the reason in headers."""
        headers = [
            (name, value) for name, value in _pairs(message.headers) if not name.startswith("dlq-")
        ]
        headers += [
            ("dlq-reason", verdict.reason.encode()),
            ("dlq-detail", verdict.detail.encode()),
            ("dlq-topic", message.topic.encode()),
            ("dlq-partition", b"%d" % message.partition),
            ("dlq-offset", b"%d" % message.offset),
            ("dlq-at", rfc3339(now_ms()).encode()),
        ]
        try:
            sent = await self._copy(self._topics.dead_letters, message.key, message, headers)
        except (ProducerSendError, KafkaError) as error:
            await self._name_only(message, headers, error)
        else:
            self._letters.append((sent, message, headers))
        self._metrics.dead_letters.labels(reason=verdict.reason).inc()

    async def _name_only(
        self, message: Any, headers: list[tuple[str, bytes]], error: Exception
    ) -> None:
        """Name the place of a record that no dead letter can carry; raises any other error."""
        if not _is_too_large(error):
            raise error
        headers = [*headers, ("dlq-truncated", b"%d" % len(message.value or b""))]
        self._pending.append(
            await self._app.producer.send_alone(
                self._topics.dead_letters, message.key, None, None, None, headers
            )
        )

    async def forward(self, message: Any, verdict: Misplaced) -> None:
        """Send a valid record on to its user's partition, once, with its timestamp."""
        origin = f"{message.topic}/{message.partition}/{message.offset}"
        headers = [(name, value) for name, value in _pairs(message.headers) if name not in MARKS]
        app = self._app_id.encode()
        headers += [(FORWARDED, b"1"), (ORIGIN, origin.encode()), (APP, app)]
        try:
            sent = await self._copy(
                message.topic,
                verdict.key,
                message,
                headers,
                partition=verdict.partition,
                timestamp_ms=round(message.timestamp * 1000),
            )
        except (ProducerSendError, KafkaError) as error:
            await self._cannot_carry(message, error)
        else:
            self._forwards.append((sent, message))
            self._metrics.forwarded.inc()

    async def _cannot_carry(self, message: Any, error: Exception) -> None:
        """Put a misplaced record aside that is too large to forward; raises any other error."""
        if not _is_too_large(error):
            raise error
        detail = "value: in another user's partition, and too large to be forwarded"
        await self.dead_letter(message, Rejected("too-large", detail))

    async def _copy(
        self,
        topic: str,
        key: bytes | None,
        message: Any,
        headers: list[tuple[str, bytes]],
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> Awaitable[Any]:
        """Send a record's bytes on, whatever they are; returns the broker's answer to come."""
        value, producer = message.value, self._app.producer
        if len(value or b"") > _LARGE_BYTES or (value is None and key is None):
            return cast(
                Awaitable[Any],
                await producer.send_alone(topic, key, value, partition, timestamp_ms, headers),
            )
        # Faust takes seconds and cuts off what is below a millisecond, rounding errors too; and it
        # takes 0 for none.
        half = -0.5 if timestamp_ms is not None and timestamp_ms < 0 else 0.5
        timestamp = None if timestamp_ms is None else (timestamp_ms + half) / 1000
        return cast(
            Awaitable[Any],
            await producer.send(topic, key, value, partition, timestamp, headers),
        )

    async def _send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        headers: list[tuple[str, bytes]],
        partition: int | None = None,
    ) -> None:
        self._pending.append(
            await self._app.producer.send(topic, key, value, partition, None, headers)
        )


def _is_too_large(error: Exception) -> bool:
    cause = error if isinstance(error, KafkaError) else error.__cause__
    return isinstance(cause, MessageSizeTooLargeError | RecordTooLargeError)


def _pairs(headers: Any) -> list[tuple[str, bytes]]:
    if not headers:
        return []
    return list(headers.items() if isinstance(headers, Mapping) else headers)
