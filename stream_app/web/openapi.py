"""The OpenAPI 3.1 description, made of the table of routes and the shapes of the answers."""

from collections.abc import Sequence
from typing import Any

import msgspec

import stream_app
from stream_app.web.answers import Problem
from stream_app.web.parameters import Parameter
from stream_app.web.problems import PROBLEM_TYPE
from stream_app.web.routes import EVENT_STREAM, JSON, Route

_SCHEMAS = "#/components/schemas/{name}"
_ERRORS = {
    400: "A parameter is unknown, malformed or out of range",
    401: "The bearer token is missing or wrong",
    404: "There is no such thing",
    500: "A mistake of the program; the worker's log has it",
    502: "Another worker gave no usable answer",
    503: "Not at the moment; Retry-After says when to ask again",
}


def describe(routes: Sequence[Route], *, token_needed: bool) -> dict[str, Any]:
    """The description as a JSON object; internal routes are left out."""
    shown = [route for route in routes if not route.internal]
    types = [Problem, *(route.answer for route in shown if route.answer is not None)]
    _, schemas = msgspec.json.schema_components(types, ref_template=_SCHEMAS)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "kol-stream",
            "version": stream_app.__version__,
            "description": "Who is a key opinion leader, why, and where the line is. Every worker "
            "answers for the whole system. Times are RFC 3339 in UTC; scores are as of `as_of`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            route.path: {"get": _operation(route, token_needed=token_needed)} for route in shown
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "KOL_WEB_TOKEN"}
            },
        },
    }
    if token_needed:
        document["security"] = [{"token": []}]
    return document


def _operation(route: Route, *, token_needed: bool) -> dict[str, Any]:
    # The path is given the name of what it leads to: /api/v1/users/{key} -> get_users.
    words = [word for word in route.path.split("/") if word and "{" not in word]
    name = words[-1].partition(".")[0] if words else "dashboard"
    errors = {*route.errors, 500}
    errors |= set() if route.public else {401}
    errors |= {400} if route.path.startswith("/api/") else set()
    if not token_needed:
        errors.discard(401)
    operation: dict[str, Any] = {
        "operationId": f"get_{name}",
        "summary": route.summary,
        "description": route.description,
        "responses": {"200": _answer(route)}
        | {str(status): _error(status) for status in sorted(errors)},
    }
    if route.takes:
        operation["parameters"] = [_parameter(parameter) for parameter in route.takes]
    if route.public and token_needed:
        operation["security"] = []
    return operation


def _answer(route: Route) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object" if route.media_type == JSON else "string"}
    if route.answer is not None:
        schema = {"$ref": _SCHEMAS.format(name=route.answer.__name__)}
    if route.media_type == EVENT_STREAM:
        schema = _each_event(schema)
    return {"description": route.summary, "content": {route.media_type: {"schema": schema}}}


def _each_event(data: dict[str, Any]) -> dict[str, Any]:
    """The schema of one event of a stream, as OpenAPI 3.2 writes it."""
    return {
        "type": "object",
        "description": "each event of the stream",
        "properties": {
            "event": {"type": "string", "enum": ["promoted", "demoted"]},
            "id": {"type": "string", "description": "event_id"},
            "data": {
                "type": "string",
                "contentMediaType": JSON,
                "contentSchema": data,
            },
        },
        "required": ["event", "id", "data"],
    }


def _error(status: int) -> dict[str, Any]:
    reference = {"$ref": _SCHEMAS.format(name="Problem")}
    return {
        "description": _ERRORS[status],
        "content": {PROBLEM_TYPE: {"schema": reference}},
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.description,
        "schema": parameter.schema(),
    }
