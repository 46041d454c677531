"""Far more posts than the encoder can do: they wait in Kafka, and nothing else waits.

`python -m benchmarks.backpressure` shows memory, lag and the line's age over minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.kafka.clients import end_offsets, wait_for
from tests.kafka.feeding import send
from tests.kafka.reckoning import SEEN_AGAIN, reckon, tell
from tests.kafka.worker import Worker, wait_until_handled
from tests.kafka.workers import Workers
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

SEED = 505
#: More than all buffers of a worker hold (8,192 in Faust's, some 1,100 beyond).
EVENTS = 16_000
#: So slow that minutes of posts wait; so that one batch takes a moment only.
TEXTS_PER_SECOND, BATCH = 100, 16
#: Of a worker whose buffers are full; a record that is held takes some 2 kB, so 5,000 would show.
GROWTH_MB = 10.0
MEMORIES = {"post_memory": POST_MEMORY, "interaction_memory": INTERACTION_MEMORY}
#: Half a minute and less, for what would take two if texts that were taken had to be encoded first.
SOON_S = 30.0


def slowed_to(texts_per_second: int) -> tuple[str, str]:
    """Options of a worker with such an encoder."""
    return "--texts-per-second", str(texts_per_second)


def in_kafka(system: Workers) -> int:
    """Records of the source topics."""
    topics = (system.names.posts, system.names.interactions)
    return sum(sum(end_offsets(system.broker, topic).values()) for topic in topics)


def behind(worker: Worker) -> tuple[int, int]:
    """Lag and records handled, as of one moment."""
    found = worker.counters("kol_lag", "kol_events_total")
    return int(found["kol_lag"]), int(found["kol_events_total"])


def test_posts_that_the_encoder_cannot_keep_up_with_wait_in_kafka_and_nothing_else_waits(
    workers: Callable[..., Workers],
) -> None:
    generator = Generator(SEED, events=EVENTS)
    system = workers(batch_size=BATCH, **MEMORIES)
    worker = system.start("only", *slowed_to(TEXTS_PER_SECOND))

    send(system, generator.events[: EVENTS // 2])
    wait_until_handled(worker, 400)
    version, full = worker.json("/api/v1/threshold")["version"], worker.memory()["rss"]
    send(system, generator.events[EVENTS // 2 :])
    wait_for(
        lambda: _lag_is_true(system, worker), "kol_lag to be what Kafka holds less the handled"
    )
    lag, handled = behind(worker)
    wait_until_handled(worker, handled + 1_000)

    growth = worker.memory()["rss"] - full
    lag_later, handled_later = behind(worker)
    tell(f"lag {lag}, later {lag_later}; {full:.0f} MB with full buffers, later {growth:+.1f} MB")
    assert lag_later > EVENTS / 2, "it was not under load any more"
    assert handled_later > handled
    assert growth < GROWTH_MB
    assert worker.json("/api/v1/threshold")["version"] > version, "lines do not queue"
    assert worker.counter("kol_promotions_total") > 0, "and are applied"
    assert worker.answers()

    assert worker.terminate() == 0
    worker.start()  # with an encoder that keeps up: whatever waited is still there, once
    reckon(system, worker, generator.truth())
    assert worker.counter(SEEN_AGAIN) == 0, "an orderly end commits all that was handled"


def _lag_is_true(system: Workers, worker: Worker) -> bool:
    before = in_kafka(system)
    lag, handled = behind(worker)
    return before <= lag + handled <= in_kafka(system)


def test_neither_a_join_nor_a_stop_waits_for_texts_that_wait_to_be_encoded(
    workers: Callable[..., Workers],
) -> None:
    generator = Generator(SEED, events=EVENTS // 2)
    system = workers(**MEMORIES)
    slow = slowed_to(20)
    first = system.start("first", *slow)
    send(system, generator.events)
    wait_until_handled(first, 100)

    second = system.make("second").launch(*slow)
    wait_for(lambda: second.answers() and bool(second.owned()), "partitions to move", SOON_S)

    ended: list[Any] = [worker.terminate() for worker in (first, second)]
    assert ended == [0, 0]
    third = system.start("third")
    reckon(system, third, generator.truth())
