"""Pages as blocks of code, and blocks as steps: what to run, and what the page shows for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_FENCE: Final = re.compile(r"^( *)```(\w*)$")
_HEADING: Final = re.compile(r"^(#+) (.+)$")
_MARKER: Final = re.compile(r"^<!-- not run: (.+?) -->$")
_HERE_DOCUMENT: Final = re.compile(r"<<-?\s*'?(\w+)'?")
_PROMPT: Final = "$ "


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block.

    Attributes:
        line: of its first line of text, from 1.
        section: number of the `##` section it stands in, from 0 before the first.
        heading: of any level, right above it.
        not_run: why its marker says that it is not run.
    """

    page: str
    line: int
    language: str
    text: str
    section: int
    heading: str
    not_run: str | None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command of a console block, and the lines that the page shows below it."""

    line: int
    command: str
    shown: str


def blocks(page: str, text: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order; a marker counts for the block right below it.

    Raises:
        ValueError: a marker stands before something else than a block.
    """
    section, heading, marker = 0, "", None
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        fence, title = _FENCE.match(line), _HEADING.match(line)
        if fence:
            indent = len(fence[1])
            inside = []
            for _, code in lines:
                if code.strip() == "```":
                    break
                inside.append(code[indent:])
            yield Block(
                page=page,
                line=number + 1,
                language=fence[2],
                text="\n".join(inside) + "\n",
                section=section,
                heading=heading,
                not_run=marker,
            )
            marker = None
        elif title:
            heading = title[2]
            section += title[1] == "##"
        elif found := _MARKER.match(line.strip()):
            marker = found[1]
        elif line.strip() and marker is not None:
            raise ValueError(f"{page}:{number}: a marker `not run` with no block below it")


def steps(block: Block) -> list[Step]:
    """The commands of a console block, each after a `$ `.

    A backslash at the end and a here-document go on over lines.
    """
    found: list[Step] = []
    lines = iter(enumerate(block.text.splitlines(), start=block.line))
    for number, line in lines:
        if not line.startswith(_PROMPT):
            if found:
                last = found[-1]
                found[-1] = Step(
                    line=last.line, command=last.command, shown=last.shown + line + "\n"
                )
            continue
        command = [line.removeprefix(_PROMPT)]
        while command[-1].endswith("\\"):
            command.append(next(lines)[1].removeprefix("> "))
        if document := _HERE_DOCUMENT.search(line):
            while command[-1].strip() != document[1]:
                command.append(next(lines)[1].removeprefix("> "))
        found.append(Step(line=number, command="\n".join(command), shown=""))
    return found
