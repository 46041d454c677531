"""Records in runs: handed over, and acknowledged."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from hypothesis import given
from hypothesis import strategies as st
from intervaltree import IntervalTree  # type: ignore[import-untyped]

from stream_app.engine.consumer import SafeConsumer
from stream_app.engine.order_guard import OrderGuard

POSTS, CHANGELOG = TP("posts", 0), TP("kol-users-changelog", 0)

# -- runs of records


class Delivering:
    """A consumer whose conductor takes the first `room` records of a run."""

    def __init__(self, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = room
        self.at_once: list[int] = []
        self.one_by_one: list[int] = []
        self.generation = 3
        consumer: Any = object.__new__(SafeConsumer)
        consumer.guard = OrderGuard()
        consumer._commit_every, consumer._n_acked = None, 0
        consumer._read_offset = {POSTS: 5}
        consumer.flow_active = True
        consumer._active_partitions, consumer._buffered_partitions = {POSTS}, set()
        consumer._stopped = asyncio.Event()
        consumer._deliver = self._deliver
        consumer._wait_next_records = self._fetched
        consumer._gap = defaultdict(IntervalTree)
        consumer._committed_offset = defaultdict(lambda: None)
        consumer.app = self
        self.topics = self
        self.records: dict[TP, list[Any]] = {}
        monkeypatch.setattr(SafeConsumer, "_is_changelog_tp", lambda self, tp: False)
        monkeypatch.setattr(SafeConsumer, "should_stop", False)
        monkeypatch.setattr(
            driver.Consumer,
            "_to_message",
            lambda self, tp, record: SimpleNamespace(tp=tp, offset=record.offset),
        )
        self.consumer = consumer

    @property
    def consumer_generation_id(self) -> int:
        return self.generation

    def acks_enabled_for(self, topic: str) -> bool:
        return topic == POSTS.topic

    def deliver(self, tp: TP, messages: list[Any]) -> int:
        taken = messages[: self.room]
        self.at_once += [message.offset for message in taken]
        return len(taken)

    async def _deliver(self, message: Any) -> None:
        self.one_by_one.append(message.offset)

    async def _fetched(self, timeout_s: float) -> tuple[dict[TP, list[Any]], set[TP]]:
        return self.records, set(self.records)

    def fetch(self, offsets: list[int]) -> None:
        self.records = {POSTS: [SimpleNamespace(offset=offset) for offset in offsets]}
        self.consumer.guard.handed(POSTS, offsets)
        asyncio.run(self.consumer._deliver_next())


def test_a_run_is_delivered_at_once_as_far_as_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Delivering(2, monkeypatch)
    bench.fetch([5, 6, 7, 8])
    assert (bench.at_once, bench.one_by_one) == ([5, 6], [7, 8])
    assert bench.consumer._read_offset[POSTS] == 8


@pytest.mark.parametrize(("records", "waits"), [(0, []), (1, [0.02]), (99, [0.02]), (100, [])])
def test_after_few_records_more_are_let_gather(
    records: int, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Delivering(1_000, monkeypatch)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        assert len(bench.at_once) == records, "what was fetched does not wait"
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    bench.fetch(list(range(5, 5 + records)))
    assert [seconds for seconds in slept if seconds] == waits


def test_offsets_without_a_record_are_noted_so_that_commits_may_pass_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Delivering(100, monkeypatch)
    bench.fetch([5, 6, 9])
    bench.fetch([12])
    assert [(gap.begin, gap.end) for gap in sorted(bench.consumer._gap[POSTS])] == [
        (7, 9),
        (10, 12),
    ]


def reading_from(committed: int) -> Any:
    """A consumer that has sought what is committed."""
    consumer: Any = object.__new__(SafeConsumer)
    consumer._gap = defaultdict(IntervalTree)
    consumer._acked, consumer._acked_index = defaultdict(list), defaultdict(set)
    consumer._committed_offset = consumer._read_offset = {POSTS: committed}
    return consumer


@given(
    st.lists(st.integers(3, 60), min_size=1, unique=True).map(sorted),
    st.integers(0, 3),
    st.integers(1, 60),
    st.integers(0, 60),
)
def test_one_commit_passes_all_holes_before_what_is_acknowledged_and_nothing_else(
    offsets: list[int], committed: int, acknowledged: int, at_once: int
) -> None:
    consumer = reading_from(committed)
    for run in (offsets[:at_once], offsets[at_once:]):
        consumer._note_gaps(POSTS, [SimpleNamespace(offset=offset) for offset in run])
        consumer._read_offset = {POSTS: run[-1] if run else committed}
    done = offsets[:acknowledged]
    consumer._acked[POSTS] = [*done]
    assert consumer._new_offset(POSTS) == done[-1] + 1


def test_faust_alone_ends_a_commit_at_the_first_hole_which_is_why_ours_is_here() -> None:
    consumer = reading_from(1)
    for known, offset in ((1, 5), (5, 9)):
        asyncio.run(consumer._add_gap(POSTS, known + 1, offset))
    consumer._acked[POSTS] = [5, 9]
    assert consumer._new_offset(POSTS) == 6


def test_records_are_not_delivered_if_a_rebalance_comes_during_a_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Delivering(100, monkeypatch)
    bench.consumer._commit_every, bench.consumer._n_acked = 1, 1

    async def commit(self: Any) -> None:
        bench.generation += 1

    monkeypatch.setattr(SafeConsumer, "commit", commit)
    bench.fetch([5, 6])
    assert (bench.at_once, bench.one_by_one) == ([], [])


def test_records_of_a_generation_that_is_over_are_not_delivered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Delivering(1, monkeypatch)
    deliver = bench.deliver

    def deliver_and_rebalance(tp: TP, messages: list[Any]) -> int:
        done = deliver(tp, messages)
        bench.generation += 1
        return done

    monkeypatch.setattr(bench, "deliver", deliver_and_rebalance)
    bench.fetch([5, 6, 7])
    assert (bench.at_once, bench.one_by_one) == ([5], [])
    assert bench.consumer._read_offset[POSTS] == 5


def test_a_paused_partition_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Delivering(100, monkeypatch)
    bench.consumer._active_partitions.discard(POSTS)
    bench.fetch([5])
    assert bench.at_once == []


def test_what_was_fetched_before_its_channel_was_full_is_delivered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Delivering(100, monkeypatch)
    bench.consumer._active_partitions.discard(POSTS)
    bench.consumer._buffered_partitions.add(POSTS)
    bench.fetch([5])
    assert bench.at_once == [5]


# -- acknowledging


def acknowledging() -> Any:
    consumer: Any = object.__new__(SafeConsumer)
    consumer._acked, consumer._acked_index = defaultdict(list), defaultdict(set)
    consumer._committed_offset = defaultdict(lambda: None, {POSTS: 4})
    consumer._unacked_messages, consumer._n_acked, consumer._waiting_for_ack = set(), 0, None
    consumer.app = SimpleNamespace(
        topics=SimpleNamespace(acks_enabled_for=lambda topic: topic == POSTS.topic)
    )
    return consumer


OTHER_POSTS = TP(POSTS.topic, 1)


@given(
    st.lists(st.tuples(st.sampled_from([POSTS, OTHER_POSTS, CHANGELOG]), st.integers(2, 9))),
    st.integers(0, 5),
)
def test_acknowledging_many_is_acknowledging_each(places: list[tuple[TP, int]], cut: int) -> None:
    def messages() -> list[ConsumerMessage]:
        made = [
            ConsumerMessage(tp.topic, tp.partition, offset, 0.0, 0, None, None, None, None, tp=tp)
            for tp, offset in places
        ]
        for message in made:
            message.refcount = 1
        return made

    ours, fausts = acknowledging(), acknowledging()
    mine, theirs = messages(), messages()
    ours._unacked_messages.update(mine)
    ours.ack_all(mine[:cut])
    ours.ack_all(mine)  # those before `cut` again
    for message in theirs:
        message.ack(fausts)
    assert ours._n_acked == fausts._n_acked
    for tp in (POSTS, OTHER_POSTS, CHANGELOG):
        assert ours._acked_index[tp] == fausts._acked_index[tp]
        assert sorted(ours._acked[tp]) == sorted(fausts._acked[tp])  # Faust sorts to commit
    assert all(message.acked for message in mine)
    assert not ours._unacked_messages  # also those below the committed offset


def test_who_waits_for_acknowledgements_is_woken() -> None:
    async def body() -> None:
        consumer = acknowledging()
        consumer._waiting_for_ack = asyncio.get_running_loop().create_future()
        consumer.ack_all([])
        assert consumer._waiting_for_ack.done()

    asyncio.run(body())


def test_the_last_commit_of_a_generation_begins_after_the_one_under_way() -> None:
    consumer: Any = object.__new__(SafeConsumer)
    consumer.app = SimpleNamespace(client_only=False)
    commits: list[str] = []

    async def force_commit(topics: object, *, start_new_transaction: bool) -> bool:
        commits.append("begins")
        await asyncio.sleep(0)
        commits.append("ends")
        return True

    async def run() -> None:
        consumer.loop, consumer._commit_fut = asyncio.get_running_loop(), None
        consumer.force_commit = force_commit
        under_way = asyncio.ensure_future(consumer.commit())
        await asyncio.sleep(0)
        await consumer.commit_and_end_transactions()
        await under_way

    asyncio.run(run())
    assert commits == ["begins", "ends"] * 2
