import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import ClientTimeout, web
from aiohttp.test_utils import TestServer, unused_port
from yarl import URL

from stream_app.core.aggregate import fold_interaction, fold_post, new_row
from stream_app.core.decay import decay_factor
from stream_app.core.standing import standing_of
from stream_app.messages import rfc3339
from stream_app.web import peers
from stream_app.web.server import create_web_app
from tests.builders import NOON, make_interaction, make_post
from tests.fakes_web import (
    DAY_MS,
    SESAME,
    Client,
    FakeQueries,
    finite,
    make_crowd,
    make_row,
    make_scheme,
    run_web,
)

ODD_IDS = [
    "plain",
    "with:colon",
    "with/slash",
    "/",
    "..",
    "../../healthz",
    "50%",
    "%2F",
    "%252F",
    "a b+c",
    "?x=1#y",
    "日本語",
    "é",
    "e\u0301",
    "{key}",
    "a{b",
    "'\"<>&",
    "\u2028",
    "👩‍👩‍👧",
    "a\\b",
    ";,=@!$*()~",
    "x" * 256,
]


def user_url(user_id: str, root: str = "/api/v1/users/") -> URL:
    return URL(root + quote(f"twitter:{user_id}", safe=""), encoded=True)


async def get_user(client: Client, user_id: str) -> Any:
    response = await client.get(user_url(user_id))
    assert response.status == 200, await response.text()
    answer = await response.json()
    assert finite(answer)
    return answer


def test_keys_of_any_characters_are_found() -> None:
    scheme = make_scheme()
    queries = FakeQueries([make_row(user_id, scheme, posts=1) for user_id in ODD_IDS])

    async def check(client: Client) -> None:
        for user_id in ODD_IDS:
            for root in ("/api/v1/users/", "/internal/v1/users/"):
                response = await client.get(user_url(user_id, root))
                assert response.status == 200, user_id
                answer = await response.json()
                assert answer["user"]["key"] == f"twitter:{user_id}"

    run_web(queries, check)


@pytest.mark.parametrize("path", ["twitter:nobody", "x", "%FF", "twitter%3A%00", "twitter:"])
def test_an_unknown_user_is_404(path: str) -> None:
    async def check(client: Client) -> None:
        response = await client.get(URL("/api/v1/users/" + path, encoded=True))
        assert response.status == 404
        assert response.content_type == "application/problem+json"
        assert (await response.json())["detail"] == "no such user is known"

    run_web(FakeQueries(), check)


def test_a_user_is_shown_with_score_reasons_and_tier() -> None:
    queries = FakeQueries(make_crowd(120, make_scheme()))
    queries.draw_board()

    async def check(client: Client) -> None:
        ranked = (await (await client.get("/api/v1/rankings?limit=5")).json())["items"]
        for item in ranked:
            answer = await get_user(client, item["user"]["user_id"])
            assert answer["as_of"] == rfc3339(NOON)
            same = ("user", "score", "percentile", "factors")
            assert {name: answer[name] for name in same} == {name: item[name] for name in same}
            assert answer["tier"] == {"name": item["tier"], "since": rfc3339(NOON)}
            assert answer["eligible"] is True
        assert (await get_user(client, "u0"))["tier"] is None

    run_web(queries, check)


def test_raw_counts_sum_the_newest_counts_of_all_posts_forgotten_ones_too() -> None:
    scheme = make_scheme(post_memory=2)
    row = make_row("u1", scheme, posts=5, like_count=7, view_count=100)
    newer = make_post(
        id="u1-4", observed_at=NOON + 1000, created_at=NOON, like_count=10, reply_count=1
    )
    fold_post(row, newer, None, scheme)
    fold_interaction(row, make_interaction(target_post_id="u1-4", kind="like"), scheme)
    fold_interaction(row, make_interaction(id="i2", target_post_id=None, kind="follow"), scheme)

    async def check(client: Client) -> None:
        raw = (await get_user(client, "u1"))["raw"]
        assert raw.pop("interactions") == {
            "like": 1, "reply": 0, "repost": 0, "quote": 0, "mention": 0, "follow": 1
        }  # fmt: skip
        assert raw == {
            "posts": 5, "like": 4 * 7 + 10, "reply": 1, "repost": 0, "quote": 0, "save": 0,
            "view": 500,
        }  # fmt: skip

    run_web(FakeQueries([row], scheme), check)


