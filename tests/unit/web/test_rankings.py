import asyncio
from dataclasses import replace
from typing import Any

import pytest

from stream_app.core.standing import standing_of
from stream_app.messages import rfc3339
from stream_app.parts import create_scheme
from stream_app.settings import load_settings
from tests.builders import NOON
from tests.fakes_web import Client, FakeQueries, finite, make_crowd, make_row, make_scheme, run_web


@pytest.fixture
def crowd() -> FakeQueries:
    queries = FakeQueries(make_crowd(120, make_scheme()))
    queries.draw_board()
    return queries


async def get_json(client: Client, path: str) -> Any:
    response = await client.get(path)
    assert response.status == 200, await response.text()
    assert response.content_type == "application/json"
    answer = await response.json()
    assert finite(answer)
    return answer


def test_the_ranking_is_ordered_positioned_from_1_and_as_of_the_boards_high_mark(
    crowd: FakeQueries,
) -> None:
    async def check(client: Client) -> None:
        answer = await get_json(client, "/api/v1/rankings")
        assert answer["as_of"] == rfc3339(NOON)
        assert answer["threshold_version"] == 1
        assert answer["population"] == 120
        items = answer["items"]
        assert [item["position"] for item in items] == list(range(1, 51))
        scores = [item["score"] for item in items]
        assert scores == sorted(scores, reverse=True)
        assert items[0]["percentile"] == 100.0
        for item in items:
            logs = sum(factor["contribution"] for factor in item["factors"])
            assert 2.718281828459045**logs == pytest.approx(item["score"], rel=1e-9)

    run_web(crowd, check)


def test_scores_are_brought_forward_to_the_high_mark() -> None:
    scheme = make_scheme()
    queries = FakeQueries([make_row("u1", scheme)])
    board = queries.draw_board()
    standing = standing_of(queries.rows["twitter:u1"], scheme)
    assert standing is not None

    async def check(client: Client) -> None:
        (item,) = (await get_json(client, "/api/v1/rankings"))["items"]
        assert board.high_mark is not None
        assert item["score"] == scheme.score_at(standing.z, board.high_mark)

    run_web(queries, check)


def test_tiers_come_with_lines_and_members_of_higher_tiers_included(crowd: FakeQueries) -> None:
    async def check(client: Client) -> None:
        kol, top = (await get_json(client, "/api/v1/rankings"))["tiers"]
        assert (kol["name"], kol["quantile"], kol["members"]) == ("kol", 0.9, 12)
        assert (top["name"], top["quantile"], top["members"]) == ("top", 0.99, 2)
        assert kol["leave"] < kol["enter"] < top["leave"] < top["enter"]
        lines = (await get_json(client, "/api/v1/threshold"))["tiers"]
        assert [line["enter"] for line in lines] == [kol["enter"], top["enter"]]

    run_web(crowd, check)


def test_pages_join_without_gap_and_end_where_the_ranking_ends(crowd: FakeQueries) -> None:
    async def check(client: Client) -> None:
        whole = (await get_json(client, "/api/v1/rankings?limit=500"))["items"]
        assert len(whole) == 120
        parts = []
        for offset in range(0, 150, 50):
            page = await get_json(client, f"/api/v1/rankings?limit=50&offset={offset}")
            parts.extend(page["items"])
        assert parts == whole
        assert (await get_json(client, "/api/v1/rankings?offset=999999999"))["items"] == []

    run_web(crowd, check)


def test_a_new_board_is_shown_at_once(crowd: FakeQueries) -> None:
    async def check(client: Client) -> None:
        before = await get_json(client, "/api/v1/rankings?limit=1")
        star = make_row("star", crowd.scheme, like_count=10**9, follower_count=10**9)
        crowd.rows[star.key] = star
        crowd.draw_board()
        after = await get_json(client, "/api/v1/rankings?limit=1")
        assert before["items"][0]["user"]["key"] != "twitter:star"
        assert after["items"][0]["user"]["key"] == "twitter:star"

    run_web(crowd, check)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=",
        "limit=abc",
        "limit=1.0",
        "limit=%2B5",
        "limit=%205",
        "limit=1_0",
        "limit=%D9%A3",
        "limit=99999999999999999999",
        "limit=5&limit=6",
        "offset=-1",
        "offset=x",
        "page=2",
        "Limit=5",
    ],
)
def test_a_bad_parameter_is_a_problem_that_names_it(crowd: FakeQueries, query: str) -> None:
    async def check(client: Client) -> None:
        from yarl import URL

        response = await client.get(URL(f"/api/v1/rankings?{query}", encoded=True))
        assert response.status == 400
        assert response.content_type == "application/problem+json"
        problem = await response.json()
        assert problem["status"] == 400
        assert repr(query.partition("=")[0]) in problem["detail"]

    run_web(crowd, check)


def test_before_there_is_a_board_answers_are_empty_not_errors() -> None:
    async def check(client: Client) -> None:
        rankings = await get_json(client, "/api/v1/rankings")
        assert rankings["as_of"] is None
        assert rankings["threshold_version"] is None
        assert rankings["population"] == 0
        assert rankings["items"] == []
        nothing = {"enter": None, "leave": None}
        assert rankings["tiers"] == [
            {"name": "kol", "quantile": 0.9, **nothing, "members": 0},
            {"name": "top", "quantile": 0.99, **nothing, "members": 0},
        ]
        threshold = await get_json(client, "/api/v1/threshold")
        assert threshold["version"] is None
        assert threshold["as_of"] is None
        assert threshold["cut"] == {}
        assert threshold["tiers"][0] == {
            "name": "kol",
            "quantile": 0.9,
            **nothing,
            "rank_error": None,
        }

    run_web(FakeQueries(), check)


