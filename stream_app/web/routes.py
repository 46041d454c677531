"""Every address, once: what it takes and what it answers. OpenAPI is made of this table."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec
from aiohttp import web

from stream_app.messages import KolEvent
from stream_app.web import answers, dashboard, health, kols, parameters, rankings, sse, users
from stream_app.web.parameters import Parameter, refuse_unknown

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]

JSON = "application/json"
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, kw_only=True)
class Route:
    """One address. `answer` None: no JSON, `media_type` says what."""

    path: str
    respond: Respond
    summary: str
    description: str = ""
    takes: tuple[Parameter, ...] = ()
    answer: type[msgspec.Struct] | None = None
    media_type: str = JSON
    #: statuses of the errors it may answer beside 400, 401 and 500
    errors: tuple[int, ...] = ()
    public: bool = False
    #: for other workers, described in no API
    internal: bool = False


ROUTES = (
    Route(
        path="/",
        respond=dashboard.get_dashboard,
        summary="The dashboard",
        description="One page without outside addresses. It holds no figures; it asks for a token.",
        media_type="text/html",
        public=True,
    ),
    Route(
        path="/api/v1/rankings",
        respond=rankings.get_rankings,
        summary="The ranking of the whole system",
        description="The first KOL_RANKING_SIZE users by score, the same on every worker; ties "
        "stand in the order of the user key (UTF-8 bytes). Before anything was scored `as_of` is "
        "null and `items` is empty.",
        takes=(parameters.LIMIT, parameters.OFFSET),
        answer=answers.Rankings,
        errors=(503,),
    ),
    Route(
        path="/api/v1/users/{key}",
        respond=users.get_user,
        summary="One user: score, reasons, counts, recent posts",
        description="Answered by whichever worker is asked. 503 while her partition moves.",
        takes=(parameters.KEY,),
        answer=answers.User,
        errors=(404, 502, 503),
    ),
    Route(
        path="/api/v1/threshold",
        respond=rankings.get_threshold,
        summary="The lines in force",
        description="With the rank error of each and the events they were drawn from; values are "
        "null while there are too few users for a line.",
        answer=answers.Threshold,
        errors=(503,),
    ),
    Route(
        path="/api/v1/kols",
        respond=kols.get_kols,
        summary="Everybody in a tier or a higher one",
        description="Gathered from all workers, best first, in pages. Users whose score moves "
        "between two pages may be missed or come twice.",
        takes=(parameters.TIER, parameters.LIMIT, parameters.CURSOR),
        answer=answers.Members,
        errors=(404, 502, 503),
    ),
    Route(
        path="/api/v1/scoring",
        respond=rankings.get_scoring,
        summary="What a score means here",
        description="Preset, exponents, weights and tiers in force.",
        answer=answers.Scoring,
    ),
    Route(
        path="/api/v1/events",
        respond=sse.get_events,
        summary="Promotions and demotions as they happen",
        description="Server-sent events of the whole system: `event` is promoted or demoted, `id` "
        "the event_id, `data` the JSON of the schema KolEvent. From now on, or behind the event "
        "named by Last-Event-ID: nothing is left out, and what comes again carries the same id. "
        "A comment every 15 s keeps the line open.",
        takes=(parameters.LAST_EVENT_ID_HEADER, parameters.LAST_EVENT_ID),
        answer=KolEvent,
        media_type=EVENT_STREAM,
        errors=(503,),
    ),
    Route(
        path="/api/v1/openapi.json",
        respond=dashboard.get_openapi,
        summary="This description",
        description="OpenAPI 3.1.",
    ),
    Route(
        path="/healthz",
        respond=health.get_healthz,
        summary="Whether the process is alive",
        description="Needs no token.",
        answer=answers.Status,
        public=True,
    ),
    Route(
        path="/readyz",
        respond=health.get_readyz,
        summary="Whether the worker is ready",
        description="Recovered, partitions assigned, not rebalancing; else 503 with the reason. "
        "Needs no token.",
        answer=answers.Status,
        errors=(503,),
        public=True,
    ),
    Route(
        path="/metrics",
        respond=health.get_metrics,
        summary="Figures for Prometheus",
        description="Text format 0.0.4; the metrics are listed in docs/api.md.",
        media_type="text/plain",
    ),
    Route(
        path="/internal/v1/users/{key}",
        respond=users.get_own_user,
        summary="A user of this worker",
        takes=(parameters.KEY,),
        internal=True,
    ),
    Route(
        path="/internal/v1/members",
        respond=kols.get_own_members,
        summary="Members of a tier on this worker",
        takes=(parameters.TIER, parameters.PEER_LIMIT, parameters.CURSOR),
        internal=True,
    ),
)


def add_routes(app: web.Application, routes: Sequence[Route]) -> None:
    """Let the application answer the routes, to GET and HEAD."""
    for route in routes:
        # A key may hold any character, a slash or a brace too.
        path = route.path.replace("{key}", "{key:.+}")
        app.router.add_get(path, _strict(route) if "/v1/" in path else route.respond)


def _strict(route: Route) -> Respond:
    async def respond(request: web.Request) -> web.StreamResponse:
        refuse_unknown(request, route.takes)
        return await route.respond(request)

    return respond
