"""Every dead letter that Kafka has now, and then the end."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_app.broker_access import librdkafka_options
from stream_app.cli.dlq.letter import Letter
from stream_app.errors import BROKER_ADVICE, BrokerError, TopicsError

if TYPE_CHECKING:
    from stream_app.settings import Settings

_TIMEOUT_S: Final = 10.0  # for one answer, and for the next record
_POLL_S: Final = 0.5


def letters(settings: Settings) -> Iterator[Letter]:
    """The dead letters up to the moment of asking, in order within each partition.

    Raises:
        BrokerError: the broker is out of reach.
        TopicsError: there is no such topic.
    """
    consumer = Consumer(
        librdkafka_options(settings)
        | {
            "group.id": "kol-dlq",  # never joined and never committed: it only has to be there
            "enable.auto.commit": False,
            "enable.partition.eof": True,  # behind a transaction's marker there is no last record
            "auto.offset.reset": "earliest",
        }
    )
    try:
        yield from _to_the_ends(consumer, settings.topic("posts-dlq"), settings.broker)
    except KafkaException as error:
        raise BrokerError(
            f"no answer from the broker at {settings.broker} ({error.args[0].str()}); "
            f"{BROKER_ADVICE}"
        ) from error
    finally:
        consumer.close()


def _to_the_ends(consumer: Consumer, topic: str, broker: str) -> Iterator[Letter]:
    waiting = _ends(consumer, topic, broker)
    trouble, deadline = "; try again", monotonic() + _TIMEOUT_S
    while waiting:
        message = consumer.poll(_POLL_S)
        if message is None:
            if monotonic() > deadline:
                raise BrokerError(f"the broker at {broker} does not show all of {topic}{trouble}")
            continue
        error, partition = message.error(), message.partition()
        if error is None:
            found = _letter(message)
            if partition in waiting:  # else it came after the moment of asking
                if (message.offset() or 0) + 1 >= waiting[partition]:
                    del waiting[partition]
                yield found
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own name
            waiting.pop(partition or 0, None)
        else:
            trouble = f": {error.str()}"  # passing, and librdkafka mends it, or too late
            continue
        deadline = monotonic() + _TIMEOUT_S


def _ends(consumer: Consumer, topic: str, broker: str) -> dict[int, int]:
    """Partition -> offset behind its last record, of those that hold any; they are assigned."""
    topics = consumer.list_topics(timeout=_TIMEOUT_S).topics
    if topic not in topics:
        raise TopicsError(f"no topic {topic} at {broker}: run `kol topics create`")
    ends, places = {}, []
    for number in topics[topic].partitions:
        place = TopicPartition(topic, number)
        low, high = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)
        if low < high:
            ends[number] = high
            places.append(TopicPartition(topic, number, low))
    consumer.assign(places)
    return ends


def _letter(message: Any) -> Letter:  # its type calls what each record has optional
    return Letter.of(
        f"{message.topic()}/{message.partition()}/{message.offset()}",
        message.timestamp()[1],
        message.key(),
        message.value(),
        message.headers() or [],
    )
