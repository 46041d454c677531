"""Requests that are no HTTP, too long, or expect what is not done: problem details for them too.

They reach no middleware, and aiohttp would answer in plain text and log a traceback for what
anybody may send. It has no setting for that: here, and only here, its server is given another
protocol.
"""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from stream_app.web.connections import BoundedHandler, BoundedServer
from stream_app.web.problems import ProblemError, add_headers, problem_response

logger = logging.getLogger(__name__)


class _Protocol(BoundedHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it repeats bytes of the request
    ) -> web.StreamResponse:
        if status >= 500:
            logger.error("request failed remote=%s", request.remote, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun and cannot become an error")
        response = problem_response(ProblemError(status, _detail(status, exc)))
        add_headers(response)
        response.force_close()
        return response


def _detail(status: int, error: BaseException | None) -> str:
    if status >= 500:
        return "the worker's log says what went wrong"
    if isinstance(error, LineTooLong):
        return "the address or a header is too long: about 8,000 bytes at most"
    return "this is not a valid HTTP request"


class _Server(BoundedServer):
    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


def answer_broken_requests(app: web.Application, most_connections: int) -> None:
    """Let whatever runs the application answer every error as a problem, within its bounds."""
    make_server = app._make_handler  # noqa: SLF001

    def make(**options: Any) -> web.Server:
        made = make_server(**options)

        async def respond(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await made.request_handler(request)
            except web.HTTPException as error:  # 417, which comes before any middleware
                return problem_response(ProblemError(error.status, error.reason))

        server = _Server(
            respond,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,  # noqa: SLF001
            **made._kwargs,  # noqa: SLF001
        )
        server.most_connections = most_connections
        return server

    # The ordinary way warns against attributes that aiohttp does not know.
    object.__setattr__(app, "_make_handler", make)
