import base64
import hashlib
import re

from stream_app.web.dashboard import content_policy, read_page
from stream_app.web.parameters import LIMIT
from stream_app.web.routes import ROUTES
from tests.fakes_web import SESAME, Client, FakeQueries, run_web


def script(page: str) -> str:
    (found,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    return str(found)


def test_the_page_is_sent_under_a_policy_that_allows_its_own_script_and_nothing_else() -> None:
    async def check(client: Client) -> None:
        response = await client.get("/")
        page = await response.text()
        assert response.content_type == "text/html"
        assert page == read_page()
        policy = response.headers["Content-Security-Policy"]
        digest = base64.b64encode(hashlib.sha256(script(page).encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}';" in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy

    run_web(FakeQueries(), check, token=SESAME)


def test_a_changed_script_gets_another_policy() -> None:
    page = read_page()
    assert content_policy(page) != content_policy(page.replace('"use strict";', '"use strict"; '))


def test_the_page_loads_nothing_from_elsewhere() -> None:
    page = read_page()
    addresses = set(re.findall(r"(?:https?:)?//[a-z0-9][a-z0-9.-]+\.[a-z]{2,}[^\s\"']*", page))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of a format, never fetched
    assert "<link" not in page.replace('<link rel="icon" href="data:', "")
    assert not re.findall(r"\b(?:src|action)=", page)
    assert "@import" not in page


def test_texts_of_users_cannot_become_markup() -> None:
    page = read_page()
    for danger in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert danger not in page
    # The policy would refuse these anyway.
    markup = page.replace(script(page), "")
    assert not re.findall(r"\son\w+=", markup)
    assert not re.findall(r"\sstyle=", markup)


def test_the_script_finds_every_element_it_names() -> None:
    page = read_page()
    named = set(re.findall(r'\$\("([\w-]+)"\)', script(page)))
    named |= set(re.findall(r'"(\w+)"', " ".join(re.findall(r"const id of \[(.*?)\]", page))))
    assert named
    assert named <= set(re.findall(r'\bid="([\w-]+)"', page))


def test_the_script_asks_only_for_addresses_that_exist() -> None:
    page = read_page()
    asked = set(re.findall(r"[\"`](/(?:api/v1/\w+|readyz))", script(page)))
    asked |= set(re.findall(r'href="(/[^"]*)"', page))
    known = {route.path.removesuffix("/{key}") for route in ROUTES}
    assert len(asked) >= 6
    assert asked <= known


def test_the_page_asks_for_no_more_items_than_one_answer_holds() -> None:
    (page_size,) = re.findall(r"const PAGE = (\d+)", read_page())
    assert LIMIT.most is not None
    assert int(page_size) <= LIMIT.most
