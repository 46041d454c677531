"""What one connection may take: time to ask, time to take its answer, room among the others.

aiohttp bounds what a request is made of (about 8,000 bytes for the address and for each header,
128 headers), but not how long its head may take to arrive, nor how long an answer to be taken.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

#: From the first byte, or the connection, to the end of a request's head.
HEAD_TIMEOUT_S = 10.0
#: For the whole of an answer; a stream of events has its own rule for each of its parts.
ANSWER_TIMEOUT_S = 60.0
#: A connection that asks nothing more is closed.
KEEPALIVE_TIMEOUT_S = 75.0
#: Beside streams of events: browsers, scrapers, other workers.
OTHER_CONNECTIONS = 500

_FULL_BODY = (
    b'{"type":"about:blank","title":"Service Unavailable","status":503,'
    b'"detail":"this worker has too many connections"}'
)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
    b"Content-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n" % len(_FULL_BODY)
) + _FULL_BODY


class BoundedHandler(web.RequestHandler):
    """One connection, cut off when its client takes too long or there are too many."""

    __slots__ = ("_head_timer",)

    def __init__(self, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        manager = self._manager
        if isinstance(manager, BoundedServer) and manager.is_overfull:
            if self.transport is not None:
                self.transport.write(_FULL)
            self.force_close()
            return
        self._expect_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages or self._current_request is not None:
            self._stop_timer()
        elif self._head_timer is None:  # the first bytes of another request
            self._expect_head()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer; a client that does not take it in time is cut off."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            if self.transport is not None:
                self.transport.abort()
            return resp, True

    def _expect_head(self) -> None:
        self._head_timer = self._loop.call_later(HEAD_TIMEOUT_S, self._cut_off)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _cut_off(self) -> None:
        self._head_timer = None
        if self.transport is not None:
            self.transport.abort()


class BoundedServer(web.Server):
    """Makes a handler for each connection, and counts them."""

    #: beyond so many a connection is answered 503 and closed; None counts none
    most_connections: int | None = None

    @property
    def is_overfull(self) -> bool:
        most = self.most_connections
        return most is not None and len(self._connections) > most
