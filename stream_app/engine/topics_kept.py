"""Whether the topics are still those that a running worker has started with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from stream_app.engine.topics import partitions_advice, topic_names
from stream_app.errors import StateError, TopicsError

if TYPE_CHECKING:
    from stream_app.settings import Settings

#: A topic is gone when it was missing for so long: brokers learn of topics one after the other.
_GONE_S: Final = 5.0


class TopicsKept:
    """Compares what the broker says of topics with what they were at the start."""

    def __init__(self, settings: Settings) -> None:
        #: topic -> its id at the start, empty where the broker gives none
        self.ids: dict[str, str] = {}
        self._settings = settings
        self._names = topic_names(settings)
        self._missing_since: dict[str, float] = {}

    def compare(self, found: Mapping[str, tuple[str, int] | None], now: float) -> None:
        """Returns when all is as it was.

        Args:
            found: topic -> id and partitions, None where it is missing.
            now: in seconds, by a clock that only goes forward.

        Raises:
            StateError: a topic was deleted, or deleted and made again.
            TopicsError: it has another number of partitions.
        """
        for topic, state in found.items():
            if state is None:
                if now - self._missing_since.setdefault(topic, now) >= _GONE_S:
                    raise StateError(self._anew(topic, "deleted"))
                continue
            self._missing_since.pop(topic, None)
            known = self.ids.get(topic)
            if known and state[0] and state[0] != known:
                raise StateError(self._anew(topic, "deleted and made again"))
        self._compare_partitions({name: state[1] for name, state in found.items() if state})

    def _compare_partitions(self, have: Mapping[str, int]) -> None:
        due = self._settings.partitions
        for topic, count in have.items():
            if count != (1 if topic == self._names.snapshots else due):
                raise TopicsError(
                    f"topics do not fit any more: {topic} has {count} partitions now: "
                    f"{partitions_advice(self._names, have, due)}"
                )

    def _anew(self, topic: str, what: str) -> str:
        if topic == self._names.changelog:
            lost = "the rows that it held are gone"
        else:
            lost = "the state would take its new records for old ones"
        return (
            f"topic {topic} was {what} under this running worker: {lost}; start anew with "
            "`kol rebuild`"
        )
