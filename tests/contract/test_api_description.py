"""The OpenAPI description against the running server: every address, with good and bad questions.

The requests are made up by schemathesis from the description alone; it then compares status,
headers and body of each answer with what the description promises.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import requests
import schemathesis
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema

from stream_app.web.openapi import describe
from stream_app.web.queries import EventStream
from stream_app.web.routes import ROUTES
from stream_app.web.server import create_web_app
from tests.builders import make_event
from tests.fakes_web import SESAME, EndingEvents, FakeQueries, make_crowd, make_scheme

#: Without a gap, since schemathesis writes headers as they are.
TOKEN = SESAME.replace(" ", "-")
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}
EXAMPLES = 30
TIMEOUT_S = 30.0


class Brief(FakeQueries):
    """A worker whose stream of events ends, so that its answer can be read to the end."""

    def events(self, last_event_id: str | None) -> EventStream:
        return EndingEvents(self, "0")


class Server:
    """A worker's web application on a thread of its own."""

    def __init__(self, queries: FakeQueries) -> None:
        self._queries = queries
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self.url = ""

    def __enter__(self) -> Server:
        self._thread.start()
        assert self._ready.wait(TIMEOUT_S)
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(TIMEOUT_S)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        app = create_web_app(self._queries, token=TOKEN, base_url="http://127.0.0.1:1")
        async with TestServer(app) as server:
            self.url = str(server.make_url("/")).rstrip("/")
            self._ready.set()
            await self._end.wait()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    queries = Brief(make_crowd(150, make_scheme()))
    queries.draw_board()
    queries.publish(make_event())
    with Server(queries) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: Server) -> BaseSchema:
    return schemathesis.openapi.from_url(
        f"{server.url}/api/v1/openapi.json", headers=WITH_TOKEN, timeout=TIMEOUT_S
    )


@pytest.fixture(scope="module")
def cursor(server: Server) -> str:
    """`next` of a page of members."""
    page = requests.get(
        f"{server.url}/api/v1/kols?limit=2", headers=WITH_TOKEN, timeout=TIMEOUT_S
    ).json()
    return str(page["next"])


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("path", [route.path for route in ROUTES if not route.internal])
def test_the_server_does_what_its_description_says(
    api: BaseSchema, cursor: str, path: str, mode: GenerationMode
) -> None:
    operation = api[path]["GET"]
    if mode.is_negative and not any(operation.iter_parameters()):
        return  # nothing that could be wrong about it

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        if mode.is_positive and "cursor" in case.query:
            case.query["cursor"] = cursor  # that it is one of ours no schema can say
        case.call_and_validate(headers=WITH_TOKEN, timeout=TIMEOUT_S)

    ask()


@pytest.mark.parametrize("token_needed", [False, True])
def test_an_independent_validator_takes_it_for_openapi_3_1(token_needed: bool) -> None:
    document = msgspec.json.decode(msgspec.json.encode(describe(ROUTES, token_needed=token_needed)))
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_address_but_internal_ones_is_in_the_description_of_the_running_server(
    api: BaseSchema,
) -> None:
    assert set(api.raw_schema["paths"]) == {route.path for route in ROUTES if not route.internal}
