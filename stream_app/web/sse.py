"""KOL events as they happen, as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
import logging
import random
from functools import lru_cache

import msgspec
from aiohttp import web

from stream_app.web.context import CONTEXT, Context
from stream_app.web.parameters import LAST_EVENT_ID
from stream_app.web.problems import unavailable
from stream_app.web.queries import EventStream, Queries

logger = logging.getLogger(__name__)

#: Often enough that proxies, which give up after 30 to 60 s of silence, keep the connection.
HEARTBEAT_S = 15.0
#: A reader that takes nothing for this long is gone, whatever its socket says.
SEND_TIMEOUT_S = 30.0
#: How long a browser waits before it connects again.
RETRY_MS = 2000

#: Events in one write: a reader that is behind costs no more than one that is not.
_AT_ONCE = 64
#: All streams together write so often, that many of them leave the worker its time: each waits
#: longer between two writes the more there are, a second where there are a thousand.
_WRITES_PER_S = 1_000
_MANY = 20
#: All streams send the same few events, which are put into words once.
_SHARED = 512

_FULL = (
    "all {most} streams of events that this worker allows are open; ask another worker, or raise "
    "KOL_WEB_STREAMS"
)

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


class _Kind(msgspec.Struct):
    kind: str


_decode_kind = msgspec.json.Decoder(_Kind).decode


@lru_cache(_SHARED)
def frame(event_id: str, data: bytes) -> bytes:
    """One event on the wire; `data` is the JSON of a KOL event."""
    kind = _decode_kind(data).kind
    lines = b"".join(b"data: " + line + b"\n" for line in data.splitlines())
    return f"event: {kind}\nid: {event_id}\n".encode() + lines + b"\n"


async def get_events(request: web.Request) -> web.StreamResponse:
    """Send events until the reader, or the worker, goes away."""
    header = request.headers.get("Last-Event-ID")
    last = LAST_EVENT_ID.read(request) if header is None else header
    context = request.app[CONTEXT]
    with context.streams.one(_FULL.format(most=context.streams.most)):
        return await _respond(request, last)


async def _respond(request: web.Request, last: str | None) -> web.StreamResponse:
    context = request.app[CONTEXT]
    response = web.StreamResponse(headers=_HEADERS)
    # Before the answer begins: nothing is missed that happens once the reader has its head.
    events = _subscribe(context.queries, last)
    try:
        await response.prepare(request)
        if request.method != "HEAD":
            await _write(response, f"retry: {RETRY_MS}\n\n".encode())
            await _send(response, events, context)
    except (ConnectionError, TimeoutError):
        logger.debug("a reader of events has gone; it comes back with the last id it saw")
        if request.transport is not None:
            request.transport.abort()  # an orderly end would wait for the reader once more
    except Exception:
        # The answer has begun, so it can only end; the reader connects again.
        logger.exception("the stream of events failed")
    finally:
        await events.aclose()
    return response


def _subscribe(queries: Queries, last_event_id: str | None) -> EventStream:
    try:
        return queries.events(last_event_id)
    except LookupError as error:
        raise unavailable(f"the worker is not ready: {error}") from error


async def _send(response: web.StreamResponse, events: EventStream, context: Context) -> None:
    closed = asyncio.create_task(context.closing.wait())
    upcoming = asyncio.create_task(_next(events))
    try:
        while not closed.done():
            await asyncio.wait(
                {upcoming, closed}, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not upcoming.done():
                await _write(response, b": still here\n\n")
                continue
            event = upcoming.result()
            if event is None:
                return
            at_once = [event, *events.ready(_AT_ONCE - 1)]
            upcoming = asyncio.create_task(_next(events))
            await _write(response, b"".join(frame(*one) for one in at_once))
            if context.streams.taken >= _MANY:
                await asyncio.wait({closed}, timeout=_pause_s(context.streams.taken))
    finally:
        for task in (closed, upcoming):
            task.cancel()
        await asyncio.gather(closed, upcoming, return_exceptions=True)


def _pause_s(streams: int) -> float:
    """Not the same for all, or all would write at the same moment for ever."""
    return random.uniform(0.5, 1.5) * streams / _WRITES_PER_S  # noqa: S311 - guards nothing


async def _next(events: EventStream) -> tuple[str, bytes] | None:
    return await anext(events, None)


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(SEND_TIMEOUT_S):
        await response.write(data)
