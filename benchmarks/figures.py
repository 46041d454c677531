"""A figure and how much it scatters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import quantiles
from typing import Any


def spread(values: Sequence[float], digits: int | None = None) -> dict[str, Any]:
    """Median and quartiles of what was measured again and again, with all of it.

    `digits` are those behind the point that are kept, None for all. One value is its own quartiles.
    """
    low, middle, high = (
        quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    )
    found = {"median": middle, "low": low, "high": high}
    whole = {name: _rounded(value, digits) for name, value in found.items()}
    return {**whole, "all": [_rounded(value, digits) for value in values]}


def ratios(ones: Iterable[float], others: Iterable[float]) -> list[float]:
    """Of what was measured in the same rounds: machines are noisy, rounds less so."""
    return [one / other for one, other in zip(ones, others, strict=True)]


def _rounded(value: float, digits: int | None) -> float:
    return value if digits is None else round(value, digits)
