import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestServer

from stream_app.messages import Cause, KolEvent, decode_event
from stream_app.web import sse
from stream_app.web.queries import EventStream
from stream_app.web.server import create_web_app
from tests.builders import make_event
from tests.fakes_web import Client, EndingEvents, FakeQueries, run_web

PATH = "/api/v1/events"


def event_at(offset: int, **changes: Any) -> KolEvent:
    return make_event(
        cause=Cause(type="post", topic="posts", partition=0, offset=offset), **changes
    )


async def read_frame(response: ClientResponse) -> dict[str, str]:
    """The fields of the next event; comments are left out."""
    fields: dict[str, str] = {}
    while True:
        line = (await asyncio.wait_for(response.content.readline(), 10)).decode()
        assert line, "the stream ended"
        if line == "\n" and "data" in fields:
            return fields
        name, _, value = line.rstrip("\n").partition(": ")
        if name:
            fields[name] = value


@contextlib.asynccontextmanager
async def reading(client: Client, **options: Any) -> AsyncIterator[ClientResponse]:
    response = await client.get(PATH, **options)
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    try:
        yield response
    finally:
        response.close()


def test_events_come_as_they_happen_with_kind_id_and_json() -> None:
    queries = FakeQueries()
    queries.publish(event_at(1))  # before the reader came: not for her

    async def check(client: Client) -> None:
        async with reading(client) as response:
            await asyncio.wait_for(queries.came.wait(), 10)
            events = [event_at(2), event_at(3, kind="demoted", tier=None, from_tier="kol")]
            for event in events:
                queries.publish(event)
            for event in events:
                frame = await read_frame(response)
                assert frame["event"] == event.kind
                assert frame["id"] == event.event_id
                assert decode_event(frame["data"].encode()) == event
        await asyncio.wait_for(queries.left.wait(), 10)

    run_web(queries, check)


@pytest.mark.parametrize("way", ["header", "query", "both"])
def test_a_reader_resumes_behind_the_event_it_names(way: str) -> None:
    queries = FakeQueries()
    events = [event_at(offset) for offset in range(5)]
    for event in events:
        queries.publish(event)
    options: dict[str, Any] = {}
    if way != "query":
        options["headers"] = {"Last-Event-ID": events[2].event_id}
    if way != "header":
        named = events[0] if way == "both" else events[2]
        options["params"] = {"last_event_id": named.event_id}

    async def check(client: Client) -> None:
        async with reading(client, **options) as response:
            assert (await read_frame(response))["id"] == events[3].event_id
            assert (await read_frame(response))["id"] == events[4].event_id

    run_web(queries, check)


def test_an_unknown_id_resumes_from_the_oldest_kept() -> None:
    queries = FakeQueries()
    queries.publish(event_at(1))

    async def check(client: Client) -> None:
        async with reading(client, headers={"Last-Event-ID": "gone"}) as response:
            assert (await read_frame(response))["id"] == event_at(1).event_id

    run_web(queries, check)


def test_silence_is_broken_by_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_S", 0.01)
    queries = FakeQueries()

    async def check(client: Client) -> None:
        async with reading(client) as response:
            assert await response.content.readline() == b"retry: 2000\n"
            assert await response.content.readline() == b"\n"
            for _ in range(3):
                assert (await response.content.readline()).startswith(b":")
                assert await response.content.readline() == b"\n"
            queries.publish(event_at(7))
            assert (await read_frame(response))["id"] == event_at(7).event_id

    run_web(queries, check)


def test_a_worker_that_stops_ends_its_streams_at_once() -> None:
    queries = FakeQueries()

    async def run() -> None:
        app = create_web_app(queries, token=None, base_url="http://127.0.0.1:1")
        server = TestServer(app)
        async with Client(server) as client, reading(client) as response:
            await asyncio.wait_for(queries.came.wait(), 10)
            async with asyncio.timeout(5):
                await server.close()
            assert queries.left.is_set()
            assert b"event" not in await response.content.read()

    asyncio.run(run())


def test_a_source_that_ends_or_fails_ends_the_stream_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(FakeQueries):
        def events(self, last_event_id: str | None) -> EventStream:
            stream = EndingEvents(self, "0")
            stream.failure = RuntimeError("no more") if last_event_id == "fail" else None
            return stream

    queries = Failing()
    queries.publish(event_at(1))

    async def check(client: Client) -> None:
        for last in ("end", "fail"):
            async with reading(client, params={"last_event_id": last}) as response:
                await read_frame(response)
                assert await response.content.read() == b""
            assert ("stream of events failed" in caplog.text) == (last == "fail")
        assert (await client.get("/healthz")).status == 200

    run_web(queries, check)


def test_a_head_request_does_not_wait_for_events() -> None:
    queries = FakeQueries()

    async def check(client: Client) -> None:
        response = await client.head(PATH)
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert not queries.came.is_set()

    run_web(queries, check)


def test_a_worker_that_does_not_know_the_events_of_before_says_so() -> None:
    class Starting(FakeQueries):
        def events(self, last_event_id: str | None) -> EventStream:
            raise LookupError("the events of before are still being read")

    async def check(client: Client) -> None:
        response = await client.get(PATH)
        assert response.status == 503
        assert response.content_type == "application/problem+json"
        assert response.headers["Retry-After"] == "1"
        assert "still being read" in (await response.json())["detail"]

    run_web(Starting(), check)


def test_a_reader_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "SEND_TIMEOUT_S", 0.05)
    queries = FakeQueries()
    large = event_at(1, factors=make_event().factors * 20_000)

    async def run() -> None:
        app = create_web_app(queries, token=None, base_url="http://127.0.0.1:1")
        async with TestServer(app) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
            writer.write(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            await asyncio.wait_for(queries.came.wait(), 10)
            for _ in range(10):
                queries.publish(large)
            await asyncio.wait_for(queries.left.wait(), 10)
            assert server.runner is not None
            connections = server.runner.server
            assert isinstance(connections, web.Server)
            async with asyncio.timeout(10):
                # Gone before the reader takes anything.
                while connections.connections:  # noqa: ASYNC110 - aiohttp tells nobody
                    await asyncio.sleep(0.01)
            writer.close()

    asyncio.run(run())


def test_unknown_parameters_and_repeats_are_refused() -> None:
    async def check(client: Client) -> None:
        for query in ("since=1", "last_event_id=1&last_event_id=2"):
            response = await client.get(f"{PATH}?{query}")
            assert response.status == 400

    run_web(FakeQueries(), check)


def test_data_of_several_lines_stays_one_event() -> None:
    frame = sse.frame("id1", b'{"kind":\n"promoted"}')
    assert frame == b'event: promoted\nid: id1\ndata: {"kind":\ndata: "promoted"}\n\n'
