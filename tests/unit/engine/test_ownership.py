"""Taking partitions over, and refusing state that must not be continued."""

import asyncio
import math
from typing import Any

import msgspec
import pytest

from stream_app.core.aggregate import fold_post, new_row
from stream_app.core.row import Transition, encode_row
from stream_app.core.scheme import PRESETS
from stream_app.core.standing import standing_of
from stream_app.engine import partition as partition_module
from stream_app.engine.internal_records import PartitionMeta, decode
from stream_app.engine.partition import Partition
from stream_app.engine.user_table import meta_key
from stream_app.errors import StateError
from stream_app.messages import partition_of
from tests.builders import NOON, make_post
from tests.fakes import FakeEncoder
from tests.schemes import DAY_MS, KOL, TOP, make_scheme
from tests.unit.engine.stand_ins import PARTITIONS, Broker, Worker, fixed_line

SCHEME = make_scheme()
U1 = "twitter:u1"
HOME = partition_of(U1.encode(), PARTITIONS)


async def with_state(**changes: Any) -> Broker:
    """A broker that keeps one user's row and the reserved rows."""
    broker = Broker()
    worker = await Worker(broker, SCHEME, **changes).start()
    await worker.score(make_post(text="x"))
    return broker


def restart(broker: Broker, scheme: Any = SCHEME, **changes: Any) -> Worker:
    worker = Worker(broker, scheme, **changes)
    asyncio.run(worker.start())
    return worker


def test_an_empty_partition_starts_with_this_workers_fingerprint() -> None:
    worker = restart(Broker())
    assert sorted(worker.ownership.partitions) == list(range(PARTITIONS))
    assert worker.gained == list(range(PARTITIONS))
    meta = worker.ownership.partitions[HOME].meta
    assert (meta.epoch, meta.fingerprint, meta.topic_ids) == (
        1,
        {"half_life": "30d"},
        {"posts": "id-1"},
    )


def test_columns_and_sketch_are_rebuilt_from_the_rows() -> None:
    broker = asyncio.run(with_state())
    worker = restart(broker)
    columns = worker.ownership.partitions[HOME].columns
    row = worker.row(U1)
    assert row is not None
    standing = standing_of(row, SCHEME)
    assert standing is not None
    assert columns.keys == [U1.encode()]
    assert columns.z.tolist() == [standing.z]
    assert columns.sketch.n == 1


def test_settings_that_give_the_numbers_another_meaning_are_refused() -> None:
    broker = asyncio.run(with_state())
    with pytest.raises(StateError, match=r"half_life=30d, this worker has half_life=7d") as refusal:
        restart(broker, fingerprint={"half_life": "7d"})
    assert "kol rebuild" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_setting_that_older_state_says_nothing_of_is_taken_as_it_is() -> None:
    broker = asyncio.run(with_state())
    now = {"half_life": "30d", "new": "1"}
    assert restart(broker, fingerprint=now).ownership.partitions[HOME].meta.fingerprint == now


def test_a_topic_that_was_made_anew_is_refused() -> None:
    broker = asyncio.run(with_state())
    with pytest.raises(StateError, match="posts was deleted and made again"):
        restart(broker, topic_ids={"posts": "id-2"})


def test_topic_ids_that_a_broker_does_not_tell_are_no_reason_to_refuse() -> None:
    restart(asyncio.run(with_state()), topic_ids={"posts": ""})
    restart(asyncio.run(with_state(topic_ids={"posts": ""})))


@pytest.mark.parametrize("key", [meta_key(HOME), U1.encode()])
def test_rows_of_an_unknown_format_are_refused(key: bytes) -> None:
    broker = asyncio.run(with_state())
    of_the_future = b"\x63" + broker.log.rows(HOME)[key][1:]
    asyncio.run(broker.log.append(HOME, [(key, of_the_future)], 1))
    before = broker.log.end(HOME)
    with pytest.raises(StateError, match=f"partition {HOME}: .*99 is not known"):
        restart(broker)
    if key == meta_key(HOME):
        assert broker.log.end(HOME) == before, "its owner was disturbed"


def test_a_partition_kept_through_a_rebalance_keeps_its_columns_unless_another_wrote() -> None:
    async def body() -> None:
        broker = await with_state()
        worker = await Worker(broker, SCHEME).start()
        await worker.scorer.own(HOME)
        held = worker.ownership.partitions[HOME]
        await worker.start()
        assert worker.ownership.partitions[HOME] is held
        assert (held.meta.epoch, held.announced, held.changed) == (3, False, True)
        other = await Worker(broker, SCHEME).start()
        await other.score(make_post(text="y", id="p2", created_at=NOON + 1))
        await worker.start()
        assert worker.ownership.partitions[HOME] is not held
        row = worker.rows.get(HOME, U1.encode())
        assert row is not None
        assert row.posts == 2

    asyncio.run(body())


def test_partitions_that_went_elsewhere_are_let_go() -> None:
    async def body() -> None:
        worker = await Worker(Broker(), SCHEME).start()
        worker.owned = range(2)
        await worker.start()
        assert sorted(worker.ownership.partitions) == [0, 1]

    asyncio.run(body())


def test_other_exponents_give_other_scores_from_the_same_rows() -> None:
    broker = asyncio.run(with_state())
    other = make_scheme(preset="volume", exponents=PRESETS["volume"])
    worker = restart(broker, other)
    row = worker.row(U1)
    assert row is not None
    standing = standing_of(row, other)
    assert standing is not None
    assert worker.ownership.partitions[HOME].columns.z.tolist() == [standing.z]


