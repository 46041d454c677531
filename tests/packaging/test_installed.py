"""The wheel in an environment of its own, far from the checkout."""

import json
import re
import sys
from pathlib import Path

import pytest

from stream_app import __version__
from stream_app.messages.schemas import schema_texts
from tests.packaging.conftest import Installed, finished

TYPED = """\
from stream_app.messages import Post, decode_post

post: Post = decode_post(b"{}")
likes: int | None = post.like_count
"""


def test_the_command_and_the_module_are_the_wheel_s(installed: Installed) -> None:
    assert installed.run(installed.kol, "--version") == f"kol {__version__}\n"
    where = "import stream_app; print(stream_app.__file__)"
    path = Path(installed.run(installed.python, "-c", where).strip())
    assert installed.home in path.parents


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("--help",),
        ("nonsense",),
        ("settings", "--json"),
        ("rankings", "--url", "http://127.0.0.1:9"),
        ("replay", "no-such-file.jsonl"),
        ("schemas", "--check", "--folder", "nowhere"),
    ],
)
def test_python_m_stream_app_is_kol(installed: Installed, arguments: tuple[str, ...]) -> None:
    script = finished([installed.kol, *arguments], installed.folder)
    module = finished([installed.python, "-m", "stream_app", *arguments], installed.folder)
    assert (module.returncode, module.stdout, module.stderr) == (
        script.returncode,
        script.stdout,
        script.stderr,
    )


def test_schemas_are_written_and_checked_without_the_checkout(installed: Installed) -> None:
    installed.run(installed.kol, "schemas", "--folder", "here")
    installed.run(installed.kol, "schemas", "--check", "--folder", "here")
    folder = installed.folder / "here"
    assert {path.name: path.read_text() for path in folder.iterdir()} == schema_texts()


def checked_types(installed: Installed, program: str) -> str:
    (installed.folder / "program.py").write_text(program)
    checker = [sys.executable, "-m", "mypy", "--strict", "--no-incremental"]
    done = finished(
        [*checker, "--python-executable", installed.python, "program.py"], installed.folder
    )
    return done.stdout


def test_programs_that_use_it_are_checked_against_its_types(installed: Installed) -> None:
    assert checked_types(installed, TYPED).startswith("Success")
    wrong = checked_types(installed, TYPED.replace("int | None", "str"))
    assert 'variable has type "str"' in wrong


@pytest.mark.slow
def test_the_demo_runs_from_the_wheel_and_sums_up(installed: Installed) -> None:
    demo = (installed.kol, "demo", "--once", "--no-browser", "--port", "0")
    last = installed.run(*demo).splitlines()[-1]
    counted = re.fullmatch(r"(\d+) KOLs of (\d+) users", last)
    assert counted is not None, last
    kols, users = map(int, counted.groups())
    # A tenth is above the line by its definition, and some stay until they fall below the lower.
    assert 0.1 * users - 1 <= kols <= 0.12 * users


@pytest.mark.slow
def test_the_demo_s_summary_as_json_stands_alone_on_standard_output(installed: Installed) -> None:
    demo = [installed.kol, "demo", "--once", "--json", "--port", "0"]
    done = finished(demo, installed.folder)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["posts"], said["users"], said["bad_lines"]) == (4_910, 2_465, 0)
    assert said["population"] == said["users"]
    assert [item["position"] for item in said["items"]] == list(range(1, 11))
    assert f"{said['tiers'][0]['members']} KOLs of 2465 users" in done.stderr