def test_a_ranking_that_is_drawn_anew_is_not_shown_as_empty() -> None:
    queries = FakeQueries()
    queries.board_due = True

    async def check(client: Client) -> None:
        for path in ("/api/v1/rankings", "/api/v1/threshold"):
            response = await client.get(path)
            assert response.status == 503
            assert "formula" in (await response.json())["detail"]

    run_web(queries, check)


def test_a_worker_that_cannot_know_yet_does_not_say_that_nothing_was_scored() -> None:
    queries = FakeQueries()
    queries.reason = "reading the ranking"

    async def check(client: Client) -> None:
        for path in ("/api/v1/rankings", "/api/v1/threshold"):
            response = await client.get(path)
            assert response.status == 503
            assert response.headers["Retry-After"] == "1"
            assert "reading the ranking" in (await response.json())["detail"]
        queries.draw_board()  # what every worker knows is told while partitions move
        assert (await client.get("/api/v1/rankings")).status == 200

    run_web(queries, check)


@pytest.mark.parametrize(("counted", "shown"), [((7,), [7, 0]), ((7, 3, 1), [7, 3]), ((), [0, 0])])
def test_tiers_that_just_changed_show_what_was_counted_of_them(
    crowd: FakeQueries, counted: tuple[int, ...], shown: list[int]
) -> None:
    crowd.shown = replace(crowd.draw_board(), members=counted)

    async def check(client: Client) -> None:
        tiers = (await get_json(client, "/api/v1/rankings"))["tiers"]
        assert [tier["members"] for tier in tiers] == shown

    run_web(crowd, check)


def test_too_few_users_for_a_line_give_nulls_and_a_ranking_all_the_same() -> None:
    queries = FakeQueries(make_crowd(9, make_scheme()))
    queries.draw_board()

    async def check(client: Client) -> None:
        rankings = await get_json(client, "/api/v1/rankings")
        assert rankings["population"] == 9
        assert len(rankings["items"]) == 9
        assert [tier["enter"] for tier in rankings["tiers"]] == [None, None]
        threshold = await get_json(client, "/api/v1/threshold")
        assert threshold["version"] == 1
        assert threshold["tiers"][0]["rank_error"] is None

    run_web(queries, check)


def test_the_threshold_names_the_events_it_reflects(crowd: FakeQueries) -> None:
    async def check(client: Client) -> None:
        answer = await get_json(client, "/api/v1/threshold")
        assert answer["cut"] == {"posts": {"0": 120}}
        assert 0 < answer["tiers"][0]["rank_error"] < 0.05

    run_web(crowd, check)


def test_scoring_says_what_is_in_force() -> None:
    async def check(client: Client) -> None:
        answer = await get_json(client, "/api/v1/scoring")
        assert answer["preset"] == "influence"
        assert answer["half_life_s"] == 30 * 86_400
        assert answer["active_window_s"] == 90 * 86_400
        assert answer["min_population"] == 10
        assert answer["weights"]["follow"] == 2.0
        assert [tier["name"] for tier in answer["tiers"]] == ["kol", "top"]
        assert answer["neutral_reach"] > 0

    run_web(FakeQueries(), check)


def test_scoring_of_a_system_where_nobody_expires() -> None:
    async def check(client: Client) -> None:
        answer = await get_json(client, "/api/v1/scoring")
        assert answer["active_window_s"] is None

    run_web(FakeQueries(scheme=make_scheme(active_window_ms=None)), check)


def test_scoring_of_the_article_shows_what_it_forces() -> None:
    async def check(client: Client) -> None:
        answer = await get_json(client, "/api/v1/scoring")
        assert answer["preset"] == "article"
        assert answer["exponents"] == {"reach": 1.0, "text": 1.0}
        assert (answer["leave_margin"], answer["active_window_s"]) == (0.0, None)
        assert answer["neutral_reach"] == 0

    settings = load_settings(preset="article", leave_margin=0.05, active_window="5d")
    run_web(FakeQueries(scheme=create_scheme(settings)), check)


def test_scores_of_zero_stay_numbers() -> None:
    scheme = make_scheme(preset="article", exponents={"reach": 1.0, "text": 1.0})
    queries = FakeQueries([make_row(f"u{n}", scheme) for n in range(12)], scheme)
    queries.draw_board()

    async def check(client: Client) -> None:
        for item in (await get_json(client, "/api/v1/rankings"))["items"]:
            assert item["score"] == 0.0
            assert [factor["contribution"] for factor in item["factors"]] == [None, None]
        kols = await get_json(client, "/api/v1/kols?limit=5")
        assert [item["score"] for item in kols["items"]] == [0.0] * 5
        rest = await get_json(client, f"/api/v1/kols?limit=500&cursor={kols['next']}")
        assert len(rest["items"]) == 7

    run_web(queries, check)


def test_answers_do_not_wait_for_each_other(crowd: FakeQueries) -> None:
    async def check(client: Client) -> None:
        paths = ["/api/v1/rankings?limit=500", "/api/v1/threshold", "/healthz"] * 5
        replies = await asyncio.gather(*(client.get(path) for path in paths))
        assert {reply.status for reply in replies} == {200}

    run_web(crowd, check)
