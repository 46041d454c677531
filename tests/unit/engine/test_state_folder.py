"""Whose rows a folder holds, and who may use it."""

import json
from pathlib import Path
from typing import Any

import pytest

from stream_app.engine.state_folder import FORMAT, IDENTITY, StateFolder, state_folder
from stream_app.errors import StateError
from stream_app.settings import load_settings


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def folder_of(tmp_path: Path, **changes: Any) -> StateFolder:
    return StateFolder(load_settings(**{"data_dir": tmp_path / "state"} | changes))


def use(folder: StateFolder, changelog_id: str = "id-1") -> None:
    """A worker starts and ends."""
    folder.open()
    try:
        folder.claim(changelog_id)
    finally:
        folder.close()


def refusal(folder: StateFolder, changelog_id: str = "id-1") -> str:
    with pytest.raises(StateError) as caught:
        use(folder, changelog_id)
    assert "\n" not in str(caught.value)
    assert "KOL_DATA_DIR" in str(caught.value)
    return str(caught.value)


def test_a_new_folder_is_made_and_may_be_used_again(tmp_path: Path) -> None:
    use(folder_of(tmp_path))
    use(folder_of(tmp_path))
    identity = json.loads((tmp_path / "state" / "app-kol" / IDENTITY).read_bytes())
    assert identity == {
        "format": FORMAT,
        "app_id": "kol",
        "prefix": "",
        "partitions": 8,
        "changelog_id": "id-1",
    }


def test_every_app_has_a_folder_of_its_own(tmp_path: Path) -> None:
    use(folder_of(tmp_path), "id-1")
    use(folder_of(tmp_path, app_id="other"), "id-2")
    assert {path.name for path in (tmp_path / "state").iterdir()} == {"app-kol", "app-other"}


@pytest.mark.parametrize("app_id", [".", ".."])
def test_no_app_id_leads_out_of_the_data_directory(tmp_path: Path, app_id: str) -> None:
    settings = load_settings(data_dir=tmp_path, app_id=app_id)
    assert state_folder(settings).parent == tmp_path
    assert state_folder(settings).resolve().parent == tmp_path.resolve()


def test_a_changelog_made_anew_is_refused_with_both_ways_out(tmp_path: Path) -> None:
    use(folder_of(tmp_path), "id-1")
    line = refusal(folder_of(tmp_path), "id-2")
    assert "kol-users-changelog" in line
    assert "delete that folder" in line
    assert "kol rebuild" in line


def test_a_broker_that_gives_no_topic_ids_fits_and_what_was_known_stays_known(
    tmp_path: Path,
) -> None:
    use(folder_of(tmp_path), "")
    use(folder_of(tmp_path), "id-1")
    use(folder_of(tmp_path), "")
    refusal(folder_of(tmp_path), "id-2")


@pytest.mark.parametrize(
    ("change", "value"), [("app_id", "else"), ("prefix", "test-"), ("partitions", 4)]
)
def test_rows_of_other_settings_are_refused(tmp_path: Path, change: str, value: Any) -> None:
    use(folder_of(tmp_path))
    changed = folder_of(tmp_path, **{change: value})
    if change == "app_id":  # as on a file system that knows no case, or after a copy
        (tmp_path / "state" / "app-kol").rename(changed.path)
    line = refusal(changed)
    assert f"KOL_{change.upper()}=" in line
    assert str(value) in line


def test_a_folder_that_another_worker_holds_is_refused_until_it_lets_go(tmp_path: Path) -> None:
    first = folder_of(tmp_path)
    first.open()
    first.claim("id-1")
    assert "in use by another running worker" in refusal(folder_of(tmp_path))
    first.close()
    use(folder_of(tmp_path))


@pytest.mark.parametrize("place", ["state", "state/app-kol"])
def test_a_file_in_its_place_is_refused(tmp_path: Path, place: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("something")
    assert "is not a folder" in refusal(folder_of(tmp_path))
    assert path.read_text() == "something"


def test_a_folder_with_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    stranger = tmp_path / "state" / "app-kol" / "thesis.txt"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("chapter one")
    assert "thesis.txt" in refusal(folder_of(tmp_path))
    assert stranger.read_text() == "chapter one"


def test_things_beside_the_apps_folder_do_not_matter(tmp_path: Path) -> None:
    old = tmp_path / "state" / "v1" / "tables"
    old.mkdir(parents=True)
    use(folder_of(tmp_path))
    assert old.is_dir()


def test_a_start_that_was_cut_short_leaves_a_folder_that_may_be_used(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    folder.open()  # and no claim: the broker was away
    folder.close()
    (folder.path / f"{IDENTITY}.new").write_text("{")
    use(folder_of(tmp_path))


@pytest.mark.parametrize("text", ["", "{", '{"format": 1}', "[]"])
def test_an_identity_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    use(folder_of(tmp_path))
    (folder_of(tmp_path).path / IDENTITY).write_text(text)
    assert "cannot be read" in refusal(folder_of(tmp_path))


def test_a_newer_format_is_refused_whatever_else_it_holds(tmp_path: Path) -> None:
    use(folder_of(tmp_path))
    newer = {"format": FORMAT + 1, "apps": ["kol"]}
    (folder_of(tmp_path).path / IDENTITY).write_text(json.dumps(newer))
    assert f"format {FORMAT + 1}" in refusal(folder_of(tmp_path))
