"""Runs what README.md and docs/ tell people to type, in order, against a real Kafka.

    python -m tools.docs_check [--list] [PAGE...]

Console blocks: each command must end with 0 (what goes on until Ctrl-C is ended with its section).
Where the page shows JSON below it, the reply must have the same fields. Python blocks are run as
programs. JSON below an address of the web API is compared with what a worker answers there.
Everything else is listed with the reason; `<!-- not run: why -->` above a block leaves it out.
README.md begins with nothing; the other pages find Kafka, a worker and the bundled sample.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final
from urllib.parse import quote

from tests.kafka.broker import KafkaUnavailable, jars
from tools.docs_check.pages import Block, Step, blocks, steps
from tools.docs_check.session import ROOT, CheckFailedError, Session, lasting
from tools.docs_check.shapes import difference, parsed

README: Final = "README.md"
# What a reader of the other pages has by then.
BEFORE_THE_DOCS: Final = (
    "python -m tests.kafka.broker",
    "kol topics create",
    "KOL_ENCODER=bundled kol worker",
    "kol replay stream_app/sample/posts.jsonl.gz",
)
_RUN: Final = ("console", "python", "json")
_ADDRESS: Final = re.compile(r"`GET (/api/\S+)`")
_PROGRAM: Final = re.compile(r"(?:^|\| *)(?:sudo |\w+=\S+ )*([\w./-]+)")
# Programs that this project does not bring; where they are at hand their commands are run.
_GUESTS: Final = {"docker", "docker-compose", "podman", "kcat", "kubectl", "helm", "systemctl"}
_RETRY_S: Final = 60.0
_ASKS: Final = re.compile(r"\bcurl\b|\bkol (?:rankings|user|threshold)\b")
_PAUSE_S: Final = 0.5


def main() -> int:
    parser = argparse.ArgumentParser(prog="docs-check", description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="only these")
    parser.add_argument("--list", action="store_true", help="say what would be run; run nothing")
    given = parser.parse_args()
    # A shell that begins this with `&` has commands ignore Ctrl-C, which ours are to be ended by.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    names = given.pages or [README, *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
    found = [block for name in names for block in read(name)]
    if given.list:
        for block in found:
            print(f"{block.page}:{block.line}: {reason_not_to_run(block) or 'run'}")
        return 0
    try:
        jars()
        return report(found)
    except (KafkaUnavailable, CheckFailedError) as error:
        print(f"docs-check: {error}", file=sys.stderr)
        return 1


def read(name: str) -> list[Block]:
    """The blocks of one page of this checkout."""
    return list(blocks(name, (ROOT / name).read_text(encoding="utf-8")))


def report(found: Sequence[Block]) -> int:
    """Runs the blocks; says of each what became of it."""
    left_out = [block for block in found if reason_not_to_run(block) is not None]
    started = monotonic()
    ran = 0
    for of_readme in (True, False):
        mine = [b for b in found if (b.page == README) == of_readme and b not in left_out]
        if mine:
            with Session() as session:
                for command in () if of_readme else BEFORE_THE_DOCS:
                    run_command(session, command)
                ran += run_all(session, mine, ends_sections=of_readme)
    print("\nnot run:")
    for block in left_out:
        print(f"{block.page}:{block.line}: {reason_not_to_run(block)}")
    print(f"\n{ran} blocks run in {monotonic() - started:.0f} s, {len(left_out)} not run")
    return 0


def reason_not_to_run(block: Block) -> str | None:
    """Why nothing of the block is run here; None where it is run."""
    if block.not_run is not None:
        return block.not_run
    if block.language not in _RUN:
        return f"nothing to run ({block.language or 'plain text'})"
    if block.language == "console":
        programs = {name for step in steps(block) for name in _PROGRAM.findall(step.command)}
        missing = sorted(name for name in programs & _GUESTS if shutil.which(name) is None)
        if missing:
            return f"{', '.join(missing)} is not installed here"
    return None


def run_all(session: Session, found: Sequence[Block], *, ends_sections: bool) -> int:
    """Runs the blocks in order; what goes on ends with its section, or else with all of them."""
    section = found[0].section
    for block in found:
        if ends_sections and block.section != section:
            session.end_lasting()
            section = block.section
        started = monotonic()
        try:
            run_block(session, block)
        except CheckFailedError as error:
            raise CheckFailedError(f"{block.page}:{block.line}: {error}") from error
        print(f"{block.page}:{block.line}: {summary(block)} ({monotonic() - started:.1f} s)")
        sys.stdout.flush()
    session.end_lasting()
    return len(found)


def summary(block: Block) -> str:
    """The block in one line."""
    if block.language == "console":
        return "; ".join(step.command.splitlines()[0] for step in steps(block))
    return f"{block.language} of {block.heading!r}"


def run_block(session: Session, block: Block) -> None:
    """What the block says is so; CheckFailedError else."""
    if block.language == "console":
        for step in steps(block):
            run_step(session, step)
    elif block.language == "python":
        program = session.folder / f"{Path(block.page).stem}-{block.line}.py"
        program.write_text(session.here(block.text), encoding="utf-8")
        session.run(f"python {program.name}")
    else:
        check_json(session, block)


def run_step(session: Session, step: Step) -> None:
    """Ends with 0, and says what the page shows: JSON with the same fields, that is."""
    shown = parsed(step.shown)

    def attempt() -> None:
        said = run_command(session, step.command)
        differs = None if shown is None else difference(shown, parsed(said))
        if differs is not None:
            raise CheckFailedError(f"`{step.command}`: {differs}")

    if _ASKS.search(step.command):
        patiently(attempt)
    else:
        attempt()


def patiently(attempt: Callable[[], None]) -> None:
    """Tries for a minute: what was sent is seen a little later, and a reader would ask again."""
    until = monotonic() + _RETRY_S
    while True:
        try:
            return attempt()
        except CheckFailedError:
            if monotonic() > until:
                raise
            sleep(_PAUSE_S)


def run_command(session: Session, command: str) -> str:
    """What the command says, nothing where it goes on."""
    kind = lasting(command)
    if kind is None:
        return session.run(command)
    session.start(command, kind)
    return ""


def check_json(session: Session, block: Block) -> None:
    """The block is JSON, and as the worker answers if it stands below an address."""
    shown = parsed(block.text)
    if shown is None:
        raise CheckFailedError("the block is not JSON")
    address = _ADDRESS.fullmatch(block.heading)
    if address is None:
        return
    path = address[1]

    def attempt() -> None:
        differs = difference(shown, ask(session, path))
        if differs is not None:
            raise CheckFailedError(f"{path}: {differs}")

    patiently(attempt)


def ask(session: Session, path: str) -> Any:
    """What the worker answers; `{key}` is the first of the ranking."""
    if "{key}" in path:
        items = ask(session, "/api/v1/rankings")["items"]
        if not items:
            raise CheckFailedError(f"{path}: nobody is ranked")
        first = items[0]["user"]["key"]
        path = path.replace("{key}", quote(first, safe=""))
    try:
        with urllib.request.urlopen(session.url(path)) as answer:  # noqa: S310 - ours
            return parsed(answer.read().decode())
    except urllib.error.URLError as error:
        raise CheckFailedError(f"{path}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
