"""The repairs of Faust's consumer, each alone."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream_app.engine.consumer import SafeConsumer
from stream_app.engine.missed import Missed
from stream_app.engine.order_guard import Link, OrderGuard
from stream_app.errors import OrderError

POSTS, CHANGELOG = TP("posts", 0), TP("kol-users-changelog", 0)


# -- the guard on the fetch path


async def begins_at_8(*tps: TP) -> dict[TP, int]:
    return dict.fromkeys(tps, 8)


def consumer_between(records: dict[TP, list[int]], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A consumer whose base class fetches these offsets, and was sought to offset 5."""

    async def fetch(self: Any, wanted: Any, timeout_s: float) -> dict[TP, list[Any]]:
        await asyncio.sleep(0)
        return {tp: [SimpleNamespace(offset=o) for o in offsets] for tp, offsets in records.items()}

    async def seek(*args: Any) -> None:
        return None

    monkeypatch.setattr(driver.Consumer, "_getmany", fetch)
    monkeypatch.setattr(driver.Consumer, "perform_seek", seek)
    monkeypatch.setattr(
        driver.Consumer,
        "_to_message",
        lambda self, tp, record: SimpleNamespace(tp=tp, offset=record.offset),
    )
    monkeypatch.setattr(driver.Consumer, "assignment", lambda self: {POSTS, CHANGELOG})
    consumer: Any = object.__new__(SafeConsumer)
    consumer.guard = OrderGuard()
    consumer._read_offset = {POSTS: 5}
    consumer._fetching = asyncio.Lock()
    consumer._read_to, consumer._next_note = {}, 0.0
    consumer._committed_offset = {POSTS: 5}
    consumer.missed = {}
    consumer._missed = Missed(begins_at_8, SimpleNamespace(on_missed=consumer.missed.__setitem__))
    consumer.position_of_posts = None
    monkeypatch.setattr(SafeConsumer, "_position", lambda self, tp: self.position_of_posts)
    consumer._active_partitions, consumer._buffered_partitions = {POSTS, CHANGELOG}, set()
    consumer.flow_active = True
    monkeypatch.setattr(SafeConsumer, "_is_changelog_tp", lambda self, tp: tp == CHANGELOG)
    asyncio.run(consumer.perform_seek())
    return consumer


def test_each_record_carries_its_place_in_the_chain_from_the_fetcher_to_the_agent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = consumer_between({POSTS: [5, 9], CHANGELOG: [1]}, monkeypatch)
    fetched = asyncio.run(consumer._getmany(None, 1.0))
    links = [message.link for message in consumer._to_messages(POSTS, fetched[POSTS])]
    assert links == [Link(0, 0), Link(0, 1)]
    (message,) = consumer._to_messages(CHANGELOG, fetched[CHANGELOG])
    assert not hasattr(message, "link")


