"""Clocks that differ between workers, and two leaders for a moment, change nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from stream_app.engine.internal_records import LineRecord, decode
from tests.kafka.clients import consume, wait_for
from tests.kafka.feeding import flowing
from tests.kafka.reckoning import reckon
from tests.kafka.watching import watching_versions
from tests.kafka.workers import Workers
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

MEMORIES = {"post_memory": POST_MEMORY, "interaction_memory": INTERACTION_MEMORY}
HOURS = 3600


def test_clocks_hours_apart_change_nothing_but_when_events_were_emitted(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    generator = streams(61, events=1_500, users=200)
    system = workers(**MEMORIES)
    ahead = system.make("ahead").launch("--clock-ahead", str(2 * HOURS))
    behind = system.make("behind").launch("--clock-ahead", str(-HOURS))
    for worker in (ahead, behind):
        worker.wait_ready()
    with flowing(system, generator.events) as flow:
        flow.allow(0.6)
        wait_for(lambda: ahead.counter("kol_events_total") > 0, "one to score")
        assert ahead.terminate() == 0  # what it wrote is read by the other
        behind.wait_ready()
    ahead.start("--clock-ahead", str(2 * HOURS))
    reckon(system, behind, generator.truth())
    for worker in (ahead, behind):
        assert worker.counter("kol_clamped_times_total") == 0


def test_two_leaders_draw_no_false_line_and_no_version_goes_back(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    generator = streams(62, events=2_000, users=300)
    system = workers(**MEMORIES)
    both = [system.make(name).launch("--leads") for name in ("one", "other")]
    for worker in both:
        worker.wait_ready()
    wait_for(lambda: all(w.counter("kol_leader") == 1 for w in both), "both to lead")
    with watching_versions(both) as seen:
        with flowing(system, generator.events) as flow:
            flow.allow(0.9)
            wait_for(lambda: all(len(set(v)) > 5 for v in seen.values()), "lines to be drawn", 60.0)
        reckon(system, both[0], generator.truth())
    for versions in seen.values():
        assert versions == sorted(versions)

    drawn: dict[int, set[str]] = defaultdict(set)
    times: dict[tuple[int, int], int] = defaultdict(int)
    for record in consume(system.broker, system.names.thresholds):
        line = decode(LineRecord, record.value or b"").line
        drawn[line.version].add(repr(line))
        times[record.partition, line.version] += 1
    assert all(len(lines) == 1 for lines in drawn.values()), "one version, one line"
    assert max(times.values()) == 2, "both have drawn"
