"""The worker's metrics: a documented, stable set, no user ids in labels (docs/api.md)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """Counters and gauges of one worker, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._events = Counter("kol_events", "Records handled.", ["topic"], registry=registry)
        self._dead = Counter(
            "kol_dead_letters", "Records put aside, by reason.", ["reason"], registry=registry
        )
        self._clamped = Counter(
            "kol_clamped_times", "Events with a time later than their record's.", registry=registry
        )
        self._forgotten = Counter(
            "kol_forgotten_observations",
            "Observations of posts older than a full memory.",
            registry=registry,
        )
        self._forwarded = Counter(
            "kol_forwarded", "Records forwarded to their user's partition.", registry=registry
        )
        self._duplicates = Counter(
            "kol_duplicates", "Records seen again and not applied twice.", registry=registry
        )
        self._promotions = Counter("kol_promotions", "Events sent.", ["tier"], registry=registry)
        self._demotions = Counter("kol_demotions", "Events sent.", ["tier"], registry=registry)
        self._texts = Counter("kol_texts_encoded", "Texts sent to the encoder.", registry=registry)
        self._cache_hits = Gauge(
            "kol_text_cache_hits", "Texts whose features were in the cache.", registry=registry
        )
        self._encode = Histogram("kol_encode_seconds", "Time to encode a batch.", registry=registry)
        self._batch = Histogram("kol_batch_seconds", "Time to apply a batch.", registry=registry)
        self._drift = Counter(
            "kol_sketch_drift", "Buckets healed by the self-check; any is a bug.", registry=registry
        )
        self.population = Gauge("kol_population", "Eligible users, all workers.", registry=registry)
        self.users = Gauge("kol_users", "Users with a row on this worker.", registry=registry)
        self.version = Gauge("kol_line_version", "Version of the line.", registry=registry)
        self.lag = Gauge(
            "kol_lag", "Records not yet handled.", ["topic", "partition"], registry=registry
        )
        self.ready = Gauge("kol_ready", "1 when the worker is ready.", registry=registry)

    def events(self, topic: str, count: int) -> None:
        self._events.labels(topic).inc(count)

    def dead_letter(self, reason: str) -> None:
        self._dead.labels(reason).inc()

    def clamped(self) -> None:
        self._clamped.inc()

    def forgotten(self) -> None:
        self._forgotten.inc()

    def forwarded(self) -> None:
        self._forwarded.inc()

    def duplicate(self) -> None:
        self._duplicates.inc()

    def transition(self, kind: str, tier: str) -> None:
        (self._promotions if kind == "promoted" else self._demotions).labels(tier).inc()

    def encoded(self, texts: int, seconds: float) -> None:
        self._texts.inc(texts)
        self._encode.observe(seconds)

    def cache_hits(self, hits: int) -> None:
        self._cache_hits.set(hits)

    def applied(self, _events: int, seconds: float) -> None:
        self._batch.observe(seconds)

    def drift(self, buckets: int) -> None:
        self._drift.inc(buckets)

    def render(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)
