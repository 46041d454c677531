"""What a score means: preset, exponents, weights, half-life. Plain values, checked when made."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

from stream_app.core.decay import LN2
from stream_app.messages import COUNT_FIELDS, KINDS

#: Exponents of reach, attention, resonance and text for each preset (evidence: docs/scoring.md).
PRESETS: dict[str, dict[str, float]] = {
    "influence": {"reach": 0.3, "attention": 0.3, "resonance": 0.4, "text": 0.1},
    "resonance": {"reach": 0.1, "attention": 0.1, "resonance": 0.8, "text": 0.1},
    "volume": {"reach": 0.3, "attention": 0.7, "resonance": 0.0, "text": 0.1},
    "article": {"reach": 1.0, "text": 1.0},
}

#: Followers assumed of a user whose count nobody has reported. Between the median of the authors of
#: the whole stocknet file (256) and the median over their posts (620); see docs/scoring.md.
NEUTRAL_REACH = 400

#: The article's method guesses nothing: who is not known to have followers scores 0.
ARTICLE_NEUTRAL_REACH = 0


@dataclass(frozen=True, kw_only=True)
class Tier:
    """A tier's name, the quantile at its line, and the least population that draws the line."""

    name: str
    quantile: float
    min_population: int


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """Everything the core needs of the settings; times in ms."""

    preset: str = "influence"
    exponents: dict[str, float] = field(default_factory=lambda: dict(PRESETS["influence"]))
    weights: dict[str, float]
    half_life_ms: float
    post_memory: int = 64
    interaction_memory: int = 64
    min_posts: int = 1
    #: None: nobody becomes inactive
    active_window_ms: int | None = None
    leave_margin: float = 0.01
    #: ascending by quantile
    tiers: tuple[Tier, ...] = ()
    ranking_size: int = 1000
    #: always 0 for the preset `article`
    neutral_reach: int = NEUTRAL_REACH

    def __post_init__(self) -> None:
        """Derive what the hot path reads. Raises ValueError for scores that would not decay."""
        if self.is_article:
            object.__setattr__(self, "neutral_reach", ARTICLE_NEUTRAL_REACH)
        counts = tuple(self.weights.get(name, 0.0) for name in COUNT_FIELDS)
        kinds = tuple(self.weights.get(name, 0.0) for name in KINDS)
        object.__setattr__(self, "count_weights", counts)
        object.__setattr__(self, "kind_weights", kinds)
        weighted = tuple((index, weight) for index, weight in enumerate(counts) if weight)
        object.__setattr__(self, "weighted_counts", weighted)
        attention = 0.0 if self.is_article else self.exponents["attention"]
        if not self.is_article and attention <= 0:
            msg = "the exponent of attention must be above 0, or scores would not decay"
            raise ValueError(msg)
        object.__setattr__(self, "kappa", attention * LN2 / self.half_life_ms)
        text = repr((self.preset, sorted(self.exponents.items()), self.neutral_reach))
        levels = {tier.name: level for level, tier in enumerate(self.tiers, start=1)}
        object.__setattr__(self, "levels", levels)
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        object.__setattr__(self, "formula", int.from_bytes(digest, "little"))

    # Set in __post_init__; declared for the type checker.
    count_weights: tuple[float, ...] = field(init=False, repr=False, compare=False)
    kind_weights: tuple[float, ...] = field(init=False, repr=False, compare=False)
    #: of the counts that weigh anything: index in COUNT_FIELDS, and weight
    weighted_counts: tuple[tuple[int, float], ...] = field(init=False, repr=False, compare=False)
    #: scores fall by exp(-kappa) a millisecond while nothing happens
    kappa: float = field(init=False, repr=False, compare=False)
    #: tier's name -> level, from 1
    levels: dict[str, int] = field(init=False, repr=False, compare=False)
    #: names the formula by which a stored z was computed
    formula: int = field(init=False, repr=False, compare=False)

    @property
    def is_article(self) -> bool:
        """Whether the preset is the article's followers x norm."""
        return self.preset == "article"

    @property
    def names(self) -> tuple[str, ...]:
        """The tiers' names, lowest first."""
        return tuple(tier.name for tier in self.tiers)

    def level_of(self, tier: str | None) -> int:
        """1 for the lowest tier and up, 0 for none; -1 for a tier that is no longer configured."""
        if tier is None:
            return 0
        return self.levels.get(tier, -1)

    def score_at(self, z: float, at_ms: int) -> float:
        """The score at a time, of which `z` is the logarithm moved to the Unix epoch."""
        if z == -math.inf:
            return 0.0
        return math.exp(min(z - self.kappa * at_ms, 709.0))
