"""How far the workers are behind what has been sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from stream_app.group_offsets import Committed, GroupOffsets, Place

if TYPE_CHECKING:
    from stream_app.settings import Settings

_REQUEST_TIMEOUT_S: Final = 10.0


class GroupLag:
    """How far the workers are behind: records of the source topics that they have not committed.

    A context manager. Every method raises BrokerError when the broker does not tell.
    """

    def __init__(self, settings: Settings) -> None:
        self._group = GroupOffsets(settings, settings.app_id, timeout_s=_REQUEST_TIMEOUT_S)
        self._topics = (settings.topic("posts"), settings.topic("interactions"))
        self._places: list[Place] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._group.close()

    def records(self) -> int:
        """Records not committed yet; everything there is while the group has committed nothing."""
        if not self._places:
            self._places = self._group.places(self._topics)
        committed = self._group.committed(self._places)
        return sum(self._behind(place, committed.get(place)) for place in self._places)

    def ends(self, topic: str) -> dict[int, int]:
        """Partition -> offset behind the last record of the topic."""
        places = self._group.places([topic])
        return {place.partition: self._group.bounds(place)[1] for place in places}

    def _behind(self, place: Place, committed: Committed | None) -> int:
        low, high = self._group.bounds(place)
        done = low if committed is None else max(committed.offset, low)
        return max(high - done, 0)