def test_decayed_sums_are_as_of_the_board_not_of_the_row() -> None:
    scheme = make_scheme()
    idle = make_row("idle", scheme, posts=2, like_count=8)
    for post in idle.remembered:
        post.created_at -= 30 * DAY_MS
    idle.newest_post_at -= 30 * DAY_MS
    queries = FakeQueries([idle, make_row("busy", scheme)], scheme)
    queries.draw_board()
    standing = standing_of(idle, scheme)
    assert standing is not None

    async def check(client: Client) -> None:
        answer = await get_user(client, "idle")
        half = decay_factor(standing.as_of, NOON, scheme.half_life_ms)
        assert half == pytest.approx(0.5)
        decayed = answer["decayed"]
        assert decayed["attention"] == pytest.approx(standing.attention * half)
        assert decayed["posts"] == pytest.approx(standing.decayed_posts * half)
        assert decayed["log_engagement"] == pytest.approx(2.1972245773362196)  # ln(1 + 8)
        attention = next(one for one in answer["factors"] if one["name"] == "attention")
        assert attention["value"] == decayed["attention"]

    run_web(queries, check)


def test_the_newest_ten_posts_are_shown_newest_first_with_unknown_counts_null() -> None:
    scheme = make_scheme()
    row = make_row("u1", scheme, posts=12, like_count=3, url="https://example.org/1")

    async def check(client: Client) -> None:
        posts = (await get_user(client, "u1"))["recent_posts"]
        assert [post["id"] for post in posts] == [f"u1-{n}" for n in range(11, 1, -1)]
        unknown = dict.fromkeys(("reply", "repost", "quote", "save", "view"))
        assert posts[0] == {
            "id": "u1-11",
            "created_at": rfc3339(NOON),
            "url": "https://example.org/1",
            "counts": {"like": 3, **unknown},
        }

    run_web(FakeQueries([row], scheme), check)


def test_the_embedding_is_told_by_size_and_norm_alone() -> None:
    async def check(client: Client) -> None:
        embedding = (await get_user(client, "u1"))["embedding"]
        assert embedding["dimensions"] == 64
        assert embedding["norm"] > 0
        assert len(embedding) == 2

    run_web(FakeQueries([make_row("u1", make_scheme())]), check)


def test_a_user_who_only_drew_interactions_has_no_score() -> None:
    scheme = make_scheme()
    row = new_row("twitter", "quiet")
    follow = make_interaction(target_user_id="quiet", target_post_id=None, kind="follow")
    fold_interaction(row, follow, scheme)
    queries = FakeQueries([row, make_row("busy", scheme)], scheme)
    queries.draw_board()

    async def check(client: Client) -> None:
        answer = await get_user(client, "quiet")
        assert answer["score"] is None
        assert answer["percentile"] is None
        assert answer["factors"] == []
        assert answer["tier"] is None
        assert answer["eligible"] is False
        assert answer["embedding"] is None
        assert answer["decayed"]["attention"] == pytest.approx(2.0, rel=1e-6)
        assert answer["decayed"]["log_engagement"] is None
        assert answer["raw"]["interactions"]["follow"] == 1

    run_web(queries, check)


def test_an_inactive_user_keeps_her_score_and_loses_her_percentile() -> None:
    queries = FakeQueries(make_crowd(20, make_scheme()))
    queries.draw_board()
    row = queries.rows["twitter:u5"]

    class Outside(FakeQueries):
        def user_row(self, key: str) -> Any:
            return row, False

    outside = Outside()
    outside.shown = queries.shown

    async def check(client: Client) -> None:
        answer = await get_user(client, "u5")
        assert answer["score"] > 0
        assert answer["percentile"] is None
        assert answer["eligible"] is False

    run_web(outside, check)


