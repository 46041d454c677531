import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from stream_app.engine.metrics import Metrics

DOCS = Path(__file__).parents[3] / "docs" / "api.md"


def families(metrics: Metrics) -> dict[str, tuple[str, frozenset[str]]]:
    """Name as it is scraped -> kind and labels."""
    found = {}
    for collector, names in metrics.registry._collector_to_names.items():
        labels = frozenset(getattr(collector, "_labelnames", ()))
        kind = getattr(collector, "_type", "")
        if names and not names[0].startswith("process_"):
            suffix = "_total" if kind == "counter" else ""
            found[names[0] + suffix] = (kind, labels)
    return found


def test_the_guide_lists_every_metric_with_kind_and_labels_and_no_other() -> None:
    rows = re.findall(
        r"^\| `(kol_\w+)(?:\{([\w,]+)\})?` \| (\w+) \| .+ \|$",
        DOCS.read_text("utf-8"),
        re.MULTILINE,
    )
    documented = {
        name: (kind, frozenset(labels.split(",")) if labels else frozenset())
        for name, labels, kind in rows
    }
    assert documented == families(Metrics())


def test_what_is_counted_is_rendered() -> None:
    metrics = Metrics()
    metrics.events.labels(topic="posts").inc(3)
    metrics.promotions.labels(tier="kol").inc()
    metrics.lag.labels(topic="posts", partition="0").set(7)
    metrics.encode_seconds.observe(0.2)
    metrics.ready.set(1)
    text = metrics.render().decode()
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["kol_events_total", (("topic", "posts"),)] == 3
    assert samples["kol_promotions_total", (("tier", "kol"),)] == 1
    assert samples["kol_lag", (("partition", "0"), ("topic", "posts"))] == 7
    assert samples["kol_encode_seconds_count", ()] == 1
    assert samples["kol_ready", ()] == 1
    assert "_created" not in text


def test_every_reason_of_a_dead_letter_starts_at_zero() -> None:
    text = Metrics().render().decode()
    assert 'kol_dead_letters_total{reason="invalid-json"} 0.0' in text


def test_two_workers_in_one_process_do_not_share_figures() -> None:
    one, two = Metrics(), Metrics()
    one.users.set(5)
    assert "kol_users 0.0" in two.render().decode()
