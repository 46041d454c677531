"""The system-wide view that every worker holds: ranking, line and distribution."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.standing import Standing
from stream_app.core.tiers import Line, percentile


def position_key(standing: Standing) -> tuple[float, bytes]:
    """Orders a ranking: score descending, ties by user key (UTF-8 bytes) ascending.

    z orders users as their scores do at any time, since all scores decay by one factor.
    """
    return (-standing.z, standing.key.encode())


def merge_top(parts: Iterable[Sequence[Standing]], size: int) -> list[Standing]:
    """The first `size` of lists that are each in order; users are in one list only."""
    return heapq.nsmallest(
        size, (standing for part in parts for standing in part), key=position_key
    )


@dataclass(frozen=True)
class Board:
    """What is known of the whole system at one version; every worker shows the same."""

    line: Line
    #: users in each tier or a higher one, lowest tier first
    members: tuple[int, ...]
    items: tuple[Standing, ...]
    sketch: QuantileSketch

    @property
    def high_mark(self) -> int | None:
        """The time (ms) as of which everything is shown."""
        return self.line.high_mark

    def percentile(self, z: float) -> float | None:
        """100 x share of the population scoring at most z."""
        return percentile(self.sketch, z)
