"""The ranking, the line and what scores mean: answered from the board that every worker holds."""

from aiohttp import web

from stream_app.core.ranking import Board
from stream_app.web import views
from stream_app.web.answers import Rankings
from stream_app.web.context import CONTEXT, json_response, queries_of, require_ready
from stream_app.web.parameters import LIMIT, OFFSET
from stream_app.web.problems import unavailable
from stream_app.web.queries import Queries


async def get_rankings(request: web.Request) -> web.Response:
    limit, offset = LIMIT.number(request), OFFSET.number(request)
    context = request.app[CONTEXT]
    scheme, board = context.queries.scheme, _board(context.queries)
    tiers = views.ranked_tiers(board, scheme)
    if board is None:
        empty = Rankings(as_of=None, threshold_version=None, population=0, tiers=tiers, items=[])
        return json_response(empty)
    return json_response(
        Rankings(
            as_of=views.time_text(board.high_mark),
            threshold_version=board.line.version,
            population=board.line.population,
            tiers=tiers,
            items=context.ranking.page(board, scheme, offset, limit),
        )
    )


async def get_threshold(request: web.Request) -> web.Response:
    queries = queries_of(request)
    return json_response(views.threshold(_board(queries), queries.scheme))


async def get_scoring(request: web.Request) -> web.Response:
    return json_response(views.scoring(queries_of(request).scheme))


def _board(queries: Queries) -> Board | None:
    """The board; None where nothing was scored, 503 where that cannot be known yet."""
    board = queries.board()
    if board is None:
        require_ready(queries)
        if queries.is_board_due():
            raise unavailable("the formula has changed; the new ranking is being drawn")
    return board
