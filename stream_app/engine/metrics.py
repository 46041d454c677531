"""The worker's figures for Prometheus, in a registry of their own. Table: docs/api.md."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from stream_app.messages import REASONS

# A batch takes milliseconds with cached texts and seconds with a large model on few cores.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Every metric by name; the engine writes, the web shows."""

    def __init__(self) -> None:
        # A `_created` line beside each counter doubles the answer and tells nothing here.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's gap
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(name: str, help_text: str, *labels: str) -> Counter:
            return Counter(f"kol_{name}", help_text, labels, registry=registry)

        def gauge(name: str, help_text: str, *labels: str) -> Gauge:
            return Gauge(f"kol_{name}", help_text, labels, registry=registry)

        def histogram(name: str, help_text: str) -> Histogram:
            return Histogram(f"kol_{name}", help_text, registry=registry, buckets=_SECONDS)

        self.events = counter("events", "Records handled, by topic", "topic")
        self.dead_letters = counter("dead_letters", "Bad records put aside, by reason", "reason")
        self.clamped_times = counter(
            "clamped_times", "Events from the future, brought back to their record's time"
        )
        self.forgotten_observations = counter(
            "forgotten_observations", "Posts older than all a full memory remembers; no count moved"
        )
        self.forwarded = counter("forwarded", "Events sent on to the partition of their user")
        self.duplicates = counter("duplicates", "Events delivered again that were absorbed before")
        self.missed = counter(
            "missed_records", "Records that retention took before they were read", "topic"
        )
        self.promotions = counter("promotions", "Users who entered a tier, by that tier", "tier")
        self.demotions = counter("demotions", "Users who left a tier, by the one left", "tier")
        # To ask for a labelled counter costs ten times as much as to count.
        self._transitions: dict[tuple[str, str], Counter] = {}
        self.texts_encoded = counter("texts_encoded", "Texts the encoder read")
        self.text_cache_hits = counter("text_cache_hits", "Texts whose features were at hand")
        self.encode_seconds = histogram("encode_seconds", "Time the encoder took for a batch")
        self.batch_seconds = histogram("batch_seconds", "Time from a batch's start to its ack")
        self.population = gauge("population", "Eligible users in the whole system")
        self.users = gauge("users", "Users whose rows this worker holds")
        self.line_version = gauge("line_version", "Version of the line in force here")
        self.sketch_drift = counter(
            "sketch_drift", "Sketches that differed from their columns: found, counted, rebuilt"
        )
        self.lag = gauge("lag", "Records not yet taken in", "topic", "partition")
        self.leader = gauge("leader", "1 while this worker draws the line for all, else 0")
        self.ready = gauge("ready", "1 while this worker is ready, else 0")
        for reason in REASONS:  # so that a rate can be computed from the very first one
            self.dead_letters.labels(reason=reason)

    def applied(self, seconds: float) -> None:
        """A batch was applied and acknowledged."""
        self.batch_seconds.observe(seconds)

    def encoded(self, texts: int, hits: int, seconds: float) -> None:
        """The encoder read so many texts, and knew the features of so many more."""
        self.texts_encoded.inc(texts)
        self.text_cache_hits.inc(hits)
        self.encode_seconds.observe(seconds)

    def transition(self, kind: str, tier: str) -> None:
        """A promotion into, or a demotion from, a tier was sent."""
        counter = self._transitions.get((kind, tier))
        if counter is None:
            counter = (self.promotions if kind == "promoted" else self.demotions).labels(tier=tier)
            self._transitions[kind, tier] = counter
        counter.inc()

    def render(self) -> bytes:
        """All of it in Prometheus' text format 0.0.4."""
        return generate_latest(self.registry)
