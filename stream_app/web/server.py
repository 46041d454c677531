"""The web application of a worker, out of its parts. Knows aiohttp and the core, not Kafka."""

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from stream_app.web import openapi
from stream_app.web.auth import token_middleware
from stream_app.web.broken_requests import answer_broken_requests
from stream_app.web.connections import OTHER_CONNECTIONS
from stream_app.web.context import CONTEXT, Context, Places
from stream_app.web.dashboard import DOCUMENTS, Documents, content_policy, read_page
from stream_app.web.peers import open_peers
from stream_app.web.problems import add_headers, no_body_middleware, problem_middleware
from stream_app.web.queries import Queries
from stream_app.web.routes import ROUTES, add_routes


def create_web_app(
    queries: Queries, *, token: str | None, base_url: str, most_streams: int = 2_000
) -> web.Application:
    """The application; it answers once its runner has started it.

    Args:
        queries: The worker it shows.
        token: Bearer token that everything but health and the bare page then needs.
        base_url: Where other workers reach this one, `http://host:port`: asked for a user of that
            address it answers itself.
        most_streams: Streams of events that may be open at once.

    Raises:
        ValueError: The token is empty: it would let nobody in or everybody.
    """
    if token == "":
        msg = "the web token must not be empty"
        raise ValueError(msg)
    middlewares: list[Middleware] = [problem_middleware, no_body_middleware]
    if token is not None:
        public = frozenset(route.path for route in ROUTES if route.public)
        middlewares.append(token_middleware(token, public))
    app = web.Application(middlewares=middlewares)
    app[CONTEXT] = Context(queries, base_url.rstrip("/"), streams=Places(most_streams))
    app[DOCUMENTS] = _documents(token_needed=token is not None)
    add_routes(app, ROUTES)
    app.cleanup_ctx.append(open_peers(token))
    app.on_shutdown.append(_end_streams)
    app.on_response_prepare.append(_add_headers)
    answer_broken_requests(app, most_streams + OTHER_CONNECTIONS)
    return app


def _documents(*, token_needed: bool) -> Documents:
    page = read_page()
    description = openapi.describe(ROUTES, token_needed=token_needed)
    return Documents(page, content_policy(page), msgspec.json.encode(description))


async def _end_streams(app: web.Application) -> None:
    app[CONTEXT].closing.set()


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    add_headers(response)
