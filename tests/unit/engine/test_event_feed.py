"""Live readers of KOL events."""

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.engine import event_feed, event_log
from stream_app.engine.event_feed import OVERLAP_S, EventFeed
from stream_app.messages import encode_event, event_headers
from tests.builders import make_event


class Topic:
    """`kol-events` as its partitions grow, and feeds that follow it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ends = [0, 0, 0, 0]
        self.records: dict[str, Any] = {}

    def write(self, name: str, partition: int = 0, at: int = 0, app_id: str = "kol") -> Any:
        """A record with an event of that id."""
        event = make_event(event_id=name)
        record = SimpleNamespace(
            topic="kol-events",
            partition=partition,
            offset=self.ends[partition],
            timestamp=at,
            value=encode_event(event),
            headers=tuple(event_headers(event, app_id)),
        )
        self.ends[partition] += 1
        self.records[name] = record
        return record

    def feed(self, *found: str, is_read: bool = True) -> EventFeed:
        """A feed that found these events at its start."""
        feed = EventFeed({}, "kol-events", 4, app_id="kol", clock=lambda: self.now)
        for name in found:
            feed.on_record(self.records[name])
        if is_read:
            feed._tail.caught_up.set()
        return feed


def run(test: Callable[[Topic], Awaitable[None]]) -> None:
    asyncio.run(_run(test))


async def _run(test: Callable[[Topic], Awaitable[None]]) -> None:
    await test(Topic())


async def ids(reader: AsyncIterator[tuple[str, bytes]], count: int) -> list[str]:
    return [(await anext(reader))[0] for _ in range(count)]


async def all_ids(feed: EventFeed, last_event_id: str | None) -> list[str]:
    """What a reader gets before she has to wait."""
    return [event_id for event_id, _ in feed.subscribe(last_event_id)._missed]


def test_a_reader_gets_events_from_now_on() -> None:
    async def test(topic: Topic) -> None:
        feed = topic.feed()
        feed.on_record(topic.write("before"))
        reader = feed.subscribe(None)
        feed.on_record(topic.write("a"))
        feed.on_record(topic.write("b"))
        assert await anext(reader) == ("a", topic.records["a"].value)
        assert await ids(reader, 1) == ["b"]

    run(test)


def test_events_of_another_app_on_the_same_topic_are_not_given() -> None:
    async def test(topic: Topic) -> None:
        feed = topic.feed()
        reader = feed.subscribe(None)
        feed.on_record(topic.write("same id", app_id="kol-2"))
        feed.on_record(topic.write("same id"))
        assert await anext(reader) == ("same id", topic.records["same id"].value)
        assert await all_ids(feed, "unknown") == ["same id"]

    run(test)


def test_a_reader_that_comes_back_gets_what_it_missed_without_a_gap() -> None:
    async def test(topic: Topic) -> None:
        feed = topic.feed()
        for name in "abcd":
            feed.on_record(topic.write(name))
        reader = feed.subscribe("b")
        assert await ids(reader, 1) == ["c"]
        feed.on_record(topic.write("e"))  # while it catches up
        assert await ids(reader, 2) == ["d", "e"]

    run(test)


def test_an_unknown_id_resumes_from_the_oldest_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "KEPT", 3)

    async def test(topic: Topic) -> None:
        feed = topic.feed()
        for name in "abcde":
            feed.on_record(topic.write(name))
        assert await all_ids(feed, "a") == ["c", "d", "e"]

    run(test)


def test_the_last_thousand_at_least_are_kept() -> None:
    assert event_feed.KEPT >= 1000


def test_an_event_sent_again_is_given_once() -> None:
    async def test(topic: Topic) -> None:
        feed = topic.feed()
        for name in "aba":
            feed.on_record(topic.write(name))
        assert await all_ids(feed, "unknown") == ["a", "b"]
        assert await all_ids(feed, "a") == ["b"]
        reader = feed.subscribe(None)
        for name in "bac":
            feed.on_record(topic.write(name))
        assert await ids(reader, 1) == ["c"]

    run(test)


def test_a_reader_too_far_behind_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "_MOST_BEHIND", 2)

    async def test(topic: Topic) -> None:
        feed = topic.feed()
        late, timely = feed.subscribe(None), feed.subscribe(None)
        for name in "abcdefgh":  # more than are kept
            feed.on_record(topic.write(name))
            assert await ids(timely, 1) == [name]
        assert [name async for name, _ in late] == []

    run(test)


def test_a_reader_as_far_behind_as_is_allowed_misses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_log, "_MOST_BEHIND", 3)

    async def test(topic: Topic) -> None:
        feed = topic.feed()
        for name in ("before1", "before2", "before3", "before4"):
            feed.on_record(topic.write(name))
        reader = feed.subscribe(None)
        for name in "abc":
            feed.on_record(topic.write(name))
        assert await ids(reader, 1) == ["a"]
        feed.on_record(topic.write("d"))
        assert [name for name, _ in reader.ready(2)] == ["b", "c"]
        assert [name for name, _ in reader.ready(9)] == ["d"]
        assert reader.ready(9) == []

    run(test)


def test_a_reader_that_has_gone_is_forgotten() -> None:
    async def test(topic: Topic) -> None:
        feed = topic.feed()
        reader = feed.subscribe(None)
        gone = weakref.ref(reader)
        await reader.aclose()
        del reader
        feed.on_record(topic.write("a"))
        assert gone() is None

    run(test)


@pytest.mark.parametrize(
    "value", [None, b"", b"{}", b"no json", encode_event(make_event(event_id="a\nb"))]
)
def test_records_that_are_no_events_are_passed_over(value: bytes | None) -> None:
    async def test(topic: Topic) -> None:
        feed = topic.feed()
        strange = topic.write("x")
        strange.value = value
        feed.on_record(strange)
        feed.on_record(topic.write("a"))
        assert await all_ids(feed, "unknown") == ["a"]

    run(test)


# -- what was there before the worker -------------------------------------------------------------


def test_nobody_reads_before_the_events_of_before_are_known() -> None:
    async def test(topic: Topic) -> None:
        topic.write("a")
        feed = topic.feed("a", is_read=False)
        for last in (None, "a", "unknown"):
            with pytest.raises(LookupError, match="still being read"):
                feed.subscribe(last)
        feed._tail.caught_up.set()
        assert await all_ids(feed, "unknown") == ["a"]

    run(test)


def test_the_newest_of_all_partitions_are_kept_however_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_feed, "KEPT", 4)

    async def test(topic: Topic) -> None:
        for at in range(5):
            topic.write(f"old{at}", partition=1, at=at)
        for at in range(5, 8):
            topic.write(f"new{at}", partition=0, at=at)
        # The newer partition is read first, as a fetch may well do.
        newest = ["new5", "new6", "new7"]
        feed = topic.feed(*newest, *(f"old{at}" for at in range(5)))
        assert await all_ids(feed, "unknown") == ["old4", *newest]
        feed.on_record(topic.write("live", partition=3))
        assert await all_ids(feed, "unknown") == [*newest, "live"]

    run(test)


def test_offsets_rule_within_a_partition_whatever_the_clocks() -> None:
    async def test(topic: Topic) -> None:
        for name, at in (("a", 50), ("b", 10), ("c", 60)):
            topic.write(name, at=at)
        topic.write("d", partition=1, at=55)
        feed = topic.feed("d", "a", "b", "c")
        assert await all_ids(feed, "unknown") == ["a", "b", "d", "c"]

    run(test)


# -- readers that come from another worker --------------------------------------------------------


def test_what_the_other_worker_may_not_have_given_yet_comes_again() -> None:
    async def test(topic: Topic) -> None:
        for name, partition in (("p1", 0), ("q1", 1), ("p2", 0), ("q2", 1), ("p3", 0)):
            topic.write(name, partition=partition)
        here = topic.feed()
        for name in ("p1", "q1", "q2", "p2", "p3"):
            here.on_record(topic.records[name])
        # There p2 came before q1 and q2, and the reader left behind it.
        assert await all_ids(here, "p2") == ["q1", "q2", "p3"]
        # Of the same partition nothing comes twice: its order is one.
        assert await all_ids(here, "q2") == ["p1", "p2", "p3"]

    run(test)


def test_what_came_long_before_does_not_come_again() -> None:
    async def test(topic: Topic) -> None:
        feed = topic.feed()
        feed.on_record(topic.write("long ago", partition=1))
        topic.now += OVERLAP_S / 2
        feed.on_record(topic.write("lately", partition=2))
        topic.now += OVERLAP_S / 2 + 1
        feed.on_record(topic.write("last", partition=0))
        assert await all_ids(feed, "last") == ["lately"]

    run(test)


def test_of_what_was_there_at_the_start_all_other_partitions_come_again() -> None:
    async def test(topic: Topic) -> None:
        for name, partition, at in (("a", 0, 1), ("b", 1, 2), ("c", 0, 3_000_000)):
            topic.write(name, partition=partition, at=at)
        feed = topic.feed("a", "b", "c")
        assert await all_ids(feed, "c") == ["b"]
        topic.now += OVERLAP_S + 1
        feed.on_record(topic.write("d", partition=2))
        assert await all_ids(feed, "d") == []

    run(test)


@given(
    partitions=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    seen=st.integers(1, 12),
    data=st.data(),
)
def test_nothing_is_lost_on_the_way_to_another_worker(
    partitions: list[int], seen: int, data: st.DataObject
) -> None:
    """Two workers take the partitions in, each in an order of its own, partly at the start."""

    async def test(topic: Topic) -> None:
        for number, partition in enumerate(partitions):
            topic.write(f"e{number}", partition=partition, at=data.draw(st.integers(0, 3)))
        there, here = interleaved(topic, data), interleaved(topic, data)
        got = there[:seen]
        found = data.draw(st.integers(0, len(here)))
        feed = topic.feed(*here[:found])
        for name in here[found:]:
            feed.on_record(topic.records[name])
        assert {*got, *(await all_ids(feed, got[-1]))} == set(topic.records)

    run(test)


def interleaved(topic: Topic, data: st.DataObject) -> list[str]:
    """The events in some order that keeps the order of each partition."""
    waiting: dict[int, list[str]] = {}
    for name, record in topic.records.items():
        waiting.setdefault(record.partition, []).append(name)
    order = []
    while waiting:
        partition = data.draw(st.sampled_from(sorted(waiting)))
        order.append(waiting[partition].pop(0))
        waiting = {number: names for number, names in waiting.items() if names}
    return order
