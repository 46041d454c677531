"""Corrected dead letters back to their topics, each judged as a worker will judge it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from stream_app.cli.dlq.letter import OWN, Headers
from stream_app.cli.dlq.lines import Corrected, corrected
from stream_app.errors import BrokerError
from stream_app.messages import (
    MAX_VALUE_BYTES,
    BadInput,
    Interaction,
    Post,
    decode_interaction,
    decode_post,
)
from stream_app.messages.bad_input import shown
from stream_app.messages.marks import MARKS
from stream_app.sources import BadLine
from stream_app.sources.lines import read_lines
from stream_app.sources.replay import producer_options

if TYPE_CHECKING:
    from stream_app.settings import Settings

RESENT_FROM: Final = "dlq-resent-from"

_POLL_S: Final = 0.1
_TOO_LARGE: Final = KafkaError.MSG_SIZE_TOO_LARGE


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A valid record under its right key, and the line that it stands in."""

    number: int
    topic: str
    key: bytes
    value: bytes
    headers: Headers


def outgoing(
    settings: Settings, path: str, refuse: Callable[[BadLine], object]
) -> Iterator[Outgoing]:
    """What the lines of a file say to send; one that would be a dead letter again is refused.

    Raises:
        UsageError: the file cannot be read.
    """
    for found in read_lines(
        [path], lambda line: [judged(settings, line.number, corrected(line.content))]
    ):
        if isinstance(found, BadLine):
            refuse(found)
        else:
            yield found


def judged(settings: Settings, number: int, record: Corrected) -> Outgoing:
    """The record under the key of its user.

    Raises:
        BadInput: a worker would put it aside again.
    """
    event = _decoder(settings, record.topic)(record.value)
    # Marks of a worker: one that says "forwarded" would be believed.
    kept = [
        (name, content)
        for name, content in record.headers
        if not name.startswith(OWN) and name not in MARKS
    ]
    return Outgoing(
        number=number,
        topic=record.topic,
        key=event.key.encode(),
        value=record.value or b"",
        headers=[*kept, (RESENT_FROM, record.source.encode())],
    )


def _decoder(settings: Settings, topic: str) -> Callable[[bytes | None], Post | Interaction]:
    posts, interactions = settings.topic("posts"), settings.topic("interactions")
    if topic == posts:
        return decode_post
    if topic == interactions:
        return decode_interaction
    raise BadInput("invalid-field", f"topic: {shown(topic)} is neither {posts} nor {interactions}")


class Resender:
    """Produces records as given.

    Attributes:
        sent: how many the broker has acknowledged.
    """

    def __init__(self, settings: Settings, path: str, refuse: Callable[[BadLine], object]) -> None:
        self.sent = 0
        self._broker = settings.broker
        self._path = path
        self._refuse = refuse
        self._failure: tuple[int, KafkaError] | None = None
        self._producer = Producer(
            producer_options(settings)
            | {
                # Whether a record is too large is the broker's to say, of each record by itself:
                # a batch that is too large would take good ones down with it.
                "message.max.bytes": 2 * MAX_VALUE_BYTES,
                "batch.num.messages": 1,
            }
        )

    def run(self, records: Iterable[Outgoing]) -> None:
        """Each is acknowledged, or refused as too large.

        Raises:
            BrokerError: one could not be delivered; those after it may not have been.
        """
        try:
            for record in records:
                self._send(record)
                self._poll(0)
            while len(self._producer):
                self._poll(_POLL_S)
        except BaseException:
            self._producer.purge()  # else its destructor would wait for the broker
            raise

    def _send(self, record: Outgoing) -> None:
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    key=record.key,
                    value=record.value,
                    headers=[*record.headers],
                    on_delivery=partial(self._on_delivery, record.number),
                )
            except BufferError:  # its queue is full: the broker is the slower one
                self._poll(_POLL_S)
            except KafkaException as error:
                self._fail(record.number, error.args[0])
                return
            else:
                return

    def _poll(self, timeout_s: float) -> None:
        self._producer.poll(timeout_s)
        if self._failure is not None:
            number, error = self._failure
            raise BrokerError(
                f"{self._path}:{number}: not delivered to {self._broker} ({error.str()}), "
                f"{self.sent} were: send the file again when Kafka answers; what has arrived "
                "counts once"
            )

    def _on_delivery(self, number: int, error: KafkaError | None, _message: Any) -> None:
        if error is None:
            self.sent += 1
        else:
            self._fail(number, error)

    def _fail(self, number: int, error: KafkaError) -> None:
        if error.code() == _TOO_LARGE:
            bad = BadInput("too-large", "value: larger than the broker accepts")
            self._refuse(BadLine.of(self._path, number, bad))
        elif self._failure is None:
            self._failure = (number, error)
