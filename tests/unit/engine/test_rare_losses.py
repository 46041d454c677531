"""Rare ways to lose or distort something, each of which once was possible."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError
from faust.exceptions import ProducerSendError

from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.scheme import PRESETS, Scheme
from stream_app.engine import snapshots
from stream_app.engine.internal_records import PartitionMeta, Snapshot, decode
from stream_app.engine.snapshots import SnapshotPublisher
from stream_app.engine.user_table import meta_key
from stream_app.messages import partition_of
from tests.builders import NOON, make_interaction, make_post
from tests.schemes import make_scheme
from tests.unit.engine.stand_ins import PARTITIONS, TOPICS, Broker, Crash, Worker, fixed_line

SCHEME = make_scheme()
NO_SKETCH = QuantileSketch()
U1 = "twitter:u1"
HOME = partition_of(U1.encode(), PARTITIONS)
POST = make_post(text="Shares fall on weak outlook.", like_count=5)
LOW = [("kol", -1000.0, -1001.0)]
HIGH = [("kol", 5000.0, 4999.0)]


def tiers_of(broker: Broker) -> list[tuple[str | None, str | None]]:
    """(before, after) of each event, repeats left out."""
    found = {event.event_id: (event.from_tier, event.tier) for event in broker.events()}
    return list(found.values())


@pytest.mark.parametrize("confirmed", [1, 2])
def test_events_of_a_line_are_sent_even_if_a_newer_line_comes_first(confirmed: int) -> None:
    """Killed after the row (1), or after row and reserved row (2), before the event was sent.

    The record of that line need not come again: the pipeline takes the newest of those that wait,
    and the topic is compacted.
    """

    async def body() -> Broker:
        worker = await Worker(Broker(), SCHEME).start()
        await worker.score(POST)
        worker.broker.fuse.left = confirmed
        with pytest.raises(Crash):
            await worker.scorer.apply_lines({HOME: (fixed_line(1, LOW), NO_SKETCH)})
        worker.broker.fuse.left = None
        reborn = await Worker(worker.broker, SCHEME).start()
        await reborn.scorer.apply_lines({HOME: (fixed_line(2, LOW), NO_SKETCH)})
        return worker.broker

    assert tiers_of(asyncio.run(body())) == [(None, "kol")]


def test_an_unsent_event_goes_out_before_a_line_moves_the_user_again() -> None:
    """Lines do not queue behind posts in the encoder, so after a restart they come first."""

    async def body() -> Broker:
        worker = await Worker(Broker(), SCHEME).start()
        await worker.scorer.apply_lines({HOME: (fixed_line(1, LOW), NO_SKETCH)})
        record = worker.broker.append(POST)
        worker.broker.fuse.left = 2
        with pytest.raises(Crash):
            await worker.handle([record])
        worker.broker.fuse.left = None
        reborn = await Worker(worker.broker, SCHEME).start()
        await reborn.scorer.apply_lines({HOME: (fixed_line(2, HIGH), NO_SKETCH)})
        await reborn.handle([record])
        return worker.broker

    assert tiers_of(asyncio.run(body())) == [(None, "kol"), ("kol", None)]


def test_a_line_that_moves_more_users_than_the_cache_holds_leaves_no_stale_row() -> None:
    async def body() -> Broker:
        worker = await Worker(Broker(), SCHEME, most_rows=2).start()
        names = [f"u{i}" for i in range(99)]
        here = [n for n in names if partition_of(f"twitter:{n}".encode(), PARTITIONS) == HOME][:5]
        await worker.score(*[make_post(text="", user_id=name) for name in here])
        first = f"twitter:{here[0]}".encode()
        write = worker.table.write

        async def write_while_the_collector_reads(writes: list[Any]) -> None:
            worker.rows.get(HOME, first)  # as `Pipeline._new_texts` does for the next batch
            await write(writes)

        worker.table.write = write_while_the_collector_reads
        await worker.scorer.apply_lines({HOME: (fixed_line(1, LOW), NO_SKETCH)})
        worker.table.write = write
        await worker.score(make_post(text="", user_id=here[0], observed_at=NOON + 1))
        return worker.broker

    broker = asyncio.run(body())
    promoted = [event.user.key for event in broker.events()]
    assert len(promoted) == len(set(promoted)) == 5


def test_a_forwarded_record_seen_again_after_a_crash_still_bars_its_own_repeat() -> None:
    """The row was written, the reserved row with the cursor was not; then the origin repeats."""
    scheme = make_scheme(interaction_memory=1)
    follow = make_interaction(kind="follow", target_post_id=None)
    other = make_interaction(id="i2", kind="follow", target_post_id=None)

    def forwarded(broker: Broker, event: Any, offset: int) -> Any:
        origin = b"interactions/%d/%d" % ((HOME + 1) % PARTITIONS, offset)
        return broker.append(event, headers=[("kol-forwarded", b"1"), ("kol-origin", origin)])

    async def body() -> Worker:
        worker = await Worker(Broker(), scheme).start()
        records = [forwarded(worker.broker, follow, 5), forwarded(worker.broker, other, 6)]
        worker.broker.fuse.left = 1
        with pytest.raises(Crash):
            await worker.handle(records)
        worker.broker.fuse.left = None
        reborn = await Worker(worker.broker, scheme).start()
        again = [forwarded(worker.broker, follow, 5), forwarded(worker.broker, other, 6)]
        await reborn.handle([*records, *again])
        return reborn

    row = asyncio.run(body()).row(U1)
    assert row is not None
    assert row.interactions[5] == 2


def test_the_cut_never_goes_back_when_records_are_delivered_again() -> None:
    async def body() -> Worker:
        worker = await Worker(Broker(), SCHEME).start()
        records = [worker.broker.append(make_post(text="", id=f"p{i}")) for i in range(3)]
        await worker.handle(records)
        await worker.handle(records[:1])
        return worker

    data = asyncio.run(body()).table.read(HOME, meta_key(HOME))
    assert decode(PartitionMeta, data).offsets == {"posts": 2}


def test_a_line_drawn_under_other_exponents_decides_nothing() -> None:
    """Exponents may change at any time; the old line's values are logarithms of other scores."""

    async def body() -> Broker:
        worker = await Worker(Broker(), SCHEME).start()
        await worker.score(POST)
        partition = worker.ownership.partitions[HOME]
        above = float(partition.columns.z[0]) + 5.0
        line = fixed_line(1, [("kol", above, above - 1.0)])
        await worker.scorer.apply_lines({HOME: (line, NO_SKETCH)})
        other = make_scheme(preset="volume", exponents=PRESETS["volume"])
        reborn = await Worker(worker.broker, other).start()
        await reborn.score(make_post(text="", id="p2", created_at=NOON + 1))
        return worker.broker

    assert asyncio.run(body()).events() == []