@pytest.mark.parametrize(
    ("committed", "fetched", "told"),
    [(5, [9], {POSTS: 3}), (5, [7], {POSTS: 2}), (5, [5, 9], {}), (None, [9], {})],
    ids=["taken by retention", "taken in part", "a hole behind the first", "a new group"],
)
def test_records_that_retention_took_unread_are_told_holes_of_other_kinds_are_not(
    committed: int | None,
    fetched: list[int],
    told: dict[TP, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = consumer_between({POSTS: fetched}, monkeypatch)
    consumer._committed_offset = {POSTS: committed}
    asyncio.run(consumer._getmany(None, 1.0))
    assert consumer.missed == told


def test_holes_are_looked_into_when_a_broker_that_was_away_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: dict[TP, int] = {}
    answers: list[Any] = [KafkaTimeoutError(), {POSTS: 8}]

    async def earliest(*_tps: TP) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("stream_app.engine.missed._EVERY_S", 0.0)
    missed = Missed(earliest, SimpleNamespace(on_missed=told.__setitem__))
    missed.came(POSTS, 5, 9)
    asyncio.run(missed.look())
    assert told == {}
    missed.came(POSTS, 10, 12)  # the first hole is the one that matters
    asyncio.run(missed.look())
    assert told == {POSTS: 3}


def test_a_record_left_out_between_fetcher_and_agent_stops_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = consumer_between({POSTS: [5, 6, 7]}, monkeypatch)
    fetched = asyncio.run(consumer._getmany(None, 1.0))[POSTS]
    consumer._to_messages(POSTS, fetched[:1])
    with pytest.raises(OrderError):
        consumer._to_messages(POSTS, fetched[2:])


def test_a_record_from_before_the_committed_offset_stops_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = consumer_between({POSTS: [4]}, monkeypatch)
    with pytest.raises(OrderError):
        asyncio.run(consumer._getmany(None, 1.0))


def test_a_fetch_that_found_nothing_is_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = consumer_between({}, monkeypatch)
    assert asyncio.run(consumer._getmany(None, 1.0)) == {}


def test_records_of_a_partition_paused_during_the_fetch_leave_a_hole_until_the_next_seek(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = consumer_between({POSTS: [5, 6]}, monkeypatch)
    consumer._active_partitions.discard(POSTS)
    assert asyncio.run(consumer._getmany({CHANGELOG}, 1.0)) == {}
    consumer._active_partitions.add(POSTS)
    with pytest.raises(OrderError):
        asyncio.run(consumer._getmany(None, 1.0))
    asyncio.run(consumer.perform_seek())
    assert list(asyncio.run(consumer._getmany(None, 1.0))) == [POSTS]


def test_a_set_that_faust_empties_during_the_fetch_does_not_become_all_partitions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = consumer_between({}, monkeypatch)
    asked = []

    async def fetch(self: Any, wanted: set[TP], timeout_s: float) -> dict[TP, list[Any]]:
        consumer._active_partitions.clear()
        asked.append(wanted)
        return {}

    monkeypatch.setattr(driver.Consumer, "_getmany", fetch)
    asyncio.run(consumer._getmany(consumer._active_partitions, 1.0))
    assert asked == [{POSTS, CHANGELOG}]


def test_a_seek_waits_for_the_fetch_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = consumer_between({POSTS: [5]}, monkeypatch)
    done = []

    async def fetch(self: Any, wanted: Any, timeout_s: float) -> dict[TP, list[Any]]:
        for _ in range(3):
            await asyncio.sleep(0)
        done.append("fetched")
        return {}

    async def seek(self: Any, partitions: Any) -> None:
        done.append("sought")

    monkeypatch.setattr(driver.Consumer, "_getmany", fetch)
    monkeypatch.setattr(driver.Consumer, "seek_wait", seek)

    async def body() -> None:
        fetching = asyncio.create_task(consumer._getmany(None, 1.0))
        await asyncio.sleep(0)  # it is under way
        await consumer.seek_wait({CHANGELOG: 0})
        await fetching

    asyncio.run(body())
    assert done == ["fetched", "sought"]


def test_nothing_is_sought_while_the_flow_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stock `getmany` asks for it then; it would take effect in the next generation."""
    consumer = consumer_between({}, monkeypatch)

    async def seek(self: Any) -> None:
        pytest.fail("a seek while a rebalance is under way")

    monkeypatch.setattr(driver.Consumer, "perform_seek", seek)
    consumer.flow_active = False
    asyncio.run(consumer.perform_seek())
    assert not consumer.flow_active


@pytest.mark.parametrize(("committed", "sought"), [(5, {}), (None, {POSTS: 3}), (0, {POSTS: 3})])
def test_a_partition_without_a_committed_offset_is_read_from_its_beginning(
    monkeypatch: pytest.MonkeyPatch, committed: int | None, sought: dict[TP, int]
) -> None:
    """aiokafka would go on behind what was fetched and dropped since the assignment."""
    consumer = consumer_between({}, monkeypatch)
    found: dict[TP, int] = {}

    async def earliest(self: Any, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 3)

    async def seek(self: Any, partitions: dict[TP, int]) -> None:
        found.update(partitions)
        consumer._read_offset.update(partitions)

    monkeypatch.setattr(driver.Consumer, "earliest_offsets", earliest)
    monkeypatch.setattr(driver.Consumer, "seek_wait", seek)
    consumer._read_offset = {POSTS: committed}
    asyncio.run(consumer.perform_seek())
    assert found == sought
    assert consumer.guard.due(POSTS) == (committed or 3)


def test_a_process_that_ends_for_a_failure_waits_for_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The applier is gone, and will never acknowledge what it was at."""

    async def for_ever(self: Any) -> None:
        await asyncio.Event().wait()

    async def body() -> None:
        consumer: Any = object.__new__(SafeConsumer)
        crashed = asyncio.Event()
        consumer.app = SimpleNamespace(_crashed=crashed)
        consumer.give_back, consumer._unacked_messages = tuple, set()
        consumer._waiting_for_ack = None
        waiting = asyncio.ensure_future(consumer.wait_empty())
        await asyncio.sleep(0)
        assert not waiting.done()
        crashed.set()
        await asyncio.wait_for(waiting, 10)

    monkeypatch.setattr(driver.Consumer, "wait_empty", for_ever)
    asyncio.run(body())


def test_the_end_of_a_partition_that_is_not_assigned_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = consumer_between({}, monkeypatch)

    def highwater(self: Any, tp: TP) -> int:
        raise AssertionError("Partition is not assigned")

    monkeypatch.setattr(driver.Consumer, "highwater", highwater)
    assert consumer.known_end(POSTS) is None


@pytest.mark.parametrize(
    ("fetched", "position", "known"),
    [
        ([], None, 10),  # before the first position is known
        ([], 5, 10),  # records are to come
        ([5, 6], 7, 10),
        ([5, 6], 10, 7),  # behind 6 there are only markers of transactions
        ([], 10, 5),  # retention has taken all there was
        ([5, 9], 10, 10),
    ],
)
def test_the_end_is_behind_the_last_record_and_not_behind_what_is_no_record(
    monkeypatch: pytest.MonkeyPatch, fetched: list[int], position: int | None, known: int
) -> None:
    """Else a partition that ends in a transaction's marker would count as unread for ever."""
    consumer = consumer_between({POSTS: fetched} if fetched else {}, monkeypatch)
    monkeypatch.setattr(driver.Consumer, "highwater", lambda self, tp: 10)
    consumer.position_of_posts = position
    asyncio.run(consumer._getmany(None, 1.0))
    assert consumer.known_end(POSTS) == known
    asyncio.run(consumer.perform_seek())
    assert consumer.known_end(POSTS) == 10, "the position is another"


def test_a_hole_leaves_the_end_where_the_broker_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = consumer_between({POSTS: [5, 6]}, monkeypatch)
    monkeypatch.setattr(driver.Consumer, "highwater", lambda self, tp: 7)
    consumer._active_partitions.discard(POSTS)
    consumer.position_of_posts = 7
    asyncio.run(consumer._getmany({CHANGELOG}, 1.0))
    assert consumer.known_end(POSTS) == 7
