"""Frozen workers that wake and write: nobody but the owner has a say, whatever the order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.engine.changelog import EPOCH_HEADER, epoch_of
from stream_app.engine.fencing import RESERVED, Fencing, owner_key
from stream_app.errors import FencedError, OrderError, StateError
from tests.unit.engine.memory_log import MemoryLog, MemoryRows

P = 3
META = RESERVED + b"partition:3"


class Owner:
    """One life of a worker, which begins with what it reads of the changelog."""

    def __init__(self, log: MemoryLog, rows: MemoryRows | None = None) -> None:
        self.rows = rows or MemoryRows()
        self.log = log
        self.fencing = Fencing(log, self.rows)
        self.recover()

    def recover(self) -> None:
        offset = self.rows.offset(P)
        records = self.log.records.get(P, [])
        self.fencing.absorb(P, [r for r in records if offset is None or r.offset > offset])

    async def write(self, *pairs: tuple[bytes, bytes]) -> None:
        await self.fencing.write(P, pairs)

    def users(self) -> dict[bytes, bytes]:
        return {
            key: value
            for key, value in self.rows.pairs.get(P, {}).items()
            if not key.startswith(RESERVED)
        }


def once(todo: Callable[[], Awaitable[None]], log: MemoryLog, *, after: int) -> None:
    """Do something in the middle of the next append, when it has `after` records through."""
    left = after

    async def meanwhile() -> None:
        nonlocal left
        if left == 0:
            log.meanwhile = None
            await todo()
        left -= 1

    log.meanwhile = meanwhile


def run(body: Awaitable[None]) -> None:
    async def whole() -> None:
        await body

    asyncio.run(whole())


async def owner(log: MemoryLog, rows: MemoryRows | None = None) -> Owner:
    found = Owner(log, rows)
    await found.fencing.take_over(P)
    return found


async def spoiled() -> MemoryLog:
    """A changelog with a void row at its end, whose owner never writes again."""
    log = MemoryLog()
    old = await owner(log)
    new = await owner(log)
    await new.write((b"x:u", b"2"))
    with pytest.raises(FencedError):
        await old.write((b"x:u", b"late"))
    return log


def test_epochs_rise_with_each_owner_and_begin_above_what_older_rows_say() -> None:
    async def body() -> None:
        log = MemoryLog()
        assert await Owner(log).fencing.take_over(P) == 1
        assert await Owner(log).fencing.take_over(P, 7) == 8
        assert await Owner(log).fencing.take_over(P) == 9
        assert [record.epoch for record in log.records[P]] == [1, 8, 9]

    run(body())


def test_a_worker_that_wakes_under_a_newer_owner_stores_nothing_and_ends() -> None:
    async def body() -> None:
        log = MemoryLog()
        old = await owner(log)
        await old.write((b"x:u", b"1"))
        new = await owner(log)
        await new.write((b"x:u", b"2"))
        with pytest.raises(FencedError, match=r"partition 3 has a newer owner.*start it again"):
            await old.write((b"x:u", b"late"), (b"x:v", b"late"))
        assert old.users() == {b"x:u": b"1"}

    run(body())


def test_rows_that_a_woken_worker_spoiled_are_written_anew_with_the_owners_next_write() -> None:
    async def body() -> None:
        log = MemoryLog()
        old = await owner(log)
        await old.write((b"x:u", b"1"))
        new = await owner(log)
        await new.write((b"x:u", b"2"), (META, b"new"))
        with pytest.raises(FencedError):
            await old.write((b"x:u", b"late"), (b"x:v", b"late"), (META, b"late"))
        await new.write((b"x:w", b"3"))

        log.compact(P)
        found = log.rows(P)
        assert (found[b"x:u"], found[b"x:w"], found[META]) == (b"2", b"3", b"new")
        assert b"x:v" not in found
        assert new.users() == Owner(log).users() == {b"x:u": b"2", b"x:w": b"3"}
        newest = log.records[P][-1]
        assert newest.value is not None, "a recovery waits for the last record, which may not go"

    run(body())


def test_the_next_owner_leaves_void_rows_out_and_writes_them_anew() -> None:
    async def body() -> None:
        log = await spoiled()
        third = await owner(log)
        assert third.users() == {b"x:u": b"2"}
        log.compact(P)
        assert log.rows(P)[b"x:u"] == b"2"

    run(body())


def test_void_rows_are_written_anew_even_if_the_owner_that_read_them_dies_first() -> None:
    async def body() -> None:
        log = await spoiled()
        state = Owner(log).rows  # has read everything, and is killed before it takes over
        heir = await owner(log, state)
        assert heir.users() == {b"x:u": b"2"}
        log.compact(P)
        assert log.rows(P)[b"x:u"] == b"2"

    run(body())


def test_what_the_owner_before_wrote_up_to_the_marker_is_taken_over() -> None:
    async def body() -> None:
        log = MemoryLog()
        old = await owner(log)
        new = Owner(log)  # has recovered, and not yet taken over
        await old.write((b"x:u", b"in time"))
        await new.fencing.take_over(P)
        assert new.users() == {b"x:u": b"in time"}

    run(body())


def test_a_write_that_the_marker_cuts_in_two_counts_up_to_it() -> None:
    async def body() -> None:
        log = MemoryLog()
        old, new = await owner(log), Owner(log)

        async def take_over() -> None:
            await new.fencing.take_over(P)

        once(take_over, log, after=1)
        with pytest.raises(FencedError):
            await old.write((b"x:u", b"in time"), (b"x:v", b"late"))
        await new.write((b"x:w", b"3"))
        assert new.users() == Owner(log).users() == {b"x:u": b"in time", b"x:w": b"3"}

    run(body())


def test_of_two_workers_that_take_over_at_once_the_last_one_is_the_owner() -> None:
    async def body() -> None:
        log = MemoryLog()
        one, two = Owner(log), Owner(log)
        await one.fencing.take_over(P)
        await two.fencing.take_over(P)
        with pytest.raises(FencedError):
            await one.write((b"x:u", b"1"))
        await two.write((b"x:u", b"2"))
        assert Owner(log).users() == {b"x:u": b"2"}

    run(body())


def test_a_changelog_that_ends_before_the_local_state_is_refused() -> None:
    async def body() -> None:
        log = MemoryLog()
        only = await owner(log)
        await only.write((b"x:u", b"1"))
        log.records[P].clear()
        with pytest.raises(StateError, match="partition 3: the changelog ends at 0, before"):
            await only.write((b"x:u", b"2"))
        with pytest.raises(StateError, match="kol rebuild"):
            await Owner(log, only.rows).fencing.take_over(P)

    run(body())


def test_a_partition_that_was_not_taken_over_is_not_written() -> None:
    with pytest.raises(OrderError, match="partition 3"):
        run(Owner(MemoryLog()).write((b"x:u", b"1")))


def test_records_of_a_program_without_epochs_are_read_as_they_are() -> None:
    async def body() -> None:
        log = MemoryLog()
        await log.append(P, [(b"x:u", b"1"), (b"x:v", b"1"), (b"x:u", b"2")], None)
        found = await owner(log)
        assert found.users() == {b"x:u": b"2", b"x:v": b"1"}

    run(body())


@pytest.mark.parametrize("value", [None, b"", b"x", b"-1"])
def test_a_header_that_is_no_epoch_is_none(value: bytes | None) -> None:
    assert epoch_of([("other", b"1"), (EPOCH_HEADER, value)]) is None
    assert epoch_of([(EPOCH_HEADER, b"12")]) == 12


class Story:
    """Several workers, each frozen at any moment; the truth is kept beside them."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.workers = [Owner(self.log) for _ in range(3)]
        self.owner: int | None = None
        self.truth: dict[bytes, bytes] = {}
        self.count = 0

    async def take_over(self, number: int) -> None:
        worker = self.workers[number]
        if self.count % 2:
            worker = self.workers[number] = Owner(self.log)  # with an empty folder
        worker.recover()
        await worker.fencing.take_over(P)
        self.owner = number

    async def write(self, number: int, keys: Sequence[int], cut: tuple[int, int] | None) -> None:
        """Write some keys; with a cut, another worker takes over in the middle."""
        if number not in {self.owner} | set(self._former()):
            return
        self.count += 1
        pairs = [(b"x:%d" % key, b"%d by %d" % (self.count, number)) for key in keys]
        is_owner, through = number == self.owner, len(pairs)
        if cut is not None and is_owner and cut[0] != number:
            heir, through = cut[0], min(cut[1], len(pairs) - 1)
            once(lambda: self.take_over(heir), self.log, after=through)
        if is_owner:
            self.truth |= dict(pairs[:through])
        try:
            await self.workers[number].write(*pairs)
        except FencedError:
            assert self.owner != number
            self.workers[number] = Owner(self.log)
        else:
            assert self.owner == number

    def _former(self) -> list[int]:
        return [n for n, worker in enumerate(self.workers) if worker.fencing._epochs]

    def check(self) -> None:
        assert Owner(self.log).users() == self.truth
        if self.owner is not None:
            assert self.workers[self.owner].users() == self.truth


workers = st.integers(0, 2)
steps = st.one_of(
    st.tuples(st.just("take"), workers, st.just([0]), st.none()),
    st.tuples(
        st.just("write"),
        workers,
        st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True),
        st.none() | st.tuples(workers, st.integers(0, 3)),
    ),
)


@given(st.lists(steps, max_size=12))
def test_only_what_owners_wrote_in_their_time_counts(
    todo: list[tuple[str, int, list[int], tuple[int, int] | None]],
) -> None:
    async def body() -> None:
        story = Story()
        await story.take_over(0)
        for kind, number, keys, cut in todo:
            if kind == "take":
                await story.take_over(number)
            else:
                await story.write(number, keys, cut)
            story.check()
        assert story.owner is not None
        await story.workers[story.owner].write((b"x:end", b"end"))
        story.log.compact(P)
        plain = {k: v for k, v in story.log.rows(P).items() if not k.startswith(RESERVED)}
        assert plain == story.truth | {b"x:end": b"end"}
        assert int(story.log.rows(P)[owner_key(P)]) >= 1

    run(body())
