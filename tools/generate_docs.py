"""Writes what the documentation takes from the project: settings, topics, messages, examples.

    python -m tools.generate_docs [--check]

Text between `<!-- generated: NAME -->` and `<!-- end of NAME -->` in a page is replaced; the rest
of the page is written by people. The name `file PATH` stands for a file of the project, shown as
it is. With --check nothing is written, and the exit code is 1 where a page is not as the project
is.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, get_type_hints

import msgspec

from stream_app.core.originality import COPY, DIFFERENT, FLOOR
from stream_app.core.row import UserRow
from stream_app.core.scheme import ARTICLE_NEUTRAL_REACH, NEUTRAL_REACH, PRESETS
from stream_app.core.standing import Standing
from stream_app.core.tiers import Line, TierLine
from stream_app.engine.internal_records import (
    LineRecord,
    PartitionMeta,
    RankingChunk,
    Snapshot,
    TopPiece,
)
from stream_app.engine.topics import topic_table
from stream_app.messages import REASONS
from stream_app.settings import KEPT_WITH_STATE, Settings, describe
from stream_app.settings.parsing import DEFAULT_WEIGHTS
from tools.message_tables import field_rows

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"

_FIELD: Final = re.compile(r"    (\w+): ")
_MODULE: Final = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Z])")
_FILE: Final = re.compile(r"<!-- generated: file (\S+) -->")
_LANGUAGES: Final = MappingProxyType({".py": "python", ".sh": "bash"})


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def default_settings() -> Settings:
    """The settings where nobody has set anything; environment and `.env` are not read."""
    return Settings.model_construct(
        **{name: field.get_default() for name, field in Settings.model_fields.items()}
    )


def settings_table() -> str:
    settings = default_settings()
    rows = []
    for row in describe(settings):
        default = "" if row["default"] in (None, "") else f"`{row['default']}`"
        is_fixed = row["name"].removeprefix("KOL_").lower() in KEPT_WITH_STATE
        rows.append((f"`{row['name']}`", default, row["help"], "yes" if is_fixed else ""))
    return markdown_table(("setting", "default", "meaning", "kept with the state"), rows)


def topics_table() -> str:
    settings = default_settings()
    rows = []
    for spec in topic_table(settings):
        partitions = {None: "1 or more", 1: "1", settings.partitions: "P"}[spec.partitions]
        config = ", ".join(f"`{name}={value}`" for name, value in spec.config.items())
        rows.append((f"`{spec.name}`", partitions, spec.cleanup, config))
    return markdown_table(("topic", "partitions", "cleanup", "made with"), rows)


def reasons_table() -> str:
    rows = [(f"`{reason}`", meaning) for reason, meaning in REASONS.items()]
    return markdown_table(("`dlq-reason`", "meaning"), rows)


def fields_table(message: str) -> str:
    return markdown_table(("field", "type", "required", "meaning"), field_rows(message))


def presets_table() -> str:
    names = list(PRESETS["influence"])
    rows = [
        (f"`{preset}`", *(f"{exponents[name]:g}" if name in exponents else "-" for name in names))
        for preset, exponents in PRESETS.items()
    ]
    reach = (
        f"`neutral_reach`: {NEUTRAL_REACH} followers; {ARTICLE_NEUTRAL_REACH} with `article`, "
        "which guesses nothing."
    )
    return markdown_table(("preset", *names), rows) + "\n\n" + reach


def weights_table() -> str:
    rows = [[f"`{name}`" for name in DEFAULT_WEIGHTS], [f"{w:g}" for w in DEFAULT_WEIGHTS.values()]]
    return markdown_table(rows[0], rows[1:])


def originality_table() -> str:
    slope = f"1 - {1 - FLOOR:g} x (s - {DIFFERENT:g}) / {COPY - DIFFERENT:g}"
    rows = [(f"up to {DIFFERENT:g}", "1"), ("between", slope), (f"from {COPY:g}", f"{FLOOR:g}")]
    return markdown_table(("similarity s to the nearest earlier post", "originality"), rows)


def records_of(*kinds: type[msgspec.Struct]) -> str:
    """Fields by their place in the array, with the comments that stand beside them in the code."""
    return "\n\n".join(_record(kind) for kind in kinds)


def _record(kind: type[msgspec.Struct]) -> str:
    comments = _comments(kind)
    hints = get_type_hints(kind, include_extras=True)
    rows = [
        (str(place), f"`{name}`", f"`{_type_text(hints[name])}`", comments.get(name, ""))
        for place, name in enumerate(kind.__struct_fields__)
    ]
    head = str(inspect.getdoc(kind)).splitlines()[0]
    return f"**{kind.__name__}.** {head}\n\n" + markdown_table(("", "field", "type", ""), rows)


def _comments(kind: type[msgspec.Struct]) -> Mapping[str, str]:
    """`#:` comments of a class, by the field they stand above."""
    found: dict[str, str] = {}
    said: list[str] = []
    for line in inspect.getsource(kind).splitlines():
        field = _FIELD.match(line)
        if line.lstrip().startswith("#: "):
            said.append(line.lstrip()[3:])
        elif field is not None:
            found[field[1]] = " ".join(said)
            said = []
        else:
            said = []
    return found


def _type_text(hint: Any) -> str:
    text = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    return _MODULE.sub("", text).replace("|", "or")


BLOCKS: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {
        "settings": settings_table,
        "topics": topics_table,
        "post": lambda: fields_table("post"),
        "interaction": lambda: fields_table("interaction"),
        "KOL event": lambda: fields_table("kol-event"),
        "dead-letter reasons": reasons_table,
        "presets": presets_table,
        "weights": weights_table,
        "originality": originality_table,
        "snapshot": lambda: records_of(Snapshot, Standing, TopPiece),
        "line": lambda: records_of(LineRecord, Line, TierLine),
        "ranking": lambda: records_of(RankingChunk),
        "reserved row": lambda: records_of(PartitionMeta),
        "user row": lambda: records_of(UserRow),
    }
)
"""Name -> what stands between its marks."""


def file_text(path: str) -> str:
    """The file, to be read in a page; `path` is seen from the project's root."""
    suffix = Path(path).suffix
    language = _LANGUAGES.get(suffix, suffix.removeprefix("."))
    return f"```{language}\n{(ROOT / path).read_text(encoding='utf-8').rstrip()}\n```"


def blocks_of(page: str) -> Mapping[str, Callable[[], str]]:
    """BLOCKS, and the files that the page shows."""
    return {
        **BLOCKS,
        **{f"file {path}": partial(file_text, path) for path in _FILE.findall(page)},
    }


def regenerated(page: str) -> str:
    """The page with every generated part as the project is now."""
    for name, make in blocks_of(page).items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
        if begin in page:
            before, rest = page.split(begin)
            after = rest.split(end)[1]
            page = f"{before}{begin}\n{make()}\n{end}{after}"
    return page


def stale_pages() -> list[Path]:
    """The pages that are not as the project is."""
    pages = sorted(DOCS.glob("*.md"))
    return [page for page in pages if regenerated(text := page.read_text("utf-8")) != text]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    stale = stale_pages()
    for page in stale:
        if not check:
            page.write_text(regenerated(page.read_text("utf-8")), "utf-8")
        print(f"{page.relative_to(ROOT)}: {'not as the program is' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
