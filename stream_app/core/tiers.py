"""Lines and tiers: who is in, with hysteresis between the entering and the leaving value."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.scheme import Scheme, Tier


class TierLine(msgspec.Struct, array_like=True, frozen=True):
    """A tier's entering and leaving value as ln at the Unix epoch; None while there is no line."""

    name: str
    quantile: float
    enter_z: float | None = None
    leave_z: float | None = None
    #: share of the population in the bucket of the entering value: the most the rank can be off
    rank_error: float | None = None


class Line(msgspec.Struct, array_like=True, frozen=True):
    """One version of all tiers' lines, and what they were drawn from; times in ms."""

    version: int
    #: greatest event time of any valid event so far
    high_mark: int | None
    #: users whose newest post is older than this less the active window are inactive
    expiry_mark: int | None
    population: int
    tiers: tuple[TierLine, ...]
    #: topic -> partition -> next offset: the events that the population reflects
    cut: dict[str, dict[str, int]]
    #: the formula whose z the values are; a line of another formula decides nothing
    formula: int = 0


def draw(sketch: QuantileSketch, scheme: Scheme) -> tuple[TierLine, ...]:
    """The lines of all tiers over the population in the sketch."""
    return tuple(_draw_tier(sketch, tier, scheme) for tier in scheme.tiers)


def _draw_tier(sketch: QuantileSketch, tier: Tier, scheme: Scheme) -> TierLine:
    if sketch.n < max(tier.min_population, 1):
        return TierLine(tier.name, tier.quantile)
    return TierLine(
        tier.name,
        tier.quantile,
        enter_z=sketch.get_quantile(tier.quantile),
        leave_z=sketch.get_quantile(max(0.0, tier.quantile - scheme.leave_margin)),
        rank_error=sketch.rank_error(tier.quantile),
    )


def decide(z: float, *, counted: bool, level: int, lines: Sequence[TierLine]) -> int:
    """The level (0 none, 1 the lowest tier ..) of a user who is at `level` now.

    She enters a tier at z >= its entering value and leaves it below its leaving value; while a
    tier has no line she stays. One who is not counted in the population is in no tier. `level` -1
    (a tier that is no longer configured) decides afresh.
    """
    if not counted:
        return 0
    new = 0
    for index, line in enumerate(lines, start=1):
        if index > level:
            inside = line.enter_z is not None and z >= line.enter_z
        else:
            inside = line.leave_z is None or z >= line.leave_z
        if inside:
            new = index
    return new


def percentile(sketch: QuantileSketch, z: float) -> float | None:
    """100 x the share of the population that scores at most z; None for nobody at all."""
    if sketch.n == 0:
        return None
    return 100.0 * min(sketch.get_member_rank(z), 1.0)