def test_a_forged_origin_cannot_stop_the_worker() -> None:
    async def body() -> None:
        worker = await Worker(Broker(), SCHEME).start()
        origin = b"posts/1/" + b"9" * 30
        await worker.handle(
            [worker.broker.append(POST, headers=[("kol-forwarded", b"1"), ("kol-origin", origin)])]
        )

    asyncio.run(body())


def make_publisher(
    worker: Worker,
    scheme: Scheme,
    *,
    distribution: Callable[[], QuantileSketch | None] = lambda: None,
    interval_s: float = 0.0,
) -> SnapshotPublisher:
    return SnapshotPublisher(
        app=worker.app,
        topic=TOPICS.snapshots,
        source_topics=(TOPICS.posts, TOPICS.interactions),
        app_id="kol",
        scheme=scheme,
        rows=worker.rows,
        scorer=worker.scorer,
        partitions=worker.ownership.partitions,
        distribution=distribution,
        interval_s=interval_s,
        metrics=worker.metrics,
    )


def test_users_who_share_a_bucket_are_not_left_out_of_the_ranking() -> None:
    scheme = make_scheme(ranking_size=4)

    async def ranked(likes: int) -> list[Any]:
        """Of twelve users with the same score; where in its bucket that lies is chance."""
        worker = await Worker(Broker(), scheme).start()
        posts = [make_post(text="", user_id=f"u{i}", like_count=likes) for i in range(12)]
        await worker.score(*posts)
        partitions = worker.ownership.partitions
        merged = QuantileSketch.merged(p.sketch for p in partitions.values())
        publisher = make_publisher(worker, scheme, distribution=lambda: merged)
        await publisher.publish_due()
        while publisher.seconds_to_next() > 0:  # noqa: ASYNC110  - a matter of microseconds
            await asyncio.sleep(0)
        await publisher.publish_due()
        records = [sent for sent in worker.broker.sent if sent.topic == TOPICS.snapshots]
        return [standing for r in records for standing in decode(Snapshot, r.value or b"").top]

    assert [len(asyncio.run(ranked(likes))) >= 4 for likes in range(8)] == [True] * 8


def test_snapshots_go_on_at_once_when_a_broker_that_was_away_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    clock = SimpleNamespace(monotonic=lambda: now, thread_time=time.thread_time)
    monkeypatch.setattr(snapshots, "time", clock)

    async def body() -> float:
        nonlocal now
        worker = await Worker(Broker(), SCHEME).start()
        publisher = make_publisher(worker, SCHEME, interval_s=0.25)
        await worker.score(POST)
        worker.producer.hold = asyncio.Event()
        await publisher.publish_due()
        now += 1.0
        waiting = asyncio.create_task(publisher.publish_due())
        await asyncio.sleep(0)
        now += 60.0
        worker.producer.hold.set()
        await waiting
        return publisher.seconds_to_next()

    assert asyncio.run(body()) < 5.0


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_a_bad_record_too_large_for_the_dead_letter_topic_does_not_stop_the_worker(
    is_wrapped: bool,
) -> None:
    async def body() -> Broker:
        worker = await Worker(Broker(), SCHEME).start()
        refusal = MessageSizeTooLargeError("the broker's limit")
        if is_wrapped:

            async def refuse(*args: Any) -> Any:
                raise ProducerSendError("Error while sending") from refusal

            worker.app.producer = SimpleNamespace(
                send=refuse, send_alone=worker.producer.send_alone
            )
        else:
            worker.producer.refusals[TOPICS.dead_letters] = [refusal]
        await worker.handle([worker.broker.append(b"{" * 99, partition=HOME)])
        return worker.broker

    (sent,) = asyncio.run(body()).sent
    assert (sent.topic, sent.value) == (TOPICS.dead_letters, None)
    assert sent.header("dlq-truncated") == "99"