def test_other_exponents_make_the_stored_line_void_but_keep_its_marks() -> None:
    async def made() -> Broker:
        broker = Broker()
        worker = await Worker(broker, SCHEME).start()
        line = fixed_line(4, [("kol", 1.0, 0.5)], expiry_mark=NOON)
        await worker.scorer.apply_lines({HOME: (line, worker.ownership.partitions[HOME].sketch)})
        return broker

    other = make_scheme(preset="volume", exponents=PRESETS["volume"])
    line = restart(asyncio.run(made()), other).ownership.partitions[HOME].meta.line
    assert line is not None
    assert (line.version, line.expiry_mark, line.tiers) == (4, NOON, ())
    assert line.formula == other.formula


@pytest.mark.parametrize("changes", [{}, {"preset": "volume", "exponents": PRESETS["volume"]}])
@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_a_partition_loaded_from_its_rows_is_the_one_that_followed_them(
    monkeypatch: pytest.MonkeyPatch, at_once: int, changes: dict[str, Any]
) -> None:
    monkeypatch.setattr(partition_module, "_LOADED_AT_ONCE", at_once)
    scheme = make_scheme(tiers=(KOL, TOP), min_posts=2, **changes)
    meta = PartitionMeta(line=fixed_line(1, [], expiry_mark=NOON + 90 * DAY_MS))
    followed, loaded = Partition(0, meta, scheme), Partition(0, meta, scheme)
    (features,) = FakeEncoder().encode(["x"])
    rows: dict[bytes, bytes] = {}
    for number in range(8):
        row = new_row("x", f"u{number}")
        for post in range(number % 4):
            at = NOON - 5 + 7 * (number % 2) + post
            fold_post(row, make_post(id=f"p{post}", created_at=at), features, scheme)
        row.tier = (None, "kol", "top", "gone")[number // 2]
        if number == 5:
            row.transition = Transition("", 7, b"{}")
        standing = standing_of(row, scheme)
        level, version = scheme.level_of(row.tier), 7 if number == 5 else 0
        z = None if standing is None else standing.z
        followed.update(row.key.encode(), row, z, level, version=version)
        # Some as another formula left them.
        stored, formula = (-math.inf if z is None else z), scheme.formula
        written = encode_row(row, stored if number < 6 else -1.0, formula if number < 6 else 1)
        rows[row.key.encode()] = written
    loaded.load(rows.items())
    ours, theirs = loaded.columns, followed.columns
    assert ours.keys == theirs.keys
    for name in ("z", "last_post", "tier", "counted", "transition_version"):
        assert getattr(ours, name).tolist() == getattr(theirs, name).tolist()
    assert ours.sketch == theirs.sketch
    assert 0 < ours.sketch.n < len(rows)


# -- who is eligible


def eligible(posts: int, newest: int, *, expiry_mark: int | None = None, **changes: Any) -> bool:
    worker = restart(Broker(), make_scheme(**changes))
    partition = worker.ownership.partitions[0]
    if expiry_mark is not None:
        partition.meta.line = fixed_line(1, [], expiry_mark=expiry_mark)
    return partition.is_eligible(posts, newest)


def test_eligible_are_those_with_enough_posts_ever_and_one_within_the_window() -> None:
    assert not eligible(0, NOON)
    assert eligible(1, NOON)
    assert not eligible(2, NOON, min_posts=3)
    assert eligible(3, NOON, min_posts=3)
    window = 90 * DAY_MS
    assert eligible(1, NOON, expiry_mark=NOON + window)
    assert not eligible(1, NOON, expiry_mark=NOON + window + 1)
    assert eligible(1, NOON, expiry_mark=NOON + window + 1, active_window_ms=None)


def test_a_snapshot_says_what_the_leader_must_know() -> None:
    async def body() -> None:
        worker = await Worker(Broker(), make_scheme(tiers=(KOL, TOP))).start()
        line = fixed_line(1, [("kol", -9.0, -9.0)], expiry_mark=NOON)
        await worker.scorer.apply_lines({HOME: (line, worker_sketch(worker))})
        await worker.score(make_post(text="x", created_at=NOON + 5))
        partition = worker.ownership.partitions[HOME]
        found = partition.snapshot(["posts"], [], ("posts", "interactions"))
        assert (found.partition, found.epoch, found.users) == (HOME, 1, 1)
        assert found.cut == {"posts": 1, "interactions": 0}
        assert found.high_marks == {"posts": NOON + 5}
        assert (found.unread, found.expiry_mark) == (["posts"], NOON)
        assert found.members == [1, 0]
        assert found.sketch == partition.sketch.serialize()
        assert partition.high_mark() == NOON + 5

    asyncio.run(body())


def worker_sketch(worker: Worker) -> Any:
    return worker.ownership.partitions[HOME].sketch


def test_the_reserved_row_holds_what_a_new_owner_must_know() -> None:
    broker = asyncio.run(with_state())
    meta = decode(PartitionMeta, broker.log.rows(HOME)[meta_key(HOME)])
    assert msgspec.structs.asdict(meta) == {
        "epoch": 1,
        "fingerprint": {"half_life": "30d"},
        "topic_ids": {"posts": "id-1"},
        "offsets": {"posts": 0},
        "high_marks": {"posts": NOON},
        "forwarded": {},
        "line": None,
    }
