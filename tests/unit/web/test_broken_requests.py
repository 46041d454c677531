"""What no HTTP client of good manners would send."""

import asyncio
import logging

import msgspec
import pytest
from aiohttp.test_utils import TestServer

from stream_app.web.server import create_web_app
from tests.fakes_web import FakeQueries

HOST = b"Host: localhost\r\n"
RANKINGS = b"GET /api/v1/rankings"


async def exchange(port: int, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to raw bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    length = next(
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    body = await asyncio.wait_for(reader.readexactly(length), 10)
    writer.close()
    return head, body


@pytest.mark.parametrize(
    ("request_bytes", "status", "told"),
    [
        (b"hello\r\n\r\n", 400, "not a valid HTTP request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "not a valid HTTP request"),
        (RANKINGS + b" HTTP/1.1\r\n\r\n", 400, "not a valid HTTP request"),
        (b"GET /api/v1/users/x:\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400, "not a valid HTTP"),
        (RANKINGS + b"?a=" + b"x" * 9_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400, "too long"),
        (
            RANKINGS + b" HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 9_000 + b"\r\n\r\n",
            400,
            "too long",
        ),
        (
            RANKINGS + b" HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n",
            400,
            "not a valid HTTP",
        ),
        (
            RANKINGS + b" HTTP/1.1\r\n" + HOST + b"Expect: wonders\r\n\r\n",
            417,
            "Expectation Failed",
        ),
    ],
)
def test_a_broken_request_is_a_problem_and_no_traceback(
    request_bytes: bytes, status: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        app = create_web_app(FakeQueries(), token=None, base_url="http://127.0.0.1:1")
        async with TestServer(app) as server:
            assert server.port is not None
            head, body = await exchange(server.port, request_bytes)
            assert int(head.split()[1]) == status
            assert b"application/problem+json" in head
            assert b"Server: kol-stream" in head
            problem = msgspec.json.decode(body)
            assert problem["status"] == status
            assert told in problem["detail"]

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert caplog.records == []
