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
