import asyncio
import math
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.ranking import Board
from stream_app.core.row import UserRow
from stream_app.web.cursor import decode_cursor, encode_cursor
from stream_app.web.server import create_web_app
from tests.builders import NOON
from tests.fakes_web import (
    SESAME,
    Client,
    FakeQueries,
    make_board,
    make_crowd,
    make_scheme,
    run_web,
)


async def pages(client: Client, query: str) -> list[Any]:
    """All items of all pages."""
    items: list[Any] = []
    cursor = ""
    while True:
        response = await client.get(f"/api/v1/kols?{query}{cursor}")
        assert response.status == 200, await response.text()
        page = await response.json()
        items += page["items"]
        if page["next"] is None:
            return items
        cursor = f"&cursor={page['next']}"


def test_all_members_of_a_tier_or_a_higher_one_come_page_by_page() -> None:
    queries = FakeQueries(make_crowd(200, make_scheme()))
    queries.draw_board()

    async def check(client: Client) -> None:
        whole = await pages(client, "limit=500")
        assert len(whole) == 20
        assert {item["tier"] for item in whole} == {"kol", "top"}
        scores = [item["score"] for item in whole]
        assert scores == sorted(scores, reverse=True)
        for limit in (1, 7, 19, 20, 21):
            assert await pages(client, f"limit={limit}") == whole
        assert await pages(client, "tier=kol") == whole
        top = await pages(client, "tier=top&limit=1")
        assert top == [item for item in whole if item["tier"] == "top"]

    run_web(queries, check)


def test_ties_stand_in_the_order_of_the_keys_bytes_across_pages() -> None:
    scheme = make_scheme(tiers=make_scheme().tiers[:1])
    rows = make_crowd(1, scheme) * 0
    for name in ("a", "B", "ä", "日", "👩", "z"):
        rows += make_crowd(2, scheme, prefix=name)[:1]
    queries = FakeQueries(rows, scheme)
    for row in rows:
        row.tier = "kol"

    async def check(client: Client) -> None:
        ids = [item["user"]["user_id"] for item in await pages(client, "limit=2")]
        assert ids == sorted(ids, key=str.encode)
        assert len(ids) == 6

    run_web(queries, check)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("tier=nope", 404),
        ("tier=", 404),
        ("limit=501", 400),
        ("cursor=", 400),
        ("cursor=abc", 400),
        ("cursor=%C3%A9", 400),
        ("cursor=kstAAAAAAAAAAA", 400),
        ("offset=1", 400),
    ],
)
def test_bad_questions_are_problems(query: str, status: int) -> None:
    async def check(client: Client) -> None:
        response = await client.get(f"/api/v1/kols?{query}")
        assert response.status == status
        assert response.content_type == "application/problem+json"

    run_web(FakeQueries(), check)


def test_nobody_is_a_member_before_there_is_a_line() -> None:
    async def check(client: Client) -> None:
        answer = await (await client.get("/api/v1/kols")).json()
        assert answer == {"as_of": None, "items": [], "next": None}

    run_web(FakeQueries(), check)


@given(z=st.floats(allow_nan=False), key=st.text())
def test_a_cursor_decodes_to_what_was_encoded(z: float, key: str) -> None:
    assert decode_cursor(encode_cursor(z, key)) == (z, key)


@given(st.text())
def test_any_other_text_is_refused_or_another_place(text: str) -> None:
    try:
        z, key = decode_cursor(text)
    except ValueError:
        return
    assert not math.isnan(z)
    assert isinstance(key, str)


# -- more than one worker -------------------------------------------------------------------------


def split(rows: list[UserRow], workers: int) -> tuple[list[FakeQueries], Board]:
    scheme = make_scheme()
    board = make_board(rows, scheme)
    parts = [FakeQueries(rows[index::workers], scheme) for index in range(workers)]
    for number, part in enumerate(parts):
        part.shown = board
        part.partition_count, part.numbers = workers, [number]
    return parts, board


