"""0 done, 1 failed, 2 wrong usage; one line on standard error, never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
import pytest

from stream_app.cli.lazy import Entry
from stream_app.cli.main import cli, main
from stream_app.errors import BrokerError, KolError, TopicsError


@contextmanager
def command_that(raises: BaseException) -> Iterator[None]:
    @click.command()
    def probe() -> None:
        raise raises

    entry = Entry(__name__, "_probe", "Probe.")
    globals()["_probe"] = probe
    cli.entries["probe"] = entry
    try:
        yield
    finally:
        del cli.entries["probe"]


@pytest.mark.parametrize(
    ("raised", "code"),
    [(KolError("it failed"), 1), (BrokerError("it failed"), 1), (TopicsError("it failed"), 2)],
)
def test_a_known_error_is_one_line_and_its_own_exit_code(
    raised: KolError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with command_that(raised):
        assert main(["probe"]) == code
    captured = capsys.readouterr()
    assert captured.err == "kol: it failed\n"
    assert captured.out == ""


def test_an_error_of_several_lines_is_said_in_one(capsys: pytest.CaptureFixture[str]) -> None:
    with command_that(KolError("first\n  second")):
        main(["probe"])
    assert capsys.readouterr().err == "kol: first second\n"


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["--nonsense"], ["replay"], ["replay", "/no/such/file"], ["user"]],
)
def test_wrong_usage_is_one_line_that_names_the_help(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kol: ")
    assert "--help" in line


def test_a_bare_kol_shows_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_an_interrupt_ends_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with command_that(KeyboardInterrupt()):
        assert main(["probe"]) == 1
    assert capsys.readouterr().err.strip() == "kol: interrupted"


def test_wrong_settings_are_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KOL_PARTITIONS", "many")
    assert main(["settings"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "KOL_PARTITIONS" in line


def test_an_unexpected_error_keeps_its_traceback() -> None:
    with command_that(ZeroDivisionError()), pytest.raises(ZeroDivisionError):
        main(["probe"])
