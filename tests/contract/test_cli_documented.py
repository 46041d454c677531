"""What README and docs/ say about `kol` is what `kol` does, and no command is left out."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from stream_app.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# `kol ...` in code: after a prompt with settings before it, or between back quotes.
_IN_CONSOLE = re.compile(r"^\$ (?:[A-Z_]+=\S+ )*(?:\S*/)?kol( [^#|&\n]*)?", re.MULTILINE)
_IN_SPAN = re.compile(r"`kol( [^`\n]+)`")


def leaves(
    group: click.Group, context: click.Context, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its full name."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, context, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(leaves(cli, click.Context(cli)))


def mentions() -> list[tuple[str, str]]:
    """(page, arguments) of every invocation of `kol` in the documentation."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for pattern in (_IN_CONSOLE, _IN_SPAN):
            found += [(page.name, match[1] or "") for match in pattern.finditer(text)]
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    assert re.search(rf"\bkol {name}\b", PAGES[0].read_text(encoding="utf-8"))


@pytest.mark.parametrize(("page", "arguments"), mentions())
def test_every_command_and_option_named_in_the_documentation_exists(
    page: str, arguments: str
) -> None:
    words = shlex.split(arguments)
    if not words or words[0].startswith("-"):
        return  # kol itself: `kol --help`
    name = next((n for n in (" ".join(words[:2]), words[0]) if n in COMMANDS), None)
    group = cli.get_command(click.Context(cli), words[0])
    assert name is not None or isinstance(group, click.Group), f"{page}: no command {words[0]}"
    if name is not None:
        known = {"--help", "-h"}.union(*(option.opts for option in COMMANDS[name].params))
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used <= known, f"{page}: kol {name} has no {', '.join(sorted(used - known))}"
