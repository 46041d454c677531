"""One user: answered here if she is ours, else by asking the worker that owns her."""

from aiohttp import web

from stream_app.web import views
from stream_app.web.context import CONTEXT, json_response, queries_of, require_ready, shown_time
from stream_app.web.peers import PEERS, NotOwnerError
from stream_app.web.problems import ProblemError, unavailable
from stream_app.web.queries import Queries

#: Once by what we believe, and once more after the owner believed said no.
ATTEMPTS = 2


async def get_user(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    key = request.match_info["key"]
    for _ in range(ATTEMPTS):
        owner = _owner_url(context.queries, key)
        # Asked by its own address it would only ask itself again.
        if owner is None or owner.rstrip("/") == context.base_url:
            return _own_user(context.queries, key)
        try:
            body = await request.app[PEERS].user(owner, key)
        except NotOwnerError:
            continue
        return web.Response(body=body, content_type="application/json")
    raise unavailable("this user's partition is just moving to another worker")


async def get_own_user(request: web.Request) -> web.Response:
    """For other workers: never asks on, 421 for a user of someone else."""
    queries, key = queries_of(request), request.match_info["key"]
    if _owner_url(queries, key) is not None:
        raise ProblemError(421, "this user belongs to another worker")
    return _own_user(queries, key)


def _owner_url(queries: Queries, key: str) -> str | None:
    try:
        return queries.owner_url(key)
    except LookupError as error:
        raise unavailable("it is not known yet which worker owns this user") from error


def _own_user(queries: Queries, key: str) -> web.Response:
    require_ready(queries)
    try:
        found = queries.user_row(key)
    except LookupError as error:
        # Not a 404: she may well exist, elsewhere or here in a moment.
        raise unavailable(
            "this user's partition is at no worker that can be told; if it stays so, workers share "
            "an address: give each its own KOL_WEB_ADVERTISE"
        ) from error
    if found is None:
        raise ProblemError(404, "no such user is known")
    row, counted = found
    board = queries.board()
    as_of = shown_time(queries, board)
    return json_response(
        views.user(row, counted=counted, as_of=as_of, board=board, scheme=queries.scheme)
    )
