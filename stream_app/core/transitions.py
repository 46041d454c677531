"""A change of tier as an event, with all its facts, so that it can be sent again word for word."""

from __future__ import annotations

import math

from stream_app.core.scheme import Scheme
from stream_app.core.standing import Standing, explain
from stream_app.core.tiers import Line, TierLine
from stream_app.messages import Cause, KolEvent, event_id, rfc3339


def transition_event(
    standing: Standing,
    *,
    level: int,
    from_tier: str | None,
    line: Line,
    cause: Cause,
    occurred_at: int,
    percentile: float | None,
    scheme: Scheme,
) -> KolEvent:
    """The event of a user who moves from `from_tier` to `level` (0 none, 1 the lowest tier ..).

    `emitted_at` is left empty: it is the only field that differs when the event is sent again.
    Values are as of `occurred_at` (ms, event time); `percentile` is null for a user outside the
    population.
    """
    tier = scheme.tiers[level - 1].name if level else None
    promoted = level > max(scheme.level_of(from_tier), 0)
    crossed = tier if promoted else from_tier
    bound = _line_of(line, crossed)
    score = scheme.score_at(standing.z, occurred_at)
    return KolEvent(
        event_id=event_id(standing.key, cause, tier, from_tier),
        kind="promoted" if promoted else "demoted",
        tier=tier,
        from_tier=from_tier,
        user=standing.user(),
        score=score,
        threshold=_threshold(bound, standing.z, score, occurred_at, scheme, promoted=promoted),
        quantile=bound.quantile if bound is not None else _configured_quantile(crossed, scheme),
        population=line.population,
        percentile=percentile,
        factors=explain(standing, occurred_at, scheme),
        cause=cause,
        occurred_at=rfc3339(occurred_at),
        emitted_at="",
    )


def _threshold(
    bound: TierLine | None, z: float, score: float, at: int, scheme: Scheme, *, promoted: bool
) -> float | None:
    """The value that was crossed, on the scale of the score.

    Logarithms decide. Where two of them are so near that both give one number, the threshold is
    set on its side of the score, off by no more than rounding.
    """
    if bound is None:
        return None
    bound_z = bound.enter_z if promoted else bound.leave_z
    if bound_z is None:
        return None
    threshold = scheme.score_at(bound_z, at)
    if promoted:
        return min(threshold, score)
    if z < bound_z and threshold <= score:
        return math.nextafter(score, math.inf)
    return threshold


def _line_of(line: Line, tier: str | None) -> TierLine | None:
    return next((bound for bound in line.tiers if bound.name == tier), None)


def _configured_quantile(tier: str | None, scheme: Scheme) -> float | None:
    """Of a tier that the line does not know yet; None for one that is no longer configured."""
    return next((known.quantile for known in scheme.tiers if known.name == tier), None)
