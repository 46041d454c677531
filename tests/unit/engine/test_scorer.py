"""Folding, deciding, writing and sending in the order that loses nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.scheme import Scheme
from stream_app.core.standing import standing_of
from stream_app.core.tiers import Line
from stream_app.engine.fencing import RESERVED
from stream_app.engine.internal_records import PartitionMeta, decode
from stream_app.engine.user_table import meta_key, unsent_key
from stream_app.errors import OrderError
from stream_app.messages import partition_of, rfc3339
from tests.builders import NOON, make_interaction, make_post
from tests.schemes import DAY_MS, KOL, TOP, make_scheme
from tests.unit.engine.stand_ins import PARTITIONS, TOPICS, Broker, Crash, Worker, fixed_line

SCHEME = make_scheme()
U1 = "twitter:u1"
HOME = partition_of(U1.encode(), PARTITIONS)
TEXT = "Shares fall on weak outlook."
NO_SKETCH = QuantileSketch()


def run(test: Callable[[Worker], Awaitable[None]], scheme: Scheme = SCHEME) -> None:
    async def body() -> None:
        await test(await Worker(Broker(), scheme).start())

    asyncio.run(body())


def z_of(worker: Worker, key: str = U1) -> float:
    row = worker.row(key)
    assert row is not None
    found = standing_of(row, worker.scheme)
    assert found is not None
    return found.z


def low(version: int = 1, **changes: Any) -> Line:
    """A line that everybody is above."""
    return fixed_line(version, [("kol", -1000.0, -1001.0)], **changes)


def high(version: int = 1, **changes: Any) -> Line:
    """A line that everybody is below."""
    return fixed_line(version, [("kol", 5000.0, 4999.0)], **changes)


def meta_of(worker: Worker, number: int = HOME) -> PartitionMeta:
    data = worker.table.read(number, meta_key(number))
    assert data is not None
    return decode(PartitionMeta, data)


# -- order


def test_rows_are_safe_before_their_events_are_sent_and_the_reserved_row_comes_last() -> None:
    async def test(worker: Worker) -> None:
        await worker.scorer.apply_lines({HOME: (low(), NO_SKETCH)})
        journal = worker.broker.journal
        journal.clear()
        await worker.score(make_post(text=TEXT))
        assert journal == [
            ("row", unsent_key(HOME)),
            ("row", U1.encode()),
            ("row", meta_key(HOME)),
            ("sent", TOPICS.events),
        ]

    run(test)


def test_a_batch_is_not_done_before_the_broker_has_confirmed_all_it_sent() -> None:
    async def test(worker: Worker) -> None:
        worker.producer.hold = asyncio.Event()
        bad = worker.broker.append(b"{", partition=HOME)
        applying = asyncio.create_task(worker.handle([bad]))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not applying.done()
        worker.producer.hold.set()
        await applying
        assert [sent.topic for sent in worker.broker.sent] == [TOPICS.dead_letters]

    run(test)


def test_a_refusal_of_the_broker_ends_the_batch() -> None:
    async def test(worker: Worker) -> None:
        worker.producer.refusals[TOPICS.dead_letters] = [ConnectionError("gone")]
        with pytest.raises(ConnectionError):
            await worker.handle([worker.broker.append(None, partition=HOME)])

    run(test)


def test_columns_and_sketch_follow_only_rows_that_are_safe() -> None:
    async def test(worker: Worker) -> None:
        worker.broker.fuse.left = 0
        with pytest.raises(Crash):
            await worker.score(make_post(text=TEXT))
        assert worker.ownership.partitions[HOME].sketch.n == 0
        worker.broker.fuse.left = None
        reborn = await Worker(worker.broker, SCHEME).start()
        await reborn.handle(worker.broker.source[("posts", HOME)])
        partition = reborn.ownership.partitions[HOME]
        assert partition.sketch.n == 1
        assert partition.columns.z.tolist() == [z_of(reborn)]

    run(test)


def test_a_record_of_a_partition_not_owned_stops_the_process() -> None:
    async def test(worker: Worker) -> None:
        del worker.ownership.partitions[HOME]
        with pytest.raises(OrderError, match=f"partition {HOME}"):
            await worker.score(make_post(text=TEXT))

    run(test)


# -- events


def test_several_events_of_a_user_in_a_batch_are_one_write_and_one_decision() -> None:
    async def test(worker: Worker) -> None:
        await worker.scorer.apply_lines({HOME: (low(), NO_SKETCH)})
        worker.broker.journal.clear()
        await worker.score(
            make_post(text=TEXT),
            make_post(text=TEXT, like_count=5, observed_at=NOON + 1),
            make_interaction(created_at=NOON + 2),
        )
        rows = [key for kind, key in worker.broker.journal if kind == "row"]
        assert rows == [unsent_key(HOME), U1.encode(), meta_key(HOME)]
        (event,) = worker.broker.events()
        assert (event.kind, event.tier, event.cause.type) == ("promoted", "kol", "interaction")

    run(test)


@pytest.mark.parametrize(
    ("events", "cause"),
    [
        ([make_post(text=TEXT)], ("post", "posts", 0, "p1")),
        (
            [make_post(text=TEXT), make_post(text=TEXT, observed_at=NOON + 1)],
            ("observation", "posts", 1, "p1"),
        ),
        # a repeat that changes nothing is not the reason
        ([make_post(text=TEXT), make_post(text=TEXT)], ("post", "posts", 0, "p1")),
        ([make_post(text=TEXT), make_interaction()], ("interaction", "interactions", 0, "p1")),
    ],
)
def test_an_event_names_the_last_record_that_had_an_effect(
    events: list[Any], cause: tuple[str, str, int, str]
) -> None:
    async def test(worker: Worker) -> None:
        await worker.scorer.apply_lines({HOME: (low(), NO_SKETCH)})
        await worker.score(*events)
        (event,) = worker.broker.events()
        found = event.cause
        assert (found.type, found.topic, found.offset, found.post_id) == cause
        assert found.partition == HOME

    run(test)


def test_without_a_line_nobody_is_promoted() -> None:
    async def test(worker: Worker) -> None:
        await worker.score(make_post(text=TEXT))
        assert worker.broker.events() == []
        assert worker.row(U1) is not None

    run(test)


def test_an_interaction_of_somebody_with_herself_counts_nothing_but_its_time() -> None:
    async def test(worker: Worker) -> None:
        await worker.score(make_interaction(actor_id="u1", created_at=NOON + 5))
        assert worker.row(U1) is None
        assert meta_of(worker).high_marks == {"interactions": NOON + 5}
        assert meta_of(worker).offsets == {"interactions": 0}

    run(test)


def test_a_user_who_only_received_interactions_has_a_row_but_no_score() -> None:
    async def test(worker: Worker) -> None:
        await worker.scorer.apply_lines({HOME: (low(), NO_SKETCH)})
        await worker.score(make_interaction())
        row = worker.row(U1)
        assert row is not None
        assert row.interactions[0] == 1
        assert worker.ownership.partitions[HOME].sketch.n == 0
        assert worker.broker.events() == []

    run(test)


def test_an_event_from_the_future_is_counted_and_moves_no_high_mark() -> None:
    async def test(worker: Worker) -> None:
        late = worker.broker.append(
            make_post(text=TEXT, created_at=NOON + DAY_MS), timestamp_ms=NOON
        )
        await worker.handle([late])
        row = worker.row(U1)
        assert row is not None
        assert (row.newest_post_at, row.remembered[0].observed_at) == (NOON, NOON)
        assert meta_of(worker).high_marks == {}
        assert worker.count("clamped_times") == 1
        await worker.handle([late])
        assert worker.count("clamped_times") == 1, "once an event"

    run(test)


def test_a_post_older_than_a_full_memory_is_counted_as_forgotten() -> None:
    async def test(worker: Worker) -> None:
        await worker.score(make_post(text=TEXT, created_at=NOON + 1), make_post(text=TEXT, id="p0"))
        assert worker.count("forgotten_observations") == 1

    run(test, make_scheme(post_memory=1))


def test_texts_known_to_the_batch_are_not_encoded_again() -> None:
    async def test(worker: Worker) -> None:
        post = make_post(text=TEXT)
        record = worker.broker.append(post)
        features = dict(zip([TEXT], worker.encoder.encode([TEXT]), strict=True))
        await worker.scorer.apply([(record, worker.intake.read(record))], features)
        assert worker.encoder.encoded == 1
        await worker.score(make_post(text=TEXT, observed_at=NOON + 1))
        assert worker.encoder.encoded == 1

    run(test)


# -- repeats


def test_a_record_seen_again_changes_nothing_and_repeats_its_event_word_for_word() -> None:
    async def test(worker: Worker) -> None:
        await worker.scorer.apply_lines({HOME: (low(), NO_SKETCH)})
        record = worker.broker.append(make_post(text=TEXT, like_count=3))
        await worker.handle([record])
        before = worker.row(U1)
        await worker.handle([record])
        assert worker.row(U1) == before
        assert worker.count("duplicates") == 1
        first, again = worker.broker.sent[-2:]
        assert first.headers == again.headers
        one, other = worker.broker.events()
        assert one.event_id == other.event_id
        changed = {
            name for name in one.__struct_fields__ if getattr(one, name) != getattr(other, name)
        }
        assert changed <= {"emitted_at"}

    run(test)


def test_a_record_seen_again_that_moved_nobody_sends_nothing() -> None:
    async def test(worker: Worker) -> None:
        first = worker.broker.append(make_post(text=TEXT))
        await worker.handle([first])
        await worker.scorer.apply_lines({HOME: (low(), NO_SKETCH)})
        assert len(worker.broker.events()) == 1
        await worker.handle([first])
        assert len(worker.broker.events()) == 1

    run(test)


# -- forwarding and dead letters


def elsewhere() -> int:
    return (HOME + 1) % PARTITIONS


def test_a_misplaced_record_is_forwarded_once_and_not_scored_where_it_stood() -> None:
    async def test(worker: Worker) -> None:
        post = make_post(text=TEXT)
        record = worker.broker.append(post, partition=elsewhere(), timestamp_ms=NOON + 7)
        record.key, record.headers = b"wrong", [("trace", b"x"), ("kol-origin", b"forged/0/0")]
        await worker.handle([record])
        (sent,) = worker.broker.sent
        assert (sent.topic, sent.key, sent.partition) == ("posts", U1.encode(), HOME)
        assert sent.value == record.value
        assert sent.timestamp is not None
        assert int(sent.timestamp * 1000.0) == NOON + 7  # as Faust does
        assert sent.headers == [
            ("trace", b"x"),
            ("kol-forwarded", b"1"),
            ("kol-origin", b"posts/%d/0" % elsewhere()),
            ("kol-app", b"kol"),
        ]
        assert worker.row(U1) is None
        assert meta_of(worker, elsewhere()).high_marks == {}

    run(test)


def forwarded(worker: Worker, event: Any, origin_offset: int) -> Any:
    """A record as another worker forwards it."""
    headers = [
        ("kol-forwarded", b"1"),
        ("kol-origin", b"interactions/%d/%d" % (elsewhere(), origin_offset)),
    ]
    return worker.broker.append(event, headers=headers)


FOLLOW = make_interaction(kind="follow", target_post_id=None)


def test_a_record_forwarded_twice_is_scored_once() -> None:
    """Memory of ids is out of the way: another follow comes in between."""

    async def test(worker: Worker) -> None:
        records = [
            forwarded(worker, FOLLOW, 5),
            forwarded(worker, make_interaction(id="i2", kind="follow", target_post_id=None), 6),
            forwarded(worker, FOLLOW, 5),
            forwarded(worker, make_interaction(id="i3", kind="follow", target_post_id=None), 7),
        ]
        await worker.handle(records)
        row = worker.row(U1)
        assert row is not None
        assert row.interactions[5] == 3
        assert worker.count("duplicates") == 1

    run(test, make_scheme(interaction_memory=1))


def test_a_forwarded_record_in_the_wrong_place_is_a_dead_letter() -> None:
    async def test(worker: Worker) -> None:
        record = worker.broker.append(
            make_post(text=TEXT), partition=elsewhere(), headers=[("kol-forwarded", b"1")]
        )
        await worker.handle([record])
        (sent,) = worker.broker.sent
        assert (sent.topic, sent.value) == (TOPICS.dead_letters, record.value)
        assert sent.header("dlq-reason") == "wrong-partition"
        assert worker.count("dead_letters", reason="wrong-partition") == 1

    run(test)


@pytest.mark.parametrize("timestamp_ms", [0, 1, 1001, 1_404_216_000_001, 1_700_000_000_999, -1])
def test_a_forwarded_record_keeps_its_timestamp_to_the_millisecond(timestamp_ms: int) -> None:
    """Faust takes seconds, as a float, takes 0 for none and cuts off fractions."""

    async def test(worker: Worker) -> None:
        post = make_post(text=TEXT, created_at=0)
        record = worker.broker.append(post, partition=elsewhere(), timestamp_ms=timestamp_ms)
        await worker.handle([record])
        (sent,) = worker.broker.sent
        assert sent.timestamp
        assert int(sent.timestamp * 1000.0) == timestamp_ms

    run(test)


def test_a_large_record_goes_compressed_and_alone() -> None:
    """It may have fitted its topic only because its producer compressed it; ours does not."""

    async def test(worker: Worker) -> None:
        long = make_post(text="long " * 20_000)
        records = [
            worker.broker.append(b"{" * 70_000, partition=elsewhere(), key=b"k"),
            worker.broker.append(long, partition=elsewhere(), timestamp_ms=NOON),
            worker.broker.append(b"{", partition=elsewhere(), key=b"k"),
        ]
        await worker.handle(records)
        sent = {(s.topic, s.value): s.is_alone for s in worker.broker.sent}
        assert sent == {
            (TOPICS.dead_letters, records[0].value): True,
            ("posts", records[1].value): True,
            (TOPICS.dead_letters, records[2].value): False,
        }

    run(test)


def test_a_record_with_neither_key_nor_value_is_put_aside_too() -> None:
    """What aiokafka's own `send` refuses by an assertion."""

    async def test(worker: Worker) -> None:
        await worker.handle([worker.broker.append(None, partition=2)])
        (sent,) = worker.broker.sent
        assert (sent.topic, sent.key, sent.value) == (TOPICS.dead_letters, None, None)
        assert sent.header("dlq-reason") == "empty"

    run(test)


