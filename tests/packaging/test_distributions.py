"""What is in the wheel and in the source distribution, and what the wheel asks for."""

import ast
import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stream_app import __version__
from tests.packaging.conftest import ROOT

# Not imported by name, and needed all the same.
FOR_OTHERS = {
    "cramjam",  # aiokafka imports it to read lz4
}


def tracked(*folders: str) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


def requirements(wheel: Path) -> list[Requirement]:
    return [Requirement(line) for line in metadata(wheel).get_all("Requires-Dist", [])]


def test_the_wheel_holds_the_package_to_the_last_file_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == tracked("stream_app")


@pytest.mark.parametrize(
    "name",
    [
        "stream_app/encoder/bundled/model.safetensors",
        "stream_app/encoder/bundled/README.md",
        "stream_app/sample/posts.jsonl.gz",
        "stream_app/sample/LICENSE.stocknet",
        "stream_app/web/dashboard.html",
        "stream_app/py.typed",
        "licenses/LICENSE",
        "licenses/stream_app/sample/LICENSE.stocknet",
    ],
)
def test_the_wheel_holds_model_sample_page_types_and_licences(wheel: Path, name: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert [entry for entry in archive.infolist() if entry.filename.endswith(name)]


def test_the_source_distribution_holds_what_is_needed_to_build_and_test(
    distributions: Path,
) -> None:
    (path,) = distributions.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    needed = {"pyproject.toml", "constraints.txt", "Makefile", "README.md", "LICENSE"}
    assert needed | tracked("stream_app", "tests", "docs", "schemas") <= names


def test_version_name_extras_and_python_are_said(wheel: Path) -> None:
    said = metadata(wheel)
    assert (said["Name"], said["Version"]) == ("kol-stream", __version__)
    assert set(said.get_all("Provides-Extra", [])) == {"test", "dev"}
    assert said["Requires-Python"] == ">=3.11"
    assert said["License-Expression"] == "Apache-2.0"


def imported() -> dict[str, Path]:
    """Top-level modules that the package imports, and one place where it does."""
    found: dict[str, Path] = {}
    for path in sorted((ROOT / "stream_app").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            found |= {name.partition(".")[0]: path for name in names}
    ours = {"stream_app", *sys.stdlib_module_names}
    return {name: path for name, path in found.items() if name not in ours}


def test_what_is_imported_is_asked_for_and_what_is_asked_for_is_imported(wheel: Path) -> None:
    asked = {canonicalize_name(r.name) for r in requirements(wheel) if r.marker is None}
    brought_by = packages_distributions()
    used = {canonicalize_name(brought_by[name][0]) for name in imported()}
    assert used - asked == set(), "declare them in pyproject.toml"
    assert asked - used == FOR_OTHERS, "take them out of pyproject.toml"


def test_constraints_hold_a_version_of_everything_asked_for_that_fits(wheel: Path) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    held = dict(re.split("==", line) for line in lines if line and not line.startswith("#"))
    versions = {canonicalize_name(name): version for name, version in held.items()}
    for requirement in requirements(wheel):
        name = canonicalize_name(requirement.name)
        if name != "kol-stream":
            assert requirement.specifier.contains(versions[name]), requirement
