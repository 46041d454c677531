"""Deciding tiers: a user's standing against the line in force in her partition."""

from __future__ import annotations

from collections.abc import Mapping

from stream_app.core.columns import Columns
from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.row import Transition
from stream_app.core.scheme import Scheme
from stream_app.core.standing import standing_of, z_of
from stream_app.core.tiers import Line, TierLine, decide, percentile
from stream_app.core.transitions import transition_event
from stream_app.engine.batch import Touched
from stream_app.engine.partition import Partition
from stream_app.messages import KolEvent, encode_event


class Decider:
    """Knows the owned partitions and the distribution that the newest line was drawn from."""

    def __init__(self, scheme: Scheme, partitions: Mapping[int, Partition]) -> None:
        self._scheme = scheme
        self._partitions = partitions
        #: of the whole system; None before the first line
        self.sketch: QuantileSketch | None = None
        #: the line looked at last, and what `_lines` makes of it
        self._line: tuple[Line | None, list[TierLine]] = None, []

    def decide(self, touched: Touched, now: int | None) -> KolEvent | None:
        """Set z, level and tier of a touched user; the event where the tier changes.

        Once per user and batch. The event is kept in the row, to be sent again after a crash.
        `now` is the high mark.
        """
        if touched.cause is None:
            return None
        row, scheme, line = touched.row, self._scheme, touched.partition.meta.line
        z = touched.z = z_of(row, scheme)
        level = touched.level = scheme.level_of(row.tier)
        if z is None or line is None:
            return None
        counted = touched.partition.is_eligible(row.posts, row.newest_post_at)
        new = decide(z, counted=counted, level=level, lines=self._lines(line))
        return None if new == level else self._change(touched, line, new, counted, now)

    def _change(
        self, touched: Touched, line: Line, level: int, counted: bool, now: int | None
    ) -> KolEvent:
        """Put a user with posts on another level."""
        row, cause, scheme = touched.row, touched.cause, self._scheme
        standing = standing_of(row, scheme)
        assert standing is not None  # noqa: S101  - she has a z
        assert cause is not None  # noqa: S101  - or nothing would be decided
        occurred_at = now if now is not None else standing.as_of
        event = transition_event(
            standing,
            level=level,
            from_tier=row.tier,
            line=line,
            cause=cause,
            occurred_at=occurred_at,
            percentile=self._percentile(standing.z) if counted else None,
            scheme=scheme,
        )
        row.tier = event.tier
        row.tier_since = occurred_at if event.tier is not None else None
        if cause.threshold_version is not None:
            row.transition = Transition("", cause.threshold_version, encode_event(event))
        else:
            row.transition = Transition(cause.topic or "", cause.offset or 0, encode_event(event))
        touched.level = level
        return event

    def moved_by(self, line: Line, columns: Columns) -> list[int]:
        """Indices of the users whose tier a line may change."""
        lines = self._lines(line)
        enter, leave = [tier.enter_z for tier in lines], [tier.leave_z for tier in lines]
        moved = set(columns.crossings(enter, leave).tolist())
        # Members outside the population, and members of tiers that are no longer configured.
        moved.update(((columns.tier != 0) & ~columns.counted).nonzero()[0].tolist())
        moved.update((columns.tier < 0).nonzero()[0].tolist())
        return sorted(moved)

    def _lines(self, line: Line) -> list[TierLine]:
        """The record's lines in the order of the configured tiers."""
        known, lines = self._line
        if line is not known:
            bounds = {bound.name: bound for bound in line.tiers}
            lines = [
                bounds.get(tier.name, TierLine(tier.name, tier.quantile))
                for tier in self._scheme.tiers
            ]
            self._line = line, lines
        return lines

    def _percentile(self, z: float) -> float | None:
        if self.sketch is not None:
            return percentile(self.sketch, z)
        merged = QuantileSketch.merged(p.sketch for p in self._partitions.values())
        return percentile(merged, z)

    def high_mark(self) -> int | None:
        """Greatest event time this worker knows of (ms)."""
        marks = [mark for p in self._partitions.values() if (mark := p.high_mark()) is not None]
        marks += [
            p.meta.line.high_mark
            for p in self._partitions.values()
            if p.meta.line is not None and p.meta.line.high_mark is not None
        ]
        return max(marks, default=None)