@pytest.mark.parametrize("name", [r"\ud800", "x" * 100_000, r"a\nb", "名"])
def test_a_field_name_that_the_sender_made_up_stays_out_of_the_headers(name: str) -> None:
    """A lone surrogate cannot be encoded at all, and a header has to fit."""

    async def test(worker: Worker) -> None:
        value = f'{{"{name}": NaN}}'.encode()
        await worker.handle([worker.broker.append(value, partition=2, key=b"k")])
        (sent,) = worker.broker.sent
        assert sent.value == value
        assert sent.header("dlq-detail") == "value: NaN is not JSON"

    run(test)


@pytest.mark.parametrize("value", [None, b"", b"{", b'{"id":1}'])
def test_a_bad_record_is_put_aside_with_its_place_and_its_offset_is_handled(
    value: bytes | None,
) -> None:
    async def test(worker: Worker) -> None:
        record = worker.broker.append(value, partition=2, key=b"k", headers=[("dlq-reason", b"x")])
        await worker.handle([record])
        (sent,) = worker.broker.sent
        assert (sent.topic, sent.key, sent.value) == (TOPICS.dead_letters, b"k", value)
        assert [name for name, _ in sent.headers].count("dlq-reason") == 1
        place = [sent.header(f"dlq-{name}") for name in ("topic", "partition", "offset")]
        assert place == ["posts", "2", "0"]
        assert sent.header("dlq-at").endswith("Z")
        assert meta_of(worker, 2).offsets == {"posts": 0}

    run(test)


