"""Valid schemes with one thing changed: `make_scheme(half_life_ms=...)`."""

from typing import Any

from stream_app.core.scheme import PRESETS, Scheme, Tier

DAY_MS = 86_400_000
WEIGHTS = {
    "like": 1.0,
    "reply": 2.0,
    "repost": 3.0,
    "quote": 3.0,
    "save": 2.0,
    "view": 0.0,
    "mention": 1.0,
    "follow": 2.0,
}
KOL = Tier(name="kol", quantile=0.90, min_population=100)
TOP = Tier(name="top", quantile=0.99, min_population=1000)


def make_scheme(**changes: Any) -> Scheme:
    """The contract's defaults; exponents follow the preset unless given."""
    fields: dict[str, Any] = {
        "preset": "influence",
        "weights": WEIGHTS,
        "half_life_ms": 30.0 * DAY_MS,
        "active_window_ms": 90 * DAY_MS,
        "tiers": (KOL,),
    } | changes
    fields.setdefault("exponents", PRESETS[fields["preset"]])
    return Scheme(**fields)
