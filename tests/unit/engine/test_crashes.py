"""A worker may die between any two confirmations: nothing is lost or counted twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.row import UserRow
from stream_app.core.tiers import Line
from stream_app.messages import KolEvent
from tests.histories import Event, fold_all, histories
from tests.schemes import make_scheme
from tests.unit.engine.stand_ins import PARTITIONS, Broker, Crash, Worker, fixed_line

SCHEME = make_scheme()
USERS = 4
#: Entering and leaving values between which the scores of `histories` lie (z, about 100 to 120).
bounds = st.floats(95, 125)

Step = list[Event] | Line


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """Batches of events, and lines with ascending versions."""
    found: list[Step] = []
    for number in range(draw(st.integers(1, 6))):
        if draw(st.booleans()):
            found.append(draw(histories(users=USERS, max_size=5)))
        else:
            enter = draw(bounds)
            found.append(fixed_line(number + 1, [("kol", enter, enter - 1.0)]))
    return found


class Source:
    """Feeds the steps to worker after worker; what was not acknowledged is delivered again.

    `overtakes`: whether, after each crash, the line that follows the unfinished step comes first,
    as it does when texts wait for the encoder, or instead of it, when that is a line too.
    """

    def __init__(
        self, todo: Sequence[Step], fuses: list[int], overtakes: Sequence[bool] = ()
    ) -> None:
        self.overtakes = list(overtakes)
        self.broker = Broker()
        self.todo: list[Any] = [
            step if isinstance(step, Line) else [self.broker.append(event) for event in step]
            for step in todo
        ]
        self.fuses = fuses

    async def run(self) -> Worker:
        done = 0
        while True:
            self.broker.fuse.left = self.fuses.pop(0) if self.fuses else None
            try:
                worker = await Worker(self.broker, SCHEME).start()
                for step in self.todo[done:]:
                    await self._apply(worker, step)
                    done += 1
            except Crash:
                if self.overtakes and self.overtakes.pop(0):
                    self._overtake(done)
                continue
            self.broker.fuse.left = None
            return worker

    def _overtake(self, done: int) -> None:
        unfinished, *after = self.todo[done : done + 2]
        if after and isinstance(after[0], Line):
            rest = [] if isinstance(unfinished, Line) else [unfinished]
            self.todo[done : done + 2] = [after[0], *rest]

    async def _apply(self, worker: Worker, step: Any) -> None:
        if not isinstance(step, Line):
            await worker.handle(step)
            return
        for number in range(PARTITIONS):
            held = worker.ownership.partitions[number].meta.line
            if held is not None and step.version <= held.version:
                await worker.scorer.repeat_line(number, step.version)
            else:
                await worker.scorer.apply_lines({number: (step, QuantileSketch())})


def chain_of(events: list[KolEvent], key: str) -> list[KolEvent]:
    """A user's events without repeats, which must be identical but for the time of sending."""
    found: dict[str, KolEvent] = {}
    for event in events:
        if event.user.key == key:
            plain = msgspec.structs.replace(event, emitted_at="")
            assert found.setdefault(event.event_id, plain) == plain
    return list(found.values())


def absorbed(row: UserRow) -> UserRow:
    """What the events left in a row, without what the lines did."""
    return msgspec.structs.replace(row, offsets={}, tier=None, tier_since=None, transition=None)


@given(steps(), st.lists(st.integers(0, 14), max_size=4), st.lists(st.booleans(), max_size=4))
def test_rows_and_events_are_the_same_whenever_the_worker_dies(
    todo: list[Step], fuses: list[int], overtakes: list[bool]
) -> None:
    source = Source(todo, fuses, overtakes)
    worker = asyncio.run(source.run())
    events = [event for step in todo if not isinstance(step, Line) for event in step]
    expected = fold_all(events, SCHEME)
    for key, row in expected.items():
        found = worker.row(key)
        assert found is not None
        assert absorbed(found) == row
        chain = chain_of(source.broker.events(), key)
        tier = None
        for event in chain:
            assert event.from_tier == tier
            tier = event.tier
        assert found.tier == tier
    assert worker.ownership.partitions.keys() == set(range(PARTITIONS))
    assert [p.columns.check() for p in worker.ownership.partitions.values()] == [0] * PARTITIONS


@given(steps())
def test_one_batch_or_many_absorb_the_same(todo: list[Step]) -> None:
    events = [event for step in todo if not isinstance(step, Line) for event in step]
    whole = asyncio.run(Source([events], []).run())
    single = asyncio.run(Source([[event] for event in events], []).run())
    for key in fold_all(events, SCHEME):
        assert whole.row(key) == single.row(key)
