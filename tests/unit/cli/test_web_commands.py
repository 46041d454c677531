"""`kol rankings`, `kol user` and `kol threshold` against an API that answers as it is told."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from stream_app.cli.main import main
from tests.unit.cli.fake_api import ONE_USER, RANKINGS, THRESHOLD, FakeApi, fake_api


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with fake_api() as running:
        yield running


def test_rankings_are_a_plain_table_when_piped(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rankings", "--url", api.url, "--limit", "5"]) == 0
    head, row, *rest = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "#",
        "user",
        "score",
        "percentile",
        "tier",
        "followers",
        "posts",
        "last",
        "post",
    ]
    assert row.split() == [
        "1",
        "@one",
        "51.23",
        "100.0",
        "kol",
        "214k",
        "12",
        "2014-07-30",
        "10:00",
    ]
    assert rest == [
        "1,801 eligible users as of 2014-07-31 23:59 UTC",
        "kol: 7 members, line at 12.00, left below 11.50 (quantile 0.9)",
    ]
    assert api.asked == [("/api/v1/rankings?limit=5&offset=0", None)]


def test_empty_rankings_without_a_line_are_said_so(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    tier = {"name": "kol", "quantile": 0.9, "enter": None, "leave": None, "members": 0}
    empty = {"as_of": None, "threshold_version": None, "population": 0}
    api.answers["/api/v1/rankings"] = (200, empty | {"tiers": [tier], "items": []})
    assert main(["rankings", "--url", api.url]) == 0
    said = capsys.readouterr().out
    assert said.startswith("nobody is ranked yet\n0 eligible users")
    assert "no line yet" in said


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [(["rankings"], RANKINGS), (["threshold"], THRESHOLD), (["user", "twitter:1"], ONE_USER)],
)
def test_json_is_the_answer_itself(
    arguments: list[str], answer: Any, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--json", "--url", api.url]) == 0
    assert json.loads(capsys.readouterr().out) == answer


def test_a_user_is_shown_with_factors_and_posts(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["user", "twitter:1", "--url", api.url]) == 0
    said = capsys.readouterr().out
    assert "followers   214,000" in said
    assert "tier        kol since 2014-07-20 10:00" in said
    assert "received    2 follow" in said
    assert "text (assumed)" in said
    assert "+3.682" in said
    assert said.splitlines()[-1] == "2014-07-30 10:00  like 3  p1"


def test_a_user_without_score_or_tier_is_shown(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    bare: dict[str, Any] = {
        "score": None,
        "percentile": None,
        "tier": None,
        "factors": [],
        "recent_posts": [],
    }
    bare |= {"eligible": False, "raw": {"posts": 0, "interactions": {"like": 1}}}
    api.answers["/api/v1/users/twitter%3A1"] = (200, ONE_USER | bare)
    assert main(["user", "twitter:1", "--url", api.url]) == 0
    said = capsys.readouterr().out
    assert "tier        none" in said
    assert "score       none" in said
    assert "eligible    no" in said


def test_an_unknown_user_fails_with_the_reason_of_the_worker(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["user", "twitter:nobody", "--url", api.url]) == 1
    assert capsys.readouterr().err == "kol: no such user: /api/v1/users/twitter%3Anobody\n"


def test_the_line_is_shown_with_its_rank_error(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["threshold", "--url", api.url]) == 0
    _, row, last = capsys.readouterr().out.splitlines()
    assert row.split() == ["kol", "0.9", "12.00", "11.50", "0.040", "%"]
    assert last == "version 9, 1,801 eligible users as of 2014-07-31 23:59 UTC"


def test_the_token_of_the_settings_is_sent(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOL_WEB_TOKEN", "secret-word")
    assert main(["threshold", "--url", api.url]) == 0
    assert api.asked == [("/api/v1/threshold", "Bearer secret-word")]


def test_a_missing_token_is_explained(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["/api/v1/threshold"] = (401, {"title": "Unauthorized", "detail": "token"})
    assert main(["threshold", "--url", api.url]) == 1
    assert "KOL_WEB_TOKEN" in capsys.readouterr().err


def test_the_address_is_that_of_the_settings(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOL_WEB_PORT", api.url.rpartition(":")[2])
    assert main(["rankings"]) == 0


def test_a_worker_out_of_reach_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert main(["rankings", "--url", f"http://127.0.0.1:{port}"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"kol: no worker answers at http://127.0.0.1:{port} (")
    assert "kol worker" in line


def test_something_else_than_a_worker_is_recognised(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answers["/api/v1/threshold"] = (200, b"<html>")
    assert main(["threshold", "--url", api.url]) == 1
    assert "is it a worker?" in capsys.readouterr().err


def test_an_address_without_a_scheme_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["threshold", "--url", "localhost:6066"]) == 2
    assert "http://" in capsys.readouterr().err
