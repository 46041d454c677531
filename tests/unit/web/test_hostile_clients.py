"""Clients that send too much, ask too slowly, take nothing, or come in too great a number."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from stream_app.web import connections, context
from stream_app.web.auth import bearer
from stream_app.web.server import create_web_app
from tests.fakes_web import SESAME, Client, FakeQueries, run_web

HEAD = b"GET /api/v1/rankings HTTP/1.1\r\nHost: localhost\r\n"
EVENTS = "/api/v1/events"
TIMEOUT_S = 10.0


def serve(
    check: Callable[[TestServer], Awaitable[None]],
    queries: FakeQueries | None = None,
    **options: Any,
) -> None:
    async def run() -> None:
        made = create_web_app(
            queries or FakeQueries(), token=None, base_url="http://127.0.0.1:1", **options
        )
        server = TestServer(made)
        async with server, asyncio.timeout(2 * TIMEOUT_S):
            await check(server)
            async with ClientSession(server.make_url("/")) as client:  # it goes on
                assert (await client.get("/healthz")).status == 200

    asyncio.run(run())


async def connected(server: TestServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.port, limit=1024)


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of an answer after which the connection ends."""
    head, _, body = (await asyncio.wait_for(reader.read(), TIMEOUT_S)).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 9000000000\r\n\r\n{",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"5\r\nhello\r\n0\r\n\r\n",
        b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_a_request_with_a_body_is_refused_before_it_is_read(
    method: str, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(server: TestServer) -> None:
        reader, writer = await connected(server)
        writer.write(HEAD.replace(b"GET", method.encode()) + body)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT_S)
        assert int(head.split()[1]) == 413
        assert b"application/problem+json" in head
        assert b"Connection: close" in head
        writer.close()

    serve(check)


def test_too_many_headers_are_refused() -> None:
    async def check(server: TestServer) -> None:
        reader, writer = await connected(server)
        writer.write(HEAD + b"".join(b"X-%d: x\r\n" % number for number in range(200)) + b"\r\n")
        status, body = await answer(reader)
        assert status == 400
        assert msgspec.json.decode(body)["status"] == 400
        writer.close()

    serve(check)


@pytest.mark.parametrize("sent", [b"", b"GET /hea", HEAD, b"\r\n"])
def test_who_takes_too_long_to_ask_is_cut_off(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.05)

    async def check(server: TestServer) -> None:
        reader, writer = await connected(server)
        writer.write(sent)
        await ended(reader)
        writer.close()

    serve(check)


def test_who_takes_too_long_to_ask_again_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(server: TestServer) -> None:
        reader, writer = await connected(server)
        writer.write(HEAD + b"\r\n")
        await asyncio.wait_for(reader.readuntil(b"}"), TIMEOUT_S)
        monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.05)
        writer.write(HEAD)
        await ended(reader)
        writer.close()

    serve(check)


async def ended(reader: asyncio.StreamReader) -> None:
    """Returns when the other side has gone, in whatever way."""
    try:
        while await asyncio.wait_for(reader.read(1024), TIMEOUT_S):
            pass
    except ConnectionResetError:
        return


def test_a_request_that_was_asked_in_time_is_answered_however_long_that_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.01)

    async def check(server: TestServer) -> None:
        reader, writer = await connected(server)
        writer.write(HEAD.replace(b"rankings", b"events") + b"\r\n")
        assert await asyncio.wait_for(reader.readline(), TIMEOUT_S) == b"HTTP/1.1 200 OK\r\n"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ended(reader), 0.1)  # ten times as long as the head may take
        writer.close()

    serve(check)


def test_who_does_not_take_an_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_TIMEOUT_S", 0.05)

    class Talkative(FakeQueries):
        def metrics(self) -> bytes:
            return b"x" * 50_000_000

    async def check(server: TestServer) -> None:
        _, writer = await connected(server)
        writer.write(HEAD.replace(b"api/v1/rankings", b"metrics") + b"\r\n")
        assert server.runner is not None
        manager = server.runner.server
        assert isinstance(manager, web.Server)
        while not manager.requests_count:  # noqa: ASYNC110 - aiohttp tells nobody
            await asyncio.sleep(0.01)
        while manager.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        writer.close()

    serve(check, Talkative())


def test_streams_beyond_the_bound_are_refused_with_the_reason_until_one_ends() -> None:
    async def check(server: TestServer) -> None:
        async with ClientSession(server.make_url("/")) as client, AsyncExitStack() as streams:
            for _ in range(2):
                await streams.enter_async_context(client.get(EVENTS))
            refused = await client.get(EVENTS)
            assert refused.status == 503
            assert refused.content_type == "application/problem+json"
            assert refused.headers["Retry-After"] == "1"
            assert "KOL_WEB_STREAMS" in (await refused.json())["detail"]
            assert (await client.get("/api/v1/rankings")).status == 200
            await streams.aclose()
            places = server.app[context.CONTEXT].streams
            while places.taken:  # noqa: ASYNC110 - aiohttp tells nobody that a client has gone
                await asyncio.sleep(0.01)
            async with client.get(EVENTS) as again:
                assert again.status == 200

    serve(check, most_streams=2)


def test_connections_beyond_the_bound_are_told_so_and_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stream_app.web.server.OTHER_CONNECTIONS", 2)

    async def check(server: TestServer) -> None:
        held = [await connected(server) for _ in range(3)]
        held[-1][1].write(HEAD + b"\r\n")  # answered, so all three are in
        await asyncio.wait_for(held[-1][0].readuntil(b"}"), TIMEOUT_S)
        reader, writer = await connected(server)
        status, body = await answer(reader)
        assert status == 503
        assert "too many connections" in msgspec.json.decode(body)["detail"]
        for _, each in (*held, (reader, writer)):
            each.close()
        assert server.runner is not None
        manager = server.runner.server
        assert isinstance(manager, web.Server)
        while manager.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    serve(check, most_streams=1)


def test_every_answer_forbids_to_guess_frame_run_or_keep_it() -> None:
    paths = ("/", "/api/v1/rankings", "/nowhere", "/api/v1/users/x", "/api/v1/rankings?limit=x")

    async def check(client: Client) -> None:
        for path in (*paths, "/metrics", "/healthz", EVENTS):
            for token in (SESAME, "wrong"):
                async with client.get(path, headers=bearer(token)) as response:
                    assert_guarded(response.headers)

    run_web(FakeQueries(), check, token=SESAME)


def assert_guarded(headers: Any) -> None:
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_tokens_are_compared_in_a_time_that_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(given: bytes, expected: bytes) -> bool:
        compared.append(given)
        return genuine(given, expected)

    genuine = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)

    async def check(client: Client) -> None:
        for given in (SESAME, SESAME[:-1], "x", ""):
            await client.get("/metrics", headers={"Authorization": f"Bearer {given}"})
        await client.get("/metrics", headers={"Authorization": f"Basic {SESAME}"})

    run_web(FakeQueries(), check, token=SESAME)
    assert compared == [SESAME.encode(), SESAME[:-1].encode(), b"x", b"", SESAME.encode()]
