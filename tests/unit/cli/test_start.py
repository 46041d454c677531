"""`kol` starts at once because nothing heavy is imported before a command needs it."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from stream_app.cli.main import ENTRIES, cli

HEAVY = {
    "torch",
    "transformers",
    "faust",
    "pydantic",
    "confluent_kafka",
    "rich",
    "numpy",
    "aiohttp",
}

PROGRAM = """
import json, sys
from stream_app.cli.main import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def modules_after(*arguments: str) -> tuple[int, set[str], str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    *said, last = done.stdout.splitlines()
    code, modules = json.loads(last)
    return code, set(modules), "\n".join(said)


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("nonsense",)])
def test_the_group_itself_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    _, modules, _ = modules_after(*arguments)
    assert not modules & HEAVY


@pytest.mark.parametrize("name", ENTRIES)
def test_help_of_every_command_imports_nothing_heavy(name: str) -> None:
    code, modules, said = modules_after(name, "--help")
    assert code == 0
    assert said.startswith(f"Usage: kol {name}")
    assert not modules & HEAVY


@pytest.mark.parametrize("name", ENTRIES)
def test_the_overview_describes_each_command(name: str) -> None:
    said = CliRunner().invoke(cli, ["--help"]).output
    entry = ENTRIES[name]
    assert f"  {name} " in said
    assert entry.summary.endswith(".")
    assert len(entry.summary) <= 70


@pytest.mark.parametrize("name", ENTRIES)
def test_every_command_has_a_help_that_begins_with_a_sentence(name: str) -> None:
    said = CliRunner().invoke(cli, [name, "--help"])
    assert said.exit_code == 0
    first = said.output.splitlines()[2].strip()
    assert first[0].isupper()


def test_python_m_stream_app_is_kol() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("kol ")
