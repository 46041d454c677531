"""The documentation is complete, as the program is, and free of dead links."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_app.engine.metrics import Metrics
from stream_app.engine.topics import topic_table
from stream_app.messages import REASONS
from stream_app.settings import Settings
from stream_app.web.routes import ROUTES
from tools import generate_docs

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*sorted(ROOT.glob("*.md")), *DOCS]
PACKAGE = ROOT / "stream_app"

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_TEST_NAME = re.compile(r"`(test_\w+)`")
_MAKE_TARGET = re.compile(r"\bmake ([a-z]+(?:-[a-z]+)*)\b")
# Absolute places of somebody's machine, and folders beside the project.
_MACHINE_PATH = re.compile(r"(?<![\w.~-])(?:/(?:work|home|root|Users)/\w|/tmp/\w|\.\./shared)")


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """Targets inside a page, as GitHub makes them of headings."""
    headings = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(text))
    return {heading.replace(" ", "-") for heading in headings}


def links() -> Iterator[tuple[Path, str]]:
    for source in PAGES:
        for target in _LINK.findall(source.read_text(encoding="utf-8")):
            if "://" not in target:
                yield source, target


def test_generated_parts_are_as_the_program_is() -> None:
    stale = [str(path.relative_to(ROOT)) for path in generate_docs.stale_pages()]
    assert stale == [], "run python -m tools.generate_docs"


def test_every_generated_part_has_its_place() -> None:
    together = "\n".join(path.read_text(encoding="utf-8") for path in DOCS)
    for name in generate_docs.BLOCKS:
        assert together.count(f"<!-- generated: {name} -->") == 1
        assert together.count(f"<!-- end of {name} -->") == 1


def test_every_example_is_shown_as_it_is() -> None:
    together = "\n".join(path.read_text(encoding="utf-8") for path in DOCS)
    examples = [path.relative_to(ROOT) for path in (ROOT / "examples").rglob("*.*")]
    assert examples
    for path in examples:
        assert together.count(f"<!-- generated: file {path.as_posix()} -->") == 1


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_its_line(name: str) -> None:
    assert f"\n| `KOL_{name.upper()}` |" in page("docs/configuration.md")


@pytest.mark.parametrize("path", [route.path for route in ROUTES if not route.internal])
def test_every_address_of_the_web_api_is_described(path: str) -> None:
    assert f"`GET {path}`" in page("docs/api.md")


def test_every_metric_is_described_and_every_described_one_exists() -> None:
    described = set(
        re.findall(r"^\| `(kol_\w+?)(?:_total)?(?:\{.*\})?` \|", page("docs/api.md"), re.M)
    )
    families = {family.name for family in Metrics().registry.collect()}
    assert described == {name for name in families if name.startswith("kol_")}


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_a_dead_letter_is_described(reason: str) -> None:
    assert f"| `{reason}` |" in page("docs/messages.md")


def test_every_topic_is_described() -> None:
    for spec in topic_table(generate_docs.default_settings()):
        assert f"| `{spec.name}` |" in page("docs/messages.md")


@pytest.mark.parametrize(
    ("source", "target"), list(links()), ids=lambda value: getattr(value, "name", value)
)
def test_every_link_leads_somewhere(source: Path, target: str) -> None:
    name, _, anchor = target.partition("#")
    found = (source.parent / name).resolve() if name else source
    assert found.exists()
    assert ROOT in (found, *found.parents), "outside the project"
    if anchor:
        assert anchor in anchors(found.read_text(encoding="utf-8"))


def test_every_page_is_reached_from_the_readme() -> None:
    linked = {(source.parent / target.partition("#")[0]).resolve() for source, target in links()}
    assert [path.name for path in DOCS if path not in linked] == []


def test_tests_named_in_the_documentation_exist() -> None:
    named = {name for path in PAGES for name in _TEST_NAME.findall(path.read_text("utf-8"))}
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert {name for name in named if f"def {name}(" not in code} == set()


def test_every_guarantee_names_a_test_that_shows_it() -> None:
    rows = [line for line in page("docs/contract.md").splitlines() if line.startswith("| ")]
    guarantees = [row for row in rows if row != "| guarantee | shown by |"]
    assert len(guarantees) > 50
    assert [row for row in guarantees if not _TEST_NAME.search(row.rpartition(" | ")[2])] == []


def test_every_error_in_the_troubleshooting_page_names_its_test() -> None:
    errors = page("docs/troubleshooting.md").partition("## Not an error")[0]
    rows = [line for line in errors.splitlines() if line.startswith("| `")]
    assert len(rows) > 30
    assert [row for row in rows if not _TEST_NAME.search(row.rpartition("| ")[2])] == []


def test_make_targets_named_in_the_documentation_exist() -> None:
    makefile = page("Makefile")
    named = {
        target
        for path in PAGES
        for code in re.findall(r"`[^`\n]+`|^\$ .*$", path.read_text("utf-8"), re.MULTILINE)
        for target in _MAKE_TARGET.findall(code)
    }
    assert {name for name in named if f"\n{name}:" not in makefile} == set()


def test_nothing_that_a_user_sees_names_a_place_on_our_machines() -> None:
    texts = [
        *PAGES,
        *(path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".md", ".html"}),
    ]
    assert [str(path) for path in texts if _MACHINE_PATH.search(path.read_text("utf-8"))] == []