def test_before_a_board_a_user_is_shown_as_of_the_workers_own_high_mark() -> None:
    async def check(client: Client) -> None:
        answer = await get_user(client, "u1")
        assert answer["as_of"] == rfc3339(NOON)
        assert answer["score"] > 0
        assert answer["percentile"] is None

    run_web(FakeQueries([make_row("u1", make_scheme())]), check)


def test_before_any_event_time_there_is_no_score() -> None:
    class Timeless(FakeQueries):
        def high_mark(self) -> int | None:
            return None

    async def check(client: Client) -> None:
        answer = await get_user(client, "u1")
        assert answer["as_of"] is None
        assert answer["score"] is None
        assert answer["factors"] == []

    run_web(Timeless([make_row("u1", make_scheme())]), check)


def test_a_worker_that_is_not_ready_says_so_instead_of_404() -> None:
    queries = FakeQueries()
    queries.reason = "recovering 3 of 8 partitions"

    async def check(client: Client) -> None:
        response = await client.get("/api/v1/users/twitter:u1")
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
        assert "recovering 3 of 8 partitions" in (await response.json())["detail"]

    run_web(queries, check)


def test_a_user_of_a_partition_that_is_nowhere_is_no_404() -> None:
    class Moving(FakeQueries):
        def user_row(self, key: str) -> Any:
            raise LookupError(key)

    queries = Moving()
    queries.owners["twitter:u2"] = "http://127.0.0.1:1"  # another worker with our address

    async def check(client: Client) -> None:
        for user_id in ("u1", "u2"):
            response = await client.get(user_url(user_id))
            assert response.status == 503
            assert "KOL_WEB_ADVERTISE" in (await response.json())["detail"]

    run_web(queries, check)


# -- more than one worker -------------------------------------------------------------------------


def run_pair(
    asked: FakeQueries,
    owner: FakeQueries,
    check: Callable[[Client, str], Awaitable[None]],
    *,
    token: str | None = None,
    owner_token: str | None = None,
) -> None:
    """Serve two workers; `check` asks the first and is told where the second is."""

    async def run() -> None:
        app = create_web_app(owner, token=owner_token or token, base_url="http://127.0.0.1:2")
        async with TestServer(app) as server:
            url = str(server.make_url("/"))
            front = create_web_app(asked, token=token, base_url="http://127.0.0.1:1/")
            async with Client(TestServer(front)) as client:
                await check(client, url)

    asyncio.run(run())


def test_any_worker_answers_for_the_owner_whatever_the_key() -> None:
    scheme = make_scheme()
    owner = FakeQueries([make_row(user_id, scheme) for user_id in ODD_IDS])
    owner.draw_board()
    asked = FakeQueries()

    async def check(client: Client, url: str) -> None:
        for user_id in ODD_IDS:
            asked.owners[f"twitter:{user_id}"] = url
            answer = await get_user(client, user_id)
            assert answer["user"]["user_id"] == user_id
            assert answer["score"] > 0

    run_pair(asked, owner, check)


def test_the_owners_404_and_503_are_passed_on() -> None:
    owner, asked = FakeQueries(), FakeQueries()

    async def check(client: Client, url: str) -> None:
        asked.owners["twitter:nobody"] = url
        response = await client.get(user_url("nobody"))
        assert response.status == 404
        assert response.content_type == "application/problem+json"
        owner.reason = "rebalancing"
        response = await client.get(user_url("nobody"))
        assert response.status == 503

    run_pair(asked, owner, check)


def test_workers_that_take_each_other_for_the_owner_do_not_ask_in_circles() -> None:
    owner, asked = FakeQueries(), FakeQueries()

    async def check(client: Client, url: str) -> None:
        asked.owners["twitter:u1"] = url
        owner.owners["twitter:u1"] = str(client.make_url("/"))
        response = await client.get(user_url("u1"))
        assert response.status == 503
        assert "moving" in (await response.json())["detail"]

    run_pair(asked, owner, check)


