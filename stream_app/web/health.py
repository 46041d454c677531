"""For supervisors and Prometheus: alive, ready, figures."""

from aiohttp import web

from stream_app.web.answers import Status
from stream_app.web.context import json_response, queries_of, require_ready


async def get_healthz(_request: web.Request) -> web.Response:
    return json_response(Status(status="alive"))


async def get_readyz(request: web.Request) -> web.Response:
    require_ready(queries_of(request))
    return json_response(Status(status="ready"))


async def get_metrics(request: web.Request) -> web.Response:
    # aiohttp's content_type argument takes no parameters like the format's version.
    kind = "text/plain; version=0.0.4; charset=utf-8"
    return web.Response(body=queries_of(request).metrics(), headers={"Content-Type": kind})
