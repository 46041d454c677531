"""Recovery seeks before anything may be fetched: the loss is a race, the order of calls is not."""

import asyncio
import logging
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from faust.tables.recovery import Recovery
from faust.types import TP

from stream_app.engine.recovery import SafeRecovery
from stream_app.errors import StateError

CHANGELOG, POSTS = TP("kol-users-changelog", 0), TP("posts", 0)


class Recorder:
    """A recovery whose surroundings write down when they are called."""

    def __init__(
        self,
        *,
        callback_error: Exception | None = None,
        generation: int = 1,
        rebalance_during_seek: bool = False,
    ) -> None:
        self.calls: list[str] = []
        self.callback_error = callback_error
        self.rebalance_during_seek = rebalance_during_seek
        self.app = self._app(generation)

    def say(self, name: str) -> Any:
        def called(*args: Any) -> None:
            self.calls.append(name)

        return called

    def say_later(self, name: str) -> Any:
        async def called(*args: Any) -> None:
            await asyncio.sleep(0)
            self.calls.append(name)

        return called

    async def callback(self, *args: Any) -> None:
        self.calls.append("callback")
        if self.callback_error is not None:
            raise self.callback_error

    def resume_partitions(self, tps: set[TP]) -> None:
        assert tps == {POSTS}
        self.calls.append("resume partitions")

    async def seek(self) -> None:
        await asyncio.sleep(0)
        self.calls.append("seek")
        if self.rebalance_during_seek:
            self.app.rebalancing_count += 1

    def _app(self, generation: int) -> Any:
        return SimpleNamespace(
            consumer=SimpleNamespace(
                assignment=lambda: {CHANGELOG, POSTS},
                perform_seek=self.seek,
                resume_partitions=self.resume_partitions,
                resume_flow=self.say("resume flow"),
            ),
            consumer_generation_id=generation,
            rebalancing_count=1,
            on_rebalance_complete=SimpleNamespace(send=self.say_later("rebalance complete")),
            flow_control=SimpleNamespace(resume=self.say("resume flow control")),
            conf=SimpleNamespace(broker_request_timeout=1.0),
            _fetcher=SimpleNamespace(maybe_start=self.say_later("start fetcher")),
            assignor=SimpleNamespace(assigned_standbys=set),
            on_rebalance_end=self.say("rebalance end"),
            crash=self.say_later("crash"),
        )

    def recovery(self, kind: type[Recovery]) -> Any:
        """A recovery of generation 1 with these surroundings, without its threads and timers."""
        table = SimpleNamespace(on_recovery_completed=self.callback)

        async def wait(awaitable: Any, timeout: float | None = None) -> None:  # noqa: ASYNC109
            await awaitable

        log: Any = logging.getLogger("test")
        log.dev = log.debug
        recovery = object.__new__(kind)
        nobody = type("Nobody", (), {"__getitem__": lambda *_: set()})()
        vars(recovery).update(
            app=self.app,
            log=log,
            tables=SimpleNamespace(
                values=lambda: [table],
                on_actives_ready=self.say("actives ready"),
                on_standbys_ready=self.say("standbys ready"),
            ),
            actives_for_table=nobody,
            standbys_for_table=nobody,
            completed=SimpleNamespace(set=self.say("completed")),
            _set_recovery_ended=self.say("recovery ended"),
            _is_changelog_tp=lambda tp: tp == CHANGELOG,
            _wait=wait,
            _rebalance=1,
        )
        return recovery


def calls_of(kind: type[Recovery], recorder: Recorder) -> list[str]:
    asyncio.run(recorder.recovery(kind).on_recovery_completed(1))
    return recorder.calls


def seeks_first(calls: list[str]) -> bool:
    """Whether nothing can be fetched between a resumption and the seek."""
    return calls.index("seek") < min(
        calls.index(name) for name in ("resume partitions", "resume flow", "start fetcher")
    )


def test_partitions_are_resumed_after_the_seek() -> None:
    calls = calls_of(SafeRecovery, Recorder())
    assert seeks_first(calls)
    assert calls.index("callback") < calls.index("seek")
    assert calls[-3:] == ["actives ready", "standbys ready", "rebalance end"]


def test_stock_faust_resumes_before_it_seeks_which_is_why_ours_is_here() -> None:
    """Should this fail after an upgrade, Faust may have been repaired."""
    assert not seeks_first(calls_of(Recovery, Recorder()))


def test_a_failing_recovery_callback_stops_the_process_and_nothing_is_resumed() -> None:
    recorder = Recorder(callback_error=ValueError("row format 9"))
    with pytest.raises(ValueError, match="row format 9"):
        calls_of(SafeRecovery, recorder)
    assert recorder.calls[-2:] == ["callback", "crash"]


def test_a_recovery_overtaken_by_another_rebalance_resumes_nothing() -> None:
    calls = calls_of(SafeRecovery, Recorder(generation=2))
    assert calls[-1] == "callback"


