"""Errors as problem details (RFC 9457), whatever raised them."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from stream_app.web.answers import Problem

logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"

_POLICY = "Content-Security-Policy"
#: What every answer carries, errors and the page too.
HEADERS = {
    "Cache-Control": "no-store",  # figures are of the moment, and may need a token
    # The page brings a wider policy of its own; nothing else here is to be run, shown or framed.
    _POLICY: "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "kol-stream",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_DETAILS = {
    404: "there is nothing at this address; /api/v1/openapi.json lists what there is",
    405: "this address only answers to the methods in the Allow header",
    413: "no address here takes a body",
}


def add_headers(response: web.StreamResponse) -> None:
    """The answer carries HEADERS; a policy of its own stays."""
    own = response.headers.get(_POLICY)
    response.headers.update(HEADERS)
    if own is not None:
        response.headers[_POLICY] = own


class ProblemError(Exception):
    """An answer that is an error; `detail` is for the caller and says nothing of the inside."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def unavailable(detail: str) -> ProblemError:
    """A 503 that asks the caller to try again in a second."""
    return ProblemError(503, detail, {"Retry-After": "1"})


def problem_response(error: ProblemError) -> web.Response:
    """The answer for an error."""
    body = Problem(title=HTTPStatus(error.status).phrase, status=error.status, detail=error.detail)
    return web.Response(
        status=error.status,
        headers=error.headers,
        body=msgspec.json.encode(body),
        content_type=PROBLEM_TYPE,
    )


@web.middleware
async def no_body_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a request that brings a body, before any of it is read."""
    if request.body_exists:
        raise ProblemError(413, _DETAILS[413], {"Connection": "close"})
    return await handler(request)


@web.middleware
async def problem_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with problem details to every error below, those of unknown addresses included."""
    try:
        return await handler(request)
    except ProblemError as error:
        return problem_response(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        detail = _DETAILS.get(error.status, error.reason)
        return problem_response(ProblemError(error.status, detail, kept))
    except Exception:
        path = request.rel_url.raw_path  # in one line, whatever it holds
        logger.exception("request failed method=%s path=%s", request.method, path)
        return problem_response(ProblemError(500, "the worker's log says what went wrong"))
