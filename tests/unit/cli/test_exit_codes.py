"""0 done, 1 failed, 2 wrong usage; one line on standard error, never a traceback."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def test_a_demo_with_settings_of_a_guarded_kafka_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KOL_BROKER_SECURITY", "ssl")
    assert main(["demo", "--once", "--no-browser"]) == 2
    said = capsys.readouterr().err
    assert "kol demo brings a broker of its own" in said
    assert said.count("\n") == 1


def test_a_secret_in_an_address_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["rankings", "--url", "http://me:hush-Zq7@127.0.0.1:1"]) == 2
    assert main(["topics", "check", "--broker", "me:hush-Zq7@127.0.0.1:1"]) == 2
    said = capsys.readouterr().err
    assert "KOL_WEB_TOKEN" in said
    assert "hush" not in said


def test_no_option_takes_a_secret() -> None:
    """`ps` shows the options of every program to everybody."""

    def options(command: click.Command, context: click.Context) -> Iterator[str]:
        for parameter in command.params:
            yield from parameter.opts
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                yield from options(inner, click.Context(inner, parent=context))

    found = set(options(cli, click.Context(cli)))
    assert "--broker" in found
    assert not [name for name in found if re.search("--.*(password|token|secret|sasl|key)", name)]


def test_what_others_say_in_an_error_is_no_command_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with command_that(KolError("the worker says \x1b[2J\x07\x9b31m\u202eno\nsecond")):
        assert main(["probe"]) == 1
    assert capsys.readouterr().err == "kol: the worker says [2J31mno second\n"
