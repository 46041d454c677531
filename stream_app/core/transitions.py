"""A change of tier as an event, with all its facts, so that it can be sent again word for word."""

from __future__ import annotations

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
    threshold_z = None
    if bound is not None:
        threshold_z = bound.enter_z if promoted else bound.leave_z
    return KolEvent(
        event_id=event_id(standing.key, cause, tier, from_tier),
        kind="promoted" if promoted else "demoted",
        tier=tier,
        from_tier=from_tier,
        user=standing.user(),
        score=scheme.score_at(standing.z, occurred_at),
        threshold=None if threshold_z is None else scheme.score_at(threshold_z, occurred_at),
        quantile=bound.quantile if bound is not None else _configured_quantile(crossed, scheme),
        population=line.population,
        percentile=percentile,
        factors=explain(standing, occurred_at, scheme),
        cause=cause,
        occurred_at=rfc3339(occurred_at),
        emitted_at="",
    )


def _line_of(line: Line, tier: str | None) -> TierLine | None:
    return next((bound for bound in line.tiers if bound.name == tier), None)


def _configured_quantile(tier: str | None, scheme: Scheme) -> float | None:
    """Of a tier that the line does not know yet; None for one that is no longer configured."""
    return next((known.quantile for known in scheme.tiers if known.name == tier), None)
