"""When everything that was sent is in the ranking that the worker shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

# Long enough for a line to come back to the worker and to move users, several times over.
_STILL_S = 1.5
# A last record that changes nobody's score (a dead letter) need not appear in any cut.
_PATIENCE_S = 6.0


class Settling:
    """Watches the answers of /api/v1/threshold until they show all that was sent and stand still.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._last: object = None
        self._since = clock()

    def disturb(self) -> None:
        """Something happened that the answers may not show yet, such as a promotion."""
        self._since = self._clock()

    def is_settled(self, threshold: Mapping[str, Any], topic: str, ends: Mapping[int, int]) -> bool:
        """Whether the line has stood still for a while and was drawn from everything sent.

        Args:
            threshold: the newest answer.
            topic: full name of `posts`.
            ends: partition -> offset behind its last record.
        """
        seen = (threshold["version"], threshold["as_of"], threshold["population"], threshold["cut"])
        if seen != self._last:
            self._last = seen
            self._since = self._clock()
        still_s = self._clock() - self._since
        return still_s > (_STILL_S if reaches(threshold["cut"], topic, ends) else _PATIENCE_S)


def reaches(cut: Mapping[str, Mapping[str, int]], topic: str, ends: Mapping[int, int]) -> bool:
    """Whether the cut contains every record before the ends."""
    places = cut.get(topic, {})
    return all(places.get(str(partition), 0) >= end for partition, end in ends.items())