def test_a_user_who_has_just_come_here_is_answered_after_the_old_owner_said_no() -> None:
    owner = FakeQueries()
    owner.owners["twitter:u1"] = "http://127.0.0.1:1"

    class Moving(FakeQueries):
        def owner_url(self, key: str) -> str | None:
            return self.owners.pop(key, None)

    asked = Moving([make_row("u1", make_scheme())])

    async def check(client: Client, url: str) -> None:
        asked.owners["twitter:u1"] = url
        assert (await get_user(client, "u1"))["user"]["user_id"] == "u1"

    run_pair(asked, owner, check)


def test_a_worker_named_as_owner_by_its_own_address_answers_itself() -> None:
    queries = FakeQueries([make_row("u1", make_scheme())])
    queries.owners["twitter:u1"] = "http://127.0.0.1:1/"

    async def check(client: Client) -> None:
        assert (await get_user(client, "u1"))["user"]["user_id"] == "u1"

    run_web(queries, check)


@pytest.mark.parametrize("token", [None, SESAME])
def test_the_internal_path_answers_for_own_users_alone(token: str | None) -> None:
    queries = FakeQueries([make_row("u1", make_scheme())])
    queries.owners["twitter:u2"] = "http://127.0.0.1:2"
    headers = {"Authorization": f"Bearer {SESAME}"}

    async def check(client: Client) -> None:
        own = await client.get(user_url("u1", "/internal/v1/users/"), headers=headers)
        assert own.status == 200
        other = await client.get(user_url("u2", "/internal/v1/users/"), headers=headers)
        assert other.status == 421
        bare = await client.get(user_url("u1", "/internal/v1/users/"))
        assert bare.status == (401 if token else 200)

    run_web(queries, check, token=token)


def test_the_token_is_sent_to_the_owner() -> None:
    owner, asked = FakeQueries([make_row("u1", make_scheme())]), FakeQueries()

    async def check(client: Client, url: str) -> None:
        asked.owners["twitter:u1"] = url
        headers = {"Authorization": f"Bearer {SESAME}"}
        response = await client.get(user_url("u1"), headers=headers)
        assert response.status == 200

    run_pair(asked, owner, check, token=SESAME)


def test_an_owner_who_refuses_or_speaks_otherwise_is_a_bad_gateway() -> None:
    owner, asked = FakeQueries(), FakeQueries()

    async def check(client: Client, url: str) -> None:
        asked.owners["twitter:u1"] = url
        response = await client.get(user_url("u1"))
        assert response.status == 502
        assert response.content_type == "application/problem+json"
        assert url not in await response.text()

    run_pair(asked, owner, check, owner_token=SESAME)


def test_an_owner_who_cannot_be_reached_is_503(caplog: pytest.LogCaptureFixture) -> None:
    queries = FakeQueries()
    queries.owners["twitter:u1"] = f"http://127.0.0.1:{unused_port()}"
    queries.owners["twitter:u2"] = "nonsense"
    queries.unowned.add("twitter:u3")

    async def check(client: Client) -> None:
        for user_id in ("u1", "u2", "u3"):
            response = await client.get(user_url(user_id))
            assert response.status == 503
            assert response.headers["Retry-After"] == "1"
        assert "does not answer" in caplog.text

    run_web(queries, check)


def test_an_owner_who_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "TIMEOUT", ClientTimeout(total=0.05))
    queries = FakeQueries()

    async def run() -> None:
        over = asyncio.Event()

        async def hang(_request: web.Request) -> web.Response:
            await over.wait()
            return web.Response()

        stuck = web.Application()
        stuck.router.add_get("/{path:.*}", hang)
        async with TestServer(stuck) as server:
            queries.owners["twitter:u1"] = str(server.make_url("/"))
            app = create_web_app(queries, token=None, base_url="http://127.0.0.1:1")
            async with Client(TestServer(app)) as client:
                response = await client.get(user_url("u1"))
                assert response.status == 503
            over.set()

    asyncio.run(run())
