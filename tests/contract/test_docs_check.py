"""How `make docs-check` reads pages, and that it notices what is wrong with them."""

import re
import textwrap
from collections.abc import Iterator

import pytest

from tools.docs_check.__main__ import BEFORE_THE_DOCS, README, read, reason_not_to_run, report
from tools.docs_check.pages import Block, blocks, steps
from tools.docs_check.session import ROOT, CheckFailedError, Session, lasting
from tools.docs_check.shapes import difference

PAGE = textwrap.dedent(
    """\
    # Title

    ```console
    $ kol rankings --json | head -1
    {"items": []}
    $ echo one \\
    >   two
    $ cat <<'END'
    $ not a command
    END
    ```

    ## Section

    <!-- not run: needs a moon -->
    ```python
    raise SystemExit(1)
    ```

    1. In a list:

       ```json
       {"a": 1}
       ```
    """
)


def console(text: str) -> Block:
    (block,) = blocks(README, f"```console\n{text}\n```\n")
    return block


@pytest.fixture
def session() -> Iterator[Session]:
    with Session() as running:
        yield running


def test_blocks_know_their_place_and_why_they_are_not_run() -> None:
    first, second, third = blocks("page.md", PAGE)
    assert (first.line, first.language, first.section, first.heading) == (4, "console", 0, "Title")
    assert (second.section, second.heading) == (1, "Section")
    assert reason_not_to_run(first) is None
    assert reason_not_to_run(second) == "needs a moon"
    assert (third.text, reason_not_to_run(third)) == ('{"a": 1}\n', None)


def test_steps_are_commands_with_what_is_shown_below_them() -> None:
    block = next(blocks("page.md", PAGE))
    assert [(step.line, step.command, step.shown) for step in steps(block)] == [
        (4, "kol rankings --json | head -1", '{"items": []}\n'),
        (6, "echo one \\\n  two", ""),
        (8, "cat <<'END'\n$ not a command\nEND", ""),
    ]


def test_a_marker_without_a_block_is_told() -> None:
    with pytest.raises(ValueError, match=r"page.md:3: a marker"):
        list(blocks("page.md", "<!-- not run: why -->\n\nSome text.\n"))


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ({"a": 1}, {"a": 2.5}),
        ({"a": None}, {"a": {"b": 1}}),
        ({"cut": {"posts": {"0": 812}}}, {"cut": {"posts": {"0": 1, "7": 9}}}),
        ([{"a": 1}], [{"a": 2}, {"a": 3}]),
        ([{"a": 1}, {"b": 1}], [{"a": 2, "b": 3}]),
        ([], [{"a": 2}]),
    ],
)
def test_replies_of_the_same_shape_are_as_good_as_the_one_shown(
    shown: object, found: object
) -> None:
    assert difference(shown, found) is None


@pytest.mark.parametrize(
    ("shown", "found", "said"),
    [
        ({"a": 1}, {"b": 1}, "the reply lacks a of what the page shows, and has b"),
        ({"a": {"b": 1}}, {"a": {}}, "the reply.a lacks b"),
        ([{"a": 1}], [], "the reply is empty"),
        ([{"a": "x"}], [{"a": 1}], r"the reply\[\].a is a number, the page shows a text"),
    ],
)
def test_replies_of_another_shape_are_told(shown: object, found: object, said: str) -> None:
    line = difference(shown, found)
    assert line is not None
    assert re.match(said, line)


def test_a_command_that_fails_fails_the_check(session: Session) -> None:
    assert session.run("echo fine") == "fine\n"
    with pytest.raises(CheckFailedError, match="`kol nonsense` ends with 2"):
        session.run("kol nonsense")


def test_a_command_that_should_go_on_and_ends_fails_the_check(session: Session) -> None:
    command = "echo kol watch"
    kind = lasting(command)
    assert kind is not None
    session.start(command, kind)
    with pytest.raises(CheckFailedError, match="ended too early"):
        session.end_lasting()


def test_a_reply_of_another_shape_fails_the_check() -> None:
    with pytest.raises(CheckFailedError, match=r"README.md:2: .* lacks b"):
        report([console('$ echo \'{"a": 1}\'\n{"b": 1}')])


def test_commands_use_the_session_s_own_ports_and_keep_what_they_export(session: Session) -> None:
    assert "6066" not in session.here("curl 127.0.0.1:6066/healthz")
    session.run("export GREETING=hello   # a remark")
    assert session.run("echo $GREETING") == "hello\n"
    assert session.run("echo $KOL_BROKER") == session.here("127.0.0.1:9092\n")


def test_the_readme_goes_from_the_demo_to_a_kafka_of_one_s_own() -> None:
    run = [block for block in read(README) if reason_not_to_run(block) is None]
    commands = [
        step.command for block in run if block.language == "console" for step in steps(block)
    ]
    bare = [command.partition("  #")[0].strip() for command in commands]
    assert bare[0] == "make demo"
    assert [command for command in bare if command in BEFORE_THE_DOCS] == list(BEFORE_THE_DOCS)


def test_most_of_what_the_pages_tell_people_to_type_is_run_here_or_by_a_test_that_is_named() -> (
    None
):
    pages = [README, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
    typed = [b for page in pages for b in read(page) if b.language in ("console", "python")]
    tests = {block: re.findall(r"tests/[\w/.]*\w", block.not_run or "") for block in typed}
    named = {name for names in tests.values() for name in names}
    assert {name for name in named if not (ROOT / name).exists()} == set()
    by_nobody = [block for block in typed if block.not_run is not None and not tests[block]]
    assert len(by_nobody) < len(typed) / 4
