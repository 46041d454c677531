"""Everybody in a tier, page by page, gathered from all workers."""

from collections.abc import Iterable

from aiohttp import web

from stream_app.core.ranking import merge_top
from stream_app.core.standing import Standing
from stream_app.web import views
from stream_app.web.answers import Members
from stream_app.web.context import CONTEXT, json_response, queries_of, require_ready, shown_time
from stream_app.web.cursor import decode_cursor, encode_cursor
from stream_app.web.parameters import CURSOR, LIMIT, PEER_LIMIT, TIER
from stream_app.web.peers import PEERS, OwnMembers, encode_members
from stream_app.web.problems import ProblemError, unavailable


async def get_kols(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    queries = context.queries
    limit, tier = LIMIT.number(request), _tier(request)
    # One more than asked for tells whether there is a next page.
    own = _own_members(request, tier, limit + 1)
    query = {"tier": tier, "limit": str(limit + 1)}
    cursor = CURSOR.read(request)
    others = await request.app[PEERS].members(
        [url for url in queries.peers() if url.rstrip("/") != context.base_url],
        query if cursor is None else query | {"cursor": cursor},
    )
    parts = (*others, own)
    _require_all(parts, queries.partition_count)
    # While a partition moves two workers may both name its users.
    unique = {standing.key: standing for part in parts for standing in part.members}
    ranked = merge_top([list(unique.values())], limit + 1)
    return json_response(_page(request, ranked, limit))


async def get_own_members(request: web.Request) -> web.Response:
    """For other workers: this one's members alone, as msgpack."""
    members = _own_members(request, _tier(request), PEER_LIMIT.number(request))
    return web.Response(body=encode_members(members), content_type="application/msgpack")


def _require_all(parts: Iterable[OwnMembers], partition_count: int) -> None:
    """503 where nobody has looked through some partition: a part is not given for the whole."""
    seen = {number for part in parts for number in part.partitions}
    missing = partition_count - len(seen)
    if missing:
        raise unavailable(
            f"{missing} of {partition_count} partitions are at no worker that can be told; if it "
            "stays so, workers share an address: give each its own KOL_WEB_ADVERTISE"
        )


def _page(request: web.Request, ranked: list[Standing], limit: int) -> Members:
    queries = queries_of(request)
    board = queries.board()
    as_of = shown_time(queries, board)
    shown = ranked[:limit] if as_of is not None else []
    following = None
    if len(ranked) > len(shown) > 0:
        following = encode_cursor(shown[-1].z, shown[-1].key)
    return Members(
        as_of=views.time_text(as_of),
        items=[views.member(standing, as_of or 0, board, queries.scheme) for standing in shown],
        next=following,
    )


def _own_members(request: web.Request, tier: str, limit: int) -> OwnMembers:
    queries = queries_of(request)
    after = _place(CURSOR.read(request))
    require_ready(queries)
    members = queries.members(queries.scheme.level_of(tier), after, limit)
    return OwnMembers(queries.owned(), members)


def _tier(request: web.Request) -> str:
    names = queries_of(request).scheme.names
    given = TIER.read(request)
    if given is None and names:
        return names[0]
    if given not in names:
        raise ProblemError(404, f"there is no such tier; there are: {', '.join(names) or 'none'}")
    return given


def _place(cursor: str | None) -> tuple[float, str] | None:
    if cursor is None:
        return None
    try:
        return decode_cursor(cursor)
    except ValueError as error:
        raise ProblemError(400, f"parameter 'cursor': {error}") from error