# -- lines


def test_the_lines_of_all_partitions_are_one_commit() -> None:
    async def test(worker: Worker) -> None:
        await worker.score(*[make_post(text=TEXT, user_id=f"u{i}") for i in range(6)])
        writes = worker.count_writes()
        await worker.scorer.apply_lines({n: (low(), NO_SKETCH) for n in range(PARTITIONS)})
        assert len(writes) == 1
        assert len(worker.broker.events()) == 6

    run(test)


def test_a_line_promotes_and_demotes_those_it_moves_past_and_nobody_else() -> None:
    async def test(worker: Worker) -> None:
        users = [make_post(text=TEXT, user_id=f"u{i}", like_count=10**i) for i in range(6)]
        await worker.score(*users)
        scores = sorted(z_of(worker, f"twitter:u{i}") for i in range(6))
        for version, bound in enumerate([scores[4], scores[2], scores[5]], start=1):
            line = fixed_line(version, [("kol", bound, bound - 1e-6)])
            for number in range(PARTITIONS):
                await worker.scorer.apply_lines({number: (line, NO_SKETCH)})
        found = [
            (e.user.user_id, e.kind, e.cause.threshold_version) for e in worker.broker.events()
        ]
        assert sorted(found) == sorted(
            [
                ("u4", "promoted", 1),
                ("u5", "promoted", 1),
                ("u2", "promoted", 2),
                ("u3", "promoted", 2),
                ("u2", "demoted", 3),
                ("u3", "demoted", 3),
                ("u4", "demoted", 3),
            ]
        )
        assert {e.cause.type for e in worker.broker.events()} == {"threshold"}

    run(test)


