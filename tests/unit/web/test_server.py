import pytest

from stream_app.core.ranking import Board
from stream_app.web.routes import ROUTES
from stream_app.web.server import create_web_app
from tests.fakes_web import SESAME, Client, FakeQueries, make_crowd, make_scheme, run_web

PROTECTED = [
    "/api/v1/rankings",
    "/api/v1/users/twitter:u1",
    "/api/v1/threshold",
    "/api/v1/kols",
    "/api/v1/scoring",
    "/api/v1/events",
    "/api/v1/openapi.json",
    "/metrics",
    "/internal/v1/users/twitter:u1",
    "/internal/v1/members",
    "/nowhere",
    "/healthz/",
]
PUBLIC = ["/", "/healthz", "/readyz"]


def crowd() -> FakeQueries:
    queries = FakeQueries(make_crowd(30, make_scheme()))
    queries.draw_board()
    return queries


def test_every_address_is_either_protected_or_meant_to_be_public() -> None:
    known = {path.replace("twitter:u1", "{key}") for path in (*PROTECTED, *PUBLIC)}
    assert {route.path for route in ROUTES} <= known
    assert {route.path for route in ROUTES if route.public} == set(PUBLIC)


@pytest.mark.parametrize("path", PROTECTED)
def test_without_the_token_nothing_is_told(path: str) -> None:
    async def check(client: Client) -> None:
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Bearer "},
            {"Authorization": f"Bearer {SESAME}s"},
            {"Authorization": f"Basic {SESAME}"},
            {"Authorization": SESAME},
            {"Authorization": "Bearer s\u00e9same"},
        ):
            response = await client.get(path, headers=headers)
            assert response.status == 401
            assert response.headers["WWW-Authenticate"].startswith('Bearer realm="kol-stream"')
            assert response.content_type == "application/problem+json"
            assert SESAME not in await response.text()

    run_web(crowd(), check, token=SESAME)


def test_with_the_token_all_is_answered() -> None:
    odd = f"{SESAME} s\u00e9same \u2713"

    async def check(client: Client) -> None:
        for authorization in (f"Bearer {odd}", f"bearer  {odd}"):
            response = await client.get(
                "/api/v1/rankings", headers={"Authorization": authorization}
            )
            assert response.status == 200

    run_web(crowd(), check, token=odd)


@pytest.mark.parametrize("path", PUBLIC)
def test_health_and_the_bare_page_need_no_token(path: str) -> None:
    async def check(client: Client) -> None:
        assert (await client.get(path)).status == 200

    run_web(crowd(), check, token=SESAME)


def test_an_empty_token_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        create_web_app(FakeQueries(), token="", base_url="http://127.0.0.1:1")


def test_unknown_addresses_and_methods_are_problems() -> None:
    async def check(client: Client) -> None:
        for path in ("/nowhere", "/api/v1", "/api/v1/users/", "/internal", "/api/v2/rankings"):
            response = await client.get(path)
            assert response.status == 404
            assert (await response.json())["title"] == "Not Found"
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            response = await client.request(method, "/api/v1/rankings")
            assert response.status == 405
            assert response.content_type == "application/problem+json"
            assert response.headers["Allow"] == "GET,HEAD"
            problem = await response.json()
            assert problem["type"] == "about:blank"
            assert problem["status"] == 405

    run_web(FakeQueries(), check)


def test_head_answers_like_get_without_a_body() -> None:
    async def check(client: Client) -> None:
        for route in ROUTES:
            if route.path.endswith("/events"):
                continue
            path = route.path.replace("{key}", "twitter:u1")
            get, head = await client.get(path), await client.head(path)
            assert head.status == get.status == 200, path
            assert head.content_type == get.content_type
            assert await head.read() == b""

    run_web(crowd(), check)


def test_a_mistake_of_ours_is_logged_and_told_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(FakeQueries):
        def board(self) -> Board | None:
            raise RuntimeError("the inside shows")

    async def check(client: Client) -> None:
        response = await client.get("/api/v1/rankings")
        assert response.status == 500
        assert response.content_type == "application/problem+json"
        assert "inside" not in await response.text()
        assert "the inside shows" in caplog.text

    run_web(Broken(), check)


def test_ready_and_alive_are_told_apart() -> None:
    queries = FakeQueries()

    async def check(client: Client) -> None:
        assert (await client.get("/readyz")).status == 200
        queries.reason = "the broker is out of reach"
        response = await client.get("/readyz")
        assert response.status == 503
        assert "the broker is out of reach" in (await response.json())["detail"]
        assert (await client.get("/healthz")).status == 200

    run_web(queries, check)


def test_answers_are_never_cached_nor_sniffed_nor_name_the_software() -> None:
    async def check(client: Client) -> None:
        for path in ("/", "/api/v1/rankings", "/nowhere"):
            headers = (await client.get(path)).headers
            assert headers["Cache-Control"] == "no-store"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Server"] == "kol-stream"

    run_web(FakeQueries(), check)