def test_members_of_all_workers_are_merged_in_order_and_each_comes_once() -> None:
    rows = make_crowd(300, make_scheme())
    parts, board = split(rows, 3)
    # A user just moving is still known to two workers.
    moving = next(row for row in parts[1].rows.values() if row.tier)
    parts[2].rows[moving.key] = moving

    async def run() -> None:
        first = create_web_app(parts[1], token=SESAME, base_url="http://127.0.0.1:2")
        second = create_web_app(parts[2], token=SESAME, base_url="http://127.0.0.1:3")
        async with TestServer(first) as one, TestServer(second) as two:
            parts[0].peer_urls = [str(one.make_url("/")), str(two.make_url("/"))]
            parts[0].peer_urls.append("http://127.0.0.1:1/")  # its own address is not asked
            app = create_web_app(parts[0], token=SESAME, base_url="http://127.0.0.1:1")
            headers = {"Authorization": f"Bearer {SESAME}"}
            async with Client(TestServer(app), headers=headers) as client:
                for limit in (1, 4, 30, 500):
                    items = await pages(client, f"limit={limit}")
                    keys = [item["user"]["key"] for item in items]
                    assert keys == [one.key for one in board.items if one.tier]
                    assert len(keys) == len(set(keys)) == board.members[0]

    asyncio.run(run())


def test_a_list_from_some_workers_only_is_refused() -> None:
    queries = FakeQueries(make_crowd(100, make_scheme()))
    queries.draw_board()
    queries.peer_urls = [f"http://127.0.0.1:{unused_port()}"]

    async def check(client: Client) -> None:
        response = await client.get("/api/v1/kols")
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
        queries.peer_urls = []
        assert (await client.get("/api/v1/kols")).status == 200
        queries.reason = "rebalancing"
        assert (await client.get("/api/v1/kols")).status == 503

    run_web(queries, check)


def test_a_list_without_some_partition_is_refused_whoever_answered() -> None:
    parts, _ = split(make_crowd(100, make_scheme()), 2)
    # A third partition, whose worker shares an address with one of these, or has just gone.
    parts[0].partition_count = 3

    async def run() -> None:
        other = create_web_app(parts[1], token=None, base_url="http://127.0.0.1:2")
        async with TestServer(other) as server:
            parts[0].peer_urls = [str(server.make_url("/"))]
            app = create_web_app(parts[0], token=None, base_url="http://127.0.0.1:1")
            async with Client(TestServer(app)) as client:
                response = await client.get("/api/v1/kols")
                assert response.status == 503
                detail = (await response.json())["detail"]
                assert "1 of 3 partitions" in detail
                assert "KOL_WEB_ADVERTISE" in detail
                parts[1].numbers = [1, 2]
                assert (await client.get("/api/v1/kols")).status == 200

    asyncio.run(run())


def test_percentiles_are_of_the_population_alone() -> None:
    scheme = make_scheme()
    rows = make_crowd(40, scheme)
    queries = FakeQueries(rows, scheme)
    board = queries.draw_board()
    line = board.line
    members = {row.key for row in rows if row.tier}
    # The line moved on in time, past the window of one of the members.
    late = next(row for row in rows if row.tier)
    late.newest_post_at -= 1
    edge = msgspec.structs.replace(line, expiry_mark=NOON + scheme.active_window_ms)  # type: ignore[operator]
    queries.shown = replace(board, line=edge)

    async def check(client: Client) -> None:
        items = (await (await client.get("/api/v1/kols")).json())["items"]
        assert {item["user"]["key"] for item in items} == members
        outside = {item["user"]["key"] for item in items if item["percentile"] is None}
        assert outside == {late.key}

    run_web(queries, check)


def test_a_peer_that_answers_nonsense_is_a_bad_gateway() -> None:
    queries = FakeQueries()

    async def nonsense(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def run() -> None:
        strange = web.Application()
        strange.router.add_get("/{path:.*}", nonsense)
        async with TestServer(strange) as server:
            queries.peer_urls = [str(server.make_url("/"))]
            app = create_web_app(queries, token=None, base_url="http://127.0.0.1:1")
            async with Client(TestServer(app)) as client:
                response = await client.get("/api/v1/kols")
                assert response.status == 502

    asyncio.run(run())