def test_those_who_become_inactive_leave_the_population_and_their_tier() -> None:
    async def test(worker: Worker) -> None:
        await worker.score(make_post(text=TEXT))
        await worker.scorer.apply_lines({HOME: (low(1), NO_SKETCH)})
        edge = NOON + 90 * DAY_MS
        await worker.scorer.apply_lines({HOME: (low(2, expiry_mark=edge), NO_SKETCH)})
        assert worker.ownership.partitions[HOME].sketch.n == 1  # the edge is inside
        no_line = fixed_line(3, [("kol", None, None)], expiry_mark=edge + 1)
        await worker.scorer.apply_lines({HOME: (no_line, NO_SKETCH)})
        assert worker.ownership.partitions[HOME].sketch.n == 0
        gone = worker.broker.events()[-1]
        assert (gone.kind, gone.cause.type, gone.percentile) == ("demoted", "inactivity", None)
        assert (gone.threshold, gone.tier) == (None, None)
        back = make_post(text="again", id="p2", created_at=edge + 2)
        await worker.scorer.apply_lines({HOME: (low(4, expiry_mark=edge + 1), NO_SKETCH)})
        await worker.score(back)
        assert worker.broker.events()[-1].kind == "promoted"

    run(test)


def test_members_stay_while_there_is_no_line() -> None:
    async def test(worker: Worker) -> None:
        await worker.score(make_post(text=TEXT))
        await worker.scorer.apply_lines({HOME: (low(1), NO_SKETCH)})
        none = fixed_line(2, [("kol", None, None)])
        await worker.scorer.apply_lines({HOME: (none, NO_SKETCH)})
        await worker.score(make_post(text=TEXT, like_count=9, observed_at=NOON + 1))
        row = worker.row(U1)
        assert row is not None
        assert row.tier == "kol"
        assert len(worker.broker.events()) == 1

    run(test)


