import json
from pathlib import Path
from typing import Any

import pytest

from stream_app.cli.main import main


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["settings", "--json"]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_settings_say_where_they_come_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text("KOL_HALF_LIFE=7d\n")
    monkeypatch.setenv("KOL_PREFIX", "test-")
    found = rows(capsys)
    assert found["KOL_HALF_LIFE"]["source"] == ".env"
    assert found["KOL_PREFIX"] | {"help": ""} == {
        "name": "KOL_PREFIX",
        "value": "test-",
        "default": "",
        "source": "environment",
        "help": "",
    }
    assert found["KOL_APP_ID"]["source"] == "default"


@pytest.mark.parametrize("arguments", [["settings"], ["settings", "--json"]])
def test_secrets_are_hidden(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KOL_WEB_TOKEN", "open-sesame")
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "(hidden)" in said
    assert "open-sesame" not in said


def test_settings_are_one_line_each_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    names = rows(capsys).keys()
    assert main(["settings"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["setting", "value", "from", "meaning"]
    assert [line.split()[0] for line in lines] == list(names)


def test_schemas_written_are_schemas_that_pass_the_check(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["schemas"]) == 0
    assert "wrote schemas/post.schema.json" in capsys.readouterr().out
    assert main(["schemas", "--check"]) == 0


def test_a_schema_that_differs_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schemas", "--folder", "here"]) == 0
    (tmp_path / "here" / "post.schema.json").write_text("{}")
    assert main(["schemas", "--check", "--folder", "here"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "post.schema.json" in line
    assert (tmp_path / "here" / "post.schema.json").read_text() == "{}"
