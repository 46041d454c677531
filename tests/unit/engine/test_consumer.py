"""The repairs of Faust's consumer, each alone."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from hypothesis import given
from hypothesis import strategies as st

from stream_app.engine.consumer import SafeConsumer, _Delivery, _finish, _Rest
from stream_app.engine.order_guard import Link, OrderGuard
from stream_app.errors import OrderError

POSTS, CHANGELOG = TP("posts", 0), TP("kol-users-changelog", 0)


def advanced(coroutine: Any) -> _Rest:
    """The rest of a coroutine that has run to its first suspension."""
    return _Rest(coroutine, coroutine.send(None))


# -- _Rest: a coroutine begun outside a task goes on within one


def test_the_rest_of_a_coroutine_goes_on_where_it_was_suspended() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        first, second, seen = loop.create_future(), loop.create_future(), []

        async def work() -> None:
            seen.append(await first)
            await asyncio.sleep(0)
            seen.append(await second)

        task = asyncio.create_task(_finish(advanced(work())))
        first.set_result("a")  # even before the task has begun
        await asyncio.sleep(0)
        second.set_result("b")
        await task
        assert seen == ["a", "b"]

    asyncio.run(body())


def test_errors_and_cancellation_belong_to_the_coroutine() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        seen: list[str] = []

        async def work(future: asyncio.Future[None]) -> None:
            try:
                await future
            except ValueError:
                seen.append("caught")
                raise KeyError("own") from None
            finally:
                seen.append("left")

        failing = loop.create_future()
        task = asyncio.create_task(_finish(advanced(work(failing))))
        failing.set_exception(ValueError("of the future"))
        with pytest.raises(KeyError, match="own"):
            await task
        task = asyncio.create_task(_finish(advanced(work(loop.create_future()))))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["caught", "left", "left"]

    asyncio.run(body())


# -- _Delivery


class Waiting:
    """What `_Delivery` needs of a consumer."""

    def __init__(self) -> None:
        self.suspend_flow = asyncio.Event()
        self.waits = 0

    async def wait_first(self, *awaitables: Any) -> None:
        self.waits += 1
        tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()


def deliver(test: Callable[[Waiting], Any]) -> None:
    async def body() -> None:
        await test(Waiting())

    asyncio.run(body())


def test_a_record_that_need_not_wait_costs_no_task() -> None:
    async def test(consumer: Waiting) -> None:
        seen: list[Any] = []

        async def callback(message: Any) -> None:
            seen.append(message)

        await _Delivery(consumer, callback)("m")  # type: ignore[arg-type]
        assert (seen, consumer.waits) == (["m"], 0)

    deliver(test)


def test_a_record_that_waits_for_room_is_delivered_when_there_is_some() -> None:
    async def test(consumer: Waiting) -> None:
        room, seen = asyncio.Event(), []

        async def callback(message: Any) -> None:
            await room.wait()
            seen.append(message)

        delivery = asyncio.create_task(_Delivery(consumer, callback)("m"))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert not delivery.done()
        room.set()
        await delivery
        assert (seen, consumer.waits) == (["m"], 1)

    deliver(test)


def test_a_rebalance_ends_the_wait_of_a_record_for_room() -> None:
    async def test(consumer: Waiting) -> None:
        seen: list[str] = []

        async def callback(message: Any) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        delivery = asyncio.create_task(_Delivery(consumer, callback)("m"))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        consumer.suspend_flow.set()
        await delivery
        assert seen == ["cancelled"]

    deliver(test)


def test_an_error_of_the_delivery_comes_out() -> None:
    async def test(consumer: Waiting) -> None:
        async def at_once(message: Any) -> None:
            raise OrderError("at once")

        async def later(message: Any) -> None:
            await asyncio.sleep(0)
            raise OrderError("later")

        for callback in (at_once, later):
            with pytest.raises(OrderError):
                await _Delivery(consumer, callback)("m")  # type: ignore[arg-type]

    deliver(test)


# -- the guard on the fetch path


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


# -- runs of records


class Delivering:
    """A consumer whose conductor takes the first `room` records of a run."""

    def __init__(self, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = room
        self.at_once: list[int] = []
        self.one_by_one: list[int] = []
        self.gaps: list[tuple[int, int]] = []
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
        consumer._add_gap = self._gap
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

    async def _gap(self, tp: TP, start: int, end: int) -> None:
        self.gaps.append((start, end))

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


def test_offsets_without_a_record_are_noted_so_that_commits_may_pass_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Delivering(100, monkeypatch)
    bench.fetch([5, 6, 9])
    bench.fetch([12])
    assert bench.gaps == [(7, 9), (10, 12)]


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
