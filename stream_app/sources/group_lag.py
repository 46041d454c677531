"""How far the workers are behind what has been sent."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, TopicPartition

from stream_app.errors import BrokerError

if TYPE_CHECKING:
    from stream_app.settings import Settings

_REQUEST_TIMEOUT_S: Final = 10.0


class GroupLag:
    """How far the workers are behind: records of the source topics that they have not committed."""

    def __init__(self, settings: Settings) -> None:
        # Never subscribed, so it joins no group: it only asks for the group's offsets.
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.broker,
                "group.id": settings.app_id,
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        self._topics = (settings.topic("posts"), settings.topic("interactions"))
        self._partitions: list[TopicPartition] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._consumer.close()

    def records(self) -> int:
        """Records not committed yet; everything there is while the group has committed nothing.

        Raises:
            BrokerError: the broker does not tell.
        """
        try:
            if not self._partitions:
                self._partitions = self._find_partitions()
            committed = self._consumer.committed(self._partitions, timeout=_REQUEST_TIMEOUT_S)
            return sum(self._behind(place) for place in committed)
        except KafkaException as error:
            raise BrokerError(f"the workers' progress is not known: {_said(error)}") from error

    def ends(self, topic: str) -> dict[int, int]:
        """Partition -> offset behind the last record of the topic."""
        try:
            return {
                place.partition: self._watermarks(place)[1]
                for place in self._find_partitions()
                if place.topic == topic
            }
        except KafkaException as error:
            raise BrokerError(f"the end of {topic} is not known: {_said(error)}") from error

    def _find_partitions(self) -> list[TopicPartition]:
        topics = self._consumer.list_topics(timeout=_REQUEST_TIMEOUT_S).topics
        return [
            TopicPartition(name, number)
            for name in self._topics
            if name in topics
            for number in topics[name].partitions
        ]

    def _behind(self, place: TopicPartition) -> int:
        low, high = self._watermarks(place)
        done = low if place.offset == OFFSET_INVALID else max(place.offset, low)
        return max(high - done, 0)

    def _watermarks(self, place: TopicPartition) -> tuple[int, int]:
        low, high = self._consumer.get_watermark_offsets(place, timeout=_REQUEST_TIMEOUT_S)
        return low, high


def _said(error: KafkaException) -> str:
    return str(error.args[0].str())
