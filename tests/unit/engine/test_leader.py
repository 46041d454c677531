"""The census: one line for all, from the newest snapshot of every partition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.standing import Standing, standing_of
from stream_app.engine import leader
from stream_app.engine.internal_records import LineRecord, Snapshot, TopPiece, decode, encode
from stream_app.engine.leader import Census, Leader
from stream_app.engine.metrics import Metrics
from stream_app.engine.topics import topic_names
from stream_app.settings import load_settings
from tests.builders import NOON, make_post
from tests.histories import row_after
from tests.schemes import KOL, make_scheme

SCHEME = make_scheme(ranking_size=3)


def snapshot(partition: int, **changes: Any) -> Snapshot:
    sketch = QuantileSketch()
    sketch.insert_many(np.log(changes.pop("scores", [1.0])))
    fields: dict[str, Any] = {
        "partition": partition,
        "epoch": 1,
        "cut": {"posts": 10, "interactions": 0},
        "high_marks": {"posts": NOON},
        "unread": [],
        "expiry_mark": None,
        "sketch": sketch.serialize(),
        "members": [0],
        "top": [],
        "formula": SCHEME.formula,
    } | changes
    return Snapshot(**fields)


def census(*snapshots: Snapshot, partitions: int = 2) -> Census:
    found = Census(partitions, SCHEME)
    for one in snapshots:
        found.take(one)
    return found


def someone(key: str, z: float) -> Standing:
    found = standing_of(row_after([make_post(text="")], SCHEME), SCHEME)
    assert found is not None
    return msgspec.structs.replace(found, key=key, z=z)


def test_no_line_is_drawn_before_every_partition_was_heard_of() -> None:
    found = census(snapshot(0), snapshot(0))
    assert not found.is_complete
    found.take(snapshot(1))
    assert found.is_complete


@pytest.mark.parametrize(
    ("epoch", "cut", "is_taken"),
    [(1, 11, True), (1, 10, True), (1, 9, False), (2, 0, True), (0, 99, False)],
)
def test_a_snapshot_older_than_the_one_held_is_refused(
    epoch: int, cut: int, is_taken: bool
) -> None:
    found = census(snapshot(0, scores=[1.0, 2.0]))
    other = snapshot(0, epoch=epoch, cut={"posts": cut}, scores=[5.0])
    assert found.take(other) is is_taken
    assert found.merged().n == (1 if is_taken else 2)


def test_a_snapshot_under_other_exponents_is_refused_until_all_owners_agree() -> None:
    """Its values are logarithms of other scores."""
    found = census(snapshot(0), snapshot(1, formula=SCHEME.formula + 1))
    assert not found.is_complete
    assert found.line(1, found.merged()).formula == SCHEME.formula


def test_the_line_is_that_of_all_partitions_together() -> None:
    rng = np.random.default_rng(2)
    parts = [rng.lognormal(2, 1, size) for size in (300, 700)]
    found = census(*(snapshot(n, scores=scores) for n, scores in enumerate(parts)))
    line = found.line(9, found.merged())
    assert (line.version, line.population) == (9, 1000)
    assert line.tiers[0].name == KOL.name
    assert line.tiers[0].enter_z is not None
    expected = np.percentile(np.concatenate(parts), 90)
    assert np.exp(line.tiers[0].enter_z) == pytest.approx(expected, rel=1e-3)


def test_the_line_names_its_cut_and_the_greatest_event_time() -> None:
    found = census(
        snapshot(0, cut={"posts": 4, "interactions": 2}),
        snapshot(1, cut={"posts": 7}, high_marks={"posts": NOON + 1, "interactions": NOON + 5}),
    )
    line = found.line(1, found.merged())
    assert line.cut == {"posts": {"0": 4, "1": 7}, "interactions": {"0": 2}}
    assert line.high_mark == NOON + 5


def expiry(*snapshots: Snapshot) -> int | None:
    found = census(*snapshots)
    return found.line(1, found.merged()).expiry_mark


def test_nobody_expires_by_more_than_the_least_mark_among_partitions_with_unread_events() -> None:
    ahead = snapshot(1, high_marks={"posts": NOON + 500})
    assert expiry(snapshot(0), ahead) == NOON + 500
    assert expiry(snapshot(0, unread=["posts"]), ahead) == NOON
    both = snapshot(
        0, unread=["interactions"], high_marks={"posts": NOON, "interactions": NOON - 9}
    )
    assert expiry(both, ahead) == NOON - 9


def test_a_partition_of_which_nothing_was_read_holds_the_expiry_mark_where_it_was() -> None:
    unread = snapshot(0, unread=["posts"], high_marks={})
    assert expiry(unread, snapshot(1)) is None
    assert expiry(unread, snapshot(1, expiry_mark=NOON - 3)) == NOON - 3


def test_the_expiry_mark_never_goes_back() -> None:
    behind = snapshot(0, unread=["posts"], expiry_mark=NOON + 50)
    assert expiry(behind, snapshot(1)) == NOON + 50


def test_without_any_event_there_is_no_mark() -> None:
    assert expiry(snapshot(0, high_marks={}), snapshot(1, high_marks={})) is None


def test_members_and_ranking_are_those_of_all_partitions() -> None:
    found = census(
        snapshot(0, members=[5, 1], top=[someone("a", 9.0), someone("c", 1.0)]),
        snapshot(1, members=[2, 2], top=[someone("b", 5.0), someone("d", 0.5)]),
    )
    assert found.members() == [7, 3]
    assert [standing.key for standing in found.ranking()] == ["a", "b", "c"]


def test_the_pieces_of_a_snapshot_belong_to_it_and_to_no_other() -> None:
    found = census(snapshot(1))
    for sequence, name in ((1, "old"), (2, "new")):
        for index in (0, 1):
            one = someone(f"{name}{index}", 5.0 - index)
            found.take_piece(TopPiece(0, 1, sequence, index, [one]))
        if name == "old":
            found.take(snapshot(0, top=[someone("first", 9.0)], pieces=2, sequence=1))
    assert [s.key for s in found.ranking()] == ["first", "old0", "old1"], "the newer is to come"
    found.take(snapshot(0, top=[someone("first", 9.0)], pieces=2, sequence=2))
    assert [s.key for s in found.ranking()] == ["first", "new0", "new1"]
    assert len(found._pieces) == 2
    found.take(snapshot(0, top=[someone("alone", 9.0)], epoch=2))
    assert [s.key for s in found.ranking()] == ["alone"]
    assert found._pieces == {}


class Snapshots:
    """The topic as a new leader reads it: more of it comes when it is told to go on."""

    def __init__(self, *parts: list[Snapshot]) -> None:
        self.caught_up = asyncio.Event()
        self.position = 0
        self.goes_on = asyncio.Semaphore(1)
        self._parts = parts

    async def follow(self, on_record: Callable[[Any], None]) -> None:
        for part in self._parts:
            await self.goes_on.acquire()
            for one in part:
                self.position += 1
                key = f"kol/{one.partition}".encode()
                on_record(SimpleNamespace(key=key, value=encode(one)))
        self.caught_up.set()
        await asyncio.Event().wait()


def test_a_new_leader_draws_nothing_before_it_has_read_all_snapshots_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that it reads first may be of owners before: a line of them would be a false one."""
    drawn: list[LineRecord] = []
    ticks = 0
    waited, told = asyncio.Event(), asyncio.Event()

    async def send(topic: str, key: bytes, value: bytes, *_: Any) -> Any:
        if topic.endswith("thresholds"):
            drawn.append(decode(LineRecord, value))
            told.set()
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def is_leader() -> bool:
        nonlocal ticks
        ticks += 1
        if ticks == 50:
            waited.set()
        return True

    async def run() -> None:
        before, now = [snapshot(0), snapshot(1)], [snapshot(1, epoch=2, scores=[2.0, 3.0])]
        topic = Snapshots(before, now)
        monkeypatch.setattr(leader, "Tail", lambda *_: topic)
        task = asyncio.create_task(
            Leader(
                app=SimpleNamespace(producer=SimpleNamespace(send=send)),
                client={},
                topics=topic_names(load_settings()),
                app_id="kol",
                partitions=2,
                scheme=SCHEME,
                interval_s=0.0,
                is_leader=is_leader,
                metrics=Metrics(),
            ).run()
        )
        await waited.wait()
        assert topic.position == len(before)
        assert drawn == []
        topic.goes_on.release()
        await told.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert {record.line.population for record in drawn} == {3}
    assert {record.line.version for record in drawn} == {3}