def test_a_rebalance_that_begins_during_the_seek_leaves_the_partitions_paused() -> None:
    calls = calls_of(SafeRecovery, Recorder(rebalance_during_seek=True))
    assert calls[-1] == "seek"


@pytest.mark.parametrize(("begin", "known", "fits"), [(0, None, True), (7, 6, True), (7, 5, False)])
def test_rows_deleted_from_the_changelog_before_they_were_read_are_refused(
    begin: int, known: int | None, fits: bool
) -> None:
    async def earliest(*tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, begin)

    async def build() -> None:
        recovery = Recorder().recovery(SafeRecovery)
        recovery._start_offsets_logtable = lambda *_args, **_more: ""
        consumer = SimpleNamespace(earliest_offsets=earliest)
        offsets: Any = Counter()
        offsets[CHANGELOG] = known
        await recovery._build_offsets(consumer, {CHANGELOG}, offsets, "active")

    if fits:
        asyncio.run(build())
    else:
        with pytest.raises(StateError, match=r"partition 0 are not all there.*kol rebuild"):
            asyncio.run(build())


# -- reading the changelog

OTHER, GONE = TP("kol-users-changelog", 1), TP("kol-users-changelog", 7)


class Reading:
    """A recovery that reads records of two partitions into a table that keeps what it is given."""

    def __init__(self, ends: dict[TP, int], refuse: Exception | None = None) -> None:
        self.stored: list[tuple[TP, int]] = []
        self.refuse = refuse
        self.came = asyncio.Event()
        self.crashed: list[Exception] = []
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.recovery: Any = object.__new__(SafeRecovery)
        vars(self.recovery).update(
            app=SimpleNamespace(crash=self.crash),
            tables=SimpleNamespace(changelog_queue=self.queue),
            in_recovery=True,
            active_tps={CHANGELOG, OTHER},
            active_offsets=Counter({CHANGELOG: 4, OTHER: -1}),
            active_highwaters=Counter(ends),
            tp_to_table={CHANGELOG: self, OTHER: self},
            _signal_recovery_end=asyncio.Event(),
            _set_recovery_ended=self.end,
            _stopped=SimpleNamespace(is_set=lambda: False),
            _crashed=SimpleNamespace(is_set=lambda: False),
        )

    async def crash(self, error: Exception) -> None:
        self.crashed.append(error)

    def end(self) -> None:
        self.recovery.in_recovery = False

    def apply_changelog_batch(self, events: list[Any]) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.came.set()
        self.stored += [(event.message.tp, event.message.offset) for event in events]

    def put(self, tp: TP, *offsets: int) -> None:
        for offset in offsets:
            message = SimpleNamespace(tp=tp, offset=offset)
            self.queue.put_nowait(SimpleNamespace(message=message))

    async def until_the_end(self) -> None:
        reader = asyncio.ensure_future(type(self.recovery)._slurp_changelogs.fun(self.recovery))
        ended = asyncio.ensure_future(self.recovery.signal_recovery_end.wait())
        try:
            await asyncio.wait({reader, ended}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                reader.result()
        finally:
            reader.cancel()
            ended.cancel()


def test_each_record_of_the_owned_changelogs_is_stored_once_and_in_order() -> None:
    async def body() -> None:
        reading = Reading({CHANGELOG: 7, OTHER: 1})
        reading.put(CHANGELOG, 3, 4, 5, 6)
        reading.put(GONE, 9)
        reading.put(OTHER, 0, 1)
        reading.put(CHANGELOG, 5, 6, 7)
        await reading.until_the_end()
        assert [offset for tp, offset in reading.stored if tp == CHANGELOG] == [5, 6, 7]
        assert [offset for tp, offset in reading.stored if tp == OTHER] == [0, 1]
        assert len(reading.stored) == 5

    asyncio.run(body())


def test_a_recovery_goes_on_until_every_changelog_is_read_to_its_end() -> None:
    async def body() -> None:
        reading = Reading({CHANGELOG: 5, OTHER: 1})
        reading.put(CHANGELOG, 5)
        reading.put(OTHER, 0)
        end = asyncio.ensure_future(reading.until_the_end())
        await reading.came.wait()
        assert len(reading.stored) == 2
        assert reading.recovery.in_recovery
        reading.put(OTHER, 1)
        await end
        assert not reading.recovery.in_recovery

    asyncio.run(body())


def test_a_row_that_cannot_be_stored_stops_the_process() -> None:
    async def body() -> None:
        reading = Reading({CHANGELOG: 5}, refuse=OSError("no space left on device"))
        reading.put(CHANGELOG, 5)
        with pytest.raises(OSError, match="no space"):
            await reading.until_the_end()
        assert len(reading.crashed) == 1

    asyncio.run(body())
