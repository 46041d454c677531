from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from stream_app.web.openapi import describe
from stream_app.web.routes import ROUTES
from tests.builders import make_event
from tests.fakes_web import Client, FakeQueries, make_crowd, make_row, make_scheme, run_web

DOCS = Path(__file__).parents[3] / "docs" / "api.md"


def closed(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The schema of an answer, refusing fields that it does not name."""
    schemas = {
        key: schema | {"additionalProperties": False} if "properties" in schema else schema
        for key, schema in document["components"]["schemas"].items()
    }
    return {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}


def check_against(schema: dict[str, Any], answer: object) -> None:
    jsonschema.Draft202012Validator(schema).validate(answer)


def test_every_address_has_a_summary_a_description_and_described_parameters() -> None:
    for route in ROUTES:
        assert route.summary, route.path
        assert route.internal or route.description, route.path
        for parameter in route.takes:
            assert parameter.description
        named = {parameter.name for parameter in route.takes if parameter.place == "path"}
        assert named == ({"key"} if "{key}" in route.path else set())


def test_the_description_lists_all_addresses_but_internal_ones() -> None:
    document = describe(ROUTES, token_needed=False)
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {route.path for route in ROUTES if not route.internal}
    names = [path["get"]["operationId"] for path in document["paths"].values()]
    assert len(names) == len(set(names))
    assert "security" not in document


def test_with_a_token_the_description_says_who_needs_it() -> None:
    document = describe(ROUTES, token_needed=True)
    assert document["security"] == [{"token": []}]
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert "401" in document["paths"]["/api/v1/rankings"]["get"]["responses"]
    assert "401" not in document["paths"]["/healthz"]["get"]["responses"]


def test_every_schema_is_valid_and_every_reference_leads_somewhere() -> None:
    document = describe(ROUTES, token_needed=True)
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)

    def follow(value: object) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                name = value["$ref"].removeprefix("#/components/schemas/")
                assert name in document["components"]["schemas"]
            for part in value.values():
                follow(part)
        elif isinstance(value, list):
            for part in value:
                follow(part)

    follow(document)


@pytest.mark.parametrize("users", [0, 5, 120])
def test_answers_are_what_the_description_says(users: int) -> None:
    scheme = make_scheme()
    rows = make_crowd(users, scheme)
    queries = FakeQueries([*rows, make_row("u1", scheme)] if users else [])
    if users:
        queries.draw_board()

    async def check(client: Client) -> None:
        document = await (await client.get("/api/v1/openapi.json")).json()
        for path, methods in document["paths"].items():
            content = methods["get"]["responses"]["200"]["content"]
            if "application/json" not in content or path.endswith("openapi.json"):
                continue
            response = await client.get(path.replace("{key}", "twitter:u1"))
            answer = await response.json()
            if response.status == 200:
                name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
                check_against(closed(document, name), answer)
                required = document["components"]["schemas"][name]["properties"]
                assert set(answer) == set(required)
            else:
                assert str(response.status) in methods["get"]["responses"]
                check_against(closed(document, "Problem"), answer)

    run_web(queries, check)


def test_events_are_described_as_they_travel() -> None:
    document = describe(ROUTES, token_needed=False)
    event = msgspec.json.decode(msgspec.json.encode(make_event()))
    check_against(closed(document, "KolEvent"), event)


def test_the_guide_names_every_address_and_parameter() -> None:
    guide = DOCS.read_text("utf-8")
    for route in ROUTES:
        if route.internal:
            continue
        assert f"`GET {route.path}`" in guide, route.path
        for parameter in route.takes:
            assert parameter.name in guide
