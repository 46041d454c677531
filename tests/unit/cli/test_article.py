"""`kol article` as a user types it, with a tiny GPT-2."""

import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stream_app.cli.main import main
from stream_app.encoder import create_encoder
from stream_app.evaluation.article import Verdict, article_kols
from stream_app.messages import Post, encode_post
from stream_app.settings import load_settings
from tests.article_posts import several_texts_each
from tests.builders import make_post
from tests.tiny_gpt2 import write_tiny_gpt2


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_gpt2(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KOL_ENCODER", tiny)


def lines_of(*posts: Post) -> bytes:
    return b"".join(encode_post(post) + b"\n" for post in posts)


def posts_of(followers: Mapping[str, int | None], text: str = "some text") -> bytes:
    return lines_of(
        *(
            make_post(user_id=user, text=text, follower_count=count)
            for user, count in followers.items()
        )
    )


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["article", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_holds_threshold_population_and_kols_and_nothing_else(
    capsys: pytest.CaptureFixture[str], tiny: str
) -> None:
    posts = several_texts_each(40)
    Path("a.jsonl").write_bytes(lines_of(*posts))
    expected: Verdict = article_kols(
        posts, create_encoder(load_settings(encoder=tiny), logits_norm=True), 0.90
    )
    found = answer(capsys, "a.jsonl")
    assert list(found) == ["threshold", "population", "kols"]
    assert found["threshold"] == pytest.approx(expected.threshold, rel=1e-9)
    assert found["population"] == expected.population == 41
    assert [list(kol) for kol in found["kols"]] == [["key", "score"]] * len(expected.kols)
    assert [kol["key"] for kol in found["kols"]] == [user.key for user in expected.kols]
    for kol, user in zip(found["kols"], expected.kols, strict=True):
        assert kol["score"] == pytest.approx(user.score, rel=1e-9)


def test_the_list_shows_what_each_score_is_made_of_and_ends_with_how_many_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = {f"u{number}": number for number in range(20)} | {"big": 1_234_567}
    Path("a.jsonl").write_bytes(posts_of(names) + lines_of(make_post(id="p2", user_id="big")))
    assert main(["article", "a.jsonl"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["#", "user", "score", "followers", "mean", "norm", "posts"]
    first, second, third = (line.split() for line in lines[1:4])
    assert (first[0], first[1], first[3], first[5]) == ("1", "twitter:big", "1,234,567", "2")
    assert [second[1], third[1]] == ["twitter:u19", "twitter:u18"]
    assert "22 posts; threshold " in lines[4]
    assert "the 0.9 quantile of all scores" in lines[4]
    assert lines[5:] == ["3 KOLs of 21 users"]


def test_several_files_standard_input_and_gzip_count_as_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Input:
        buffer = io.BufferedReader(io.BytesIO(gzip.compress(posts_of({"u3": 3}))))

    monkeypatch.setattr("sys.stdin", Input())
    Path("a.jsonl").write_bytes(posts_of({"u1": 1}))
    Path("b.jsonl.gz").write_bytes(gzip.compress(posts_of({"u1": 7, "u2": 2})))
    found = answer(capsys, "a.jsonl", "-", "b.jsonl.gz")
    assert found["population"] == 3
    assert [kol["key"] for kol in found["kols"]] == ["twitter:u3"], "the first count of u1 stays"


def test_other_formats_are_read_when_named(capsys: pytest.CaptureFixture[str]) -> None:
    tweet = {
        "id_str": "7",
        "created_at": "Tue Jul 01 12:00:00 +0000 2014",
        "text": "$AAPL up",
        "user": {"id_str": "1", "followers_count": 12},
    }
    Path("tweets.jsonl").write_text(json.dumps(tweet))
    found = answer(capsys, "tweets.jsonl", "--format", "twitter-v1")
    assert [kol["key"] for kol in found["kols"]] == ["twitter:1"]


def test_bad_lines_are_named_on_standard_error_and_passed_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = posts_of({"u1": 1})
    Path("a.jsonl").write_bytes(good + b"nonsense\n\n" + b"{}\n")
    assert main(["article", "a.jsonl", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["population"] == 1
    named = [line.split(": ")[:2] for line in captured.err.splitlines() if "a.jsonl" in line]
    assert named == [["a.jsonl:2", "invalid-json"], ["a.jsonl:4", "missing-field"]]


@pytest.mark.parametrize("content", [b"", b"\n", b"nonsense\n"])
def test_files_without_posts_say_so(capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    Path("a.jsonl").write_bytes(content)
    assert main(["article", "a.jsonl"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out == ["no posts, so no users and no threshold", "0 KOLs of 0 users"]
    assert answer(capsys, "a.jsonl") == {"threshold": None, "population": 0, "kols": []}


def test_where_nobody_has_followers_everybody_is_a_kol_and_that_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("a.jsonl").write_bytes(posts_of({"u1": None, "u2": 0, "u3": None}))
    assert main(["article", "a.jsonl"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:4] for line in lines[1:4]] == [
        ["twitter:u1", "0", "?"],
        ["twitter:u2", "0", "0"],
        ["twitter:u3", "0", "?"],
    ]
    assert "threshold 0," in lines[4]
    assert "everybody is a KOL" in lines[5]
    assert lines[-1] == "3 KOLs of 3 users"


def test_the_quantile_is_that_of_the_lowest_tier(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.jsonl").write_bytes(posts_of({f"u{number}": number for number in range(1, 101)}))
    assert len(answer(capsys, "a.jsonl")["kols"]) == 10
    monkeypatch.setenv("KOL_TIERS", "kol=0.50,top=0.99")
    assert len(answer(capsys, "a.jsonl")["kols"]) == 50


def test_settings_of_the_stream_change_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.jsonl").write_bytes(lines_of(*several_texts_each(30)))
    before = answer(capsys, "a.jsonl")
    for name, value in {
        "PRECISION": "bf16",
        "MAX_TOKENS": "4",
        "EXPONENTS": "reach=1",
        "MIN_POSTS": "3",
        "MIN_POPULATION": "1000",
        "POST_MEMORY": "1",
        "ACTIVE_WINDOW": "1d",
    }.items():
        monkeypatch.setenv(f"KOL_{name}", value)
    assert answer(capsys, "a.jsonl") == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.jsonl"], "missing.jsonl"),
        (["."], "directory"),
        ([], "FILE"),
        (["a.jsonl", "--format", "morse"], "morse"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    Path("a.jsonl").write_bytes(posts_of({"u1": 1}))
    assert main(["article", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_missing_model_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.jsonl").write_bytes(posts_of({"u1": 1}))
    monkeypatch.setenv("KOL_ENCODER", "./no-such-model")
    assert main(["article", "a.jsonl"]) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert "KOL_ENCODER=bundled" in line
    assert captured.out == ""


def test_a_broken_gzip_file_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("a.jsonl.gz").write_bytes(gzip.compress(posts_of({"u1": 1}))[:-9])
    assert main(["article", "a.jsonl.gz"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "a.jsonl.gz: broken gzip file" in line