def test_tiers_may_change_between_two_lives_of_a_worker() -> None:
    async def body() -> None:
        worker = await Worker(Broker(), make_scheme(tiers=(KOL, TOP))).start()
        await worker.score(make_post(text=TEXT))
        both = fixed_line(1, [("kol", -9.0, -9.0), ("top", -9.0, -9.0)])
        await worker.scorer.apply_lines({HOME: (both, NO_SKETCH)})
        reborn = await Worker(worker.broker, make_scheme(tiers=(KOL,))).start()
        await reborn.scorer.apply_lines({HOME: (high(2), NO_SKETCH)})
        first, again, second = worker.broker.events()
        assert again.event_id == first.event_id  # it might not have got out before
        assert (first.tier, second.from_tier, second.tier) == ("top", "top", None)
        assert (second.quantile, second.threshold) == (None, None)
        assert second.cause.type == "threshold"

    asyncio.run(body())


def test_a_transition_is_as_of_the_high_mark_of_the_worker() -> None:
    async def test(worker: Worker) -> None:
        other = next(
            f"v{i}" for i in range(99) if partition_of(b"twitter:v%d" % i, PARTITIONS) != HOME
        )
        await worker.scorer.apply_lines({HOME: (low(1, high_mark=NOON - 5), NO_SKETCH)})
        await worker.score(make_post(text=TEXT, user_id=other, created_at=NOON + 77))
        await worker.score(make_post(text=TEXT))
        (event,) = worker.broker.events()
        assert event.occurred_at == rfc3339(NOON + 77)
        row = worker.row(U1)
        assert row is not None
        assert row.tier_since == NOON + 77

    run(test)


def test_the_line_in_force_survives_in_the_reserved_row() -> None:
    async def test(worker: Worker) -> None:
        await worker.scorer.apply_lines({HOME: (low(7), NO_SKETCH)})
        reborn = await Worker(worker.broker, SCHEME).start()
        line = reborn.ownership.partitions[HOME].meta.line
        assert line is not None
        assert line.version == 7
        await reborn.score(make_post(text=TEXT))
        assert [event.tier for event in worker.broker.events()] == ["kol"]

    run(test)


def test_percentiles_are_shares_of_the_whole_system_not_of_one_worker() -> None:
    async def test(worker: Worker) -> None:
        await worker.score(make_post(text=TEXT))
        elsewhere_too = QuantileSketch()
        elsewhere_too.insert(z_of(worker))
        for _ in range(3):
            elsewhere_too.insert(z_of(worker) + 5)
        await worker.scorer.apply_lines({HOME: (low(1), elsewhere_too)})
        (event,) = worker.broker.events()
        assert event.percentile == 25.0

    run(test)


def test_the_first_work_on_a_partition_writes_its_new_epoch() -> None:
    async def test(worker: Worker) -> None:
        partition = await worker.scorer.own(HOME)
        assert partition.announced
        assert meta_of(worker).epoch == 1
        written = [key for _, key in worker.broker.journal]
        assert written[-1] == meta_key(HOME)
        assert all(key.startswith(RESERVED) for key in written)
        await worker.scorer.own(HOME)
        assert len(worker.broker.journal) == len(written)
        reborn = await Worker(worker.broker, SCHEME).start()
        assert reborn.ownership.partitions[HOME].meta.epoch == 2

    run(test)
