"""Live readers of KOL events."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from stream_app.engine import event_feed
from stream_app.engine.event_feed import EventFeed


def feed() -> EventFeed:
    return EventFeed("127.0.0.1:1", "kol-events", 4)


def record(name: str, value: bytes | None = b"{}") -> Any:
    return SimpleNamespace(headers=(("ce_id", name.encode()),), value=value)


def run(test: Callable[[EventFeed], Awaitable[None]]) -> None:
    async def body() -> None:
        await test(feed())

    asyncio.run(body())


async def ids(reader: AsyncIterator[tuple[str, bytes]], count: int) -> list[str]:
    return [(await anext(reader))[0] for _ in range(count)]


async def begun(found: EventFeed, last_event_id: str | None = None) -> Any:
    """A reader that is waiting for its first event."""
    reader = found.read(last_event_id)
    first = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0)
    return reader, first


def test_a_reader_gets_events_from_now_on() -> None:
    async def test(found: EventFeed) -> None:
        found.on_record(record("before"))
        reader, first = await begun(found)
        found.on_record(record("a", b"A"))
        found.on_record(record("b"))
        assert await first == ("a", b"A")
        assert await ids(reader, 1) == ["b"]
        await reader.aclose()

    run(test)


def test_a_reader_that_comes_back_gets_what_it_missed_without_a_gap() -> None:
    async def test(found: EventFeed) -> None:
        for name in "abcd":
            found.on_record(record(name))
        reader = found.read("b")
        assert await ids(reader, 1) == ["c"]
        found.on_record(record("e"))  # while it catches up
        assert await ids(reader, 2) == ["d", "e"]

    run(test)


def test_an_unknown_id_resumes_from_the_oldest_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "KEPT", 3)

    async def test(found: EventFeed) -> None:
        for name in "abcde":
            found.on_record(record(name))
        assert await ids(found.read("a"), 3) == ["c", "d", "e"]

    run(test)


def test_a_repeated_event_carries_the_same_id_and_is_kept_once() -> None:
    async def test(found: EventFeed) -> None:
        for name in "aba":
            found.on_record(record(name))
        assert await ids(found.read("unknown"), 2) == ["a", "b"]

    run(test)


def test_a_reader_too_far_behind_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "_MOST_BEHIND", 2)

    async def test(found: EventFeed) -> None:
        reader, first = await begun(found)
        for name in "abcd":
            found.on_record(record(name))
        assert [(await first)[0], *[name async for name, _ in reader]] == ["a", "b"]

    run(test)


def test_records_without_an_id_or_a_value_are_passed_over() -> None:
    async def test(found: EventFeed) -> None:
        found.on_record(SimpleNamespace(headers=(), value=b"{}"))
        found.on_record(record("x", None))
        found.on_record(record("a"))
        assert await ids(found.read("unknown"), 1) == ["a"]

    run(test)
