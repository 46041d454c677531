"""The command `kol`: names of the commands, exit codes, and errors in one line each.

Nothing heavy is imported here: `kol --help` answers at once.
"""

import sys
from collections.abc import Sequence

import click

from stream_app import __version__
from stream_app.cli.lazy import Entry, LazyGroup
from stream_app.cli.leaving import leave
from stream_app.errors import KolError

_ROOM = "stream_app.cli.commands"
ENTRIES = {
    "demo": Entry(
        f"{_ROOM}.demo",
        "demo",
        "Everything on this machine: broker, worker, real posts, dashboard.",
    ),
    "worker": Entry(f"{_ROOM}.worker", "worker", "Run one worker; several share the work."),
    "topics": Entry(f"{_ROOM}.topics", "topics", "Make or check the topics in Kafka."),
    "rebuild": Entry(
        f"{_ROOM}.rebuild", "rebuild", "Start anew under another app id, from the posts in Kafka."
    ),
    "replay": Entry(
        f"{_ROOM}.replay", "replay", "Send files of posts to Kafka in event-time order."
    ),
    "watch": Entry(f"{_ROOM}.watch", "watch", "Show promotions and demotions as they happen."),
    "dlq": Entry(f"{_ROOM}.dlq", "dlq", "List dead letters, and send corrected ones back."),
    "rankings": Entry(f"{_ROOM}.rankings", "rankings", "Show who ranks highest."),
    "user": Entry(f"{_ROOM}.user", "user", "Show one user: score, tier, and what they rest on."),
    "threshold": Entry(f"{_ROOM}.threshold", "threshold", "Show the line of every tier."),
    "article": Entry(
        f"{_ROOM}.article", "article", "Name the KOLs in files of posts by the article's method."
    ),
    "settings": Entry(
        f"{_ROOM}.settings", "settings", "List every setting and where it came from."
    ),
    "schemas": Entry(
        f"{_ROOM}.schemas", "schemas", "Write or check the JSON Schemas of the messages."
    ),
    "completion": Entry(
        f"{_ROOM}.completion", "completion", "Print the script that makes a shell complete kol."
    ),
}

_EPILOG = """Settings come from KOL_* variables, a .env file and options; `kol settings` lists them.

Exit codes: 0 done, 1 failed, 2 wrong usage, settings, topics or files."""


@click.group(
    cls=LazyGroup,
    entries=ENTRIES,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="kol", message="%(prog)s %(version)s")
def cli() -> None:
    """Who is becoming a key opinion leader, why, and where the line is: live, from posts in Kafka.

    Begin with `kol demo`, which needs nothing else installed.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `kol` and return its exit code; an expected error becomes one line on standard error."""
    _replace_unprintable()
    return leave(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        result = cli.main(args=arguments, prog_name="kol", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        click.echo(f"kol: {_usage_line(error)}", err=True)
        return error.exit_code
    except click.Abort:
        click.echo("kol: interrupted", err=True)
        return 1
    except KolError as error:
        click.echo(f"kol: {_one_line(str(error))}", err=True)
        return error.exit_code
    return result if isinstance(result, int) else 0


def _usage_line(error: click.ClickException) -> str:
    said = _one_line(error.format_message()).rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    return said if context is None else f"{said}; see `{context.command_path} --help`"


def _one_line(text: str) -> str:
    # Files, workers and brokers have a say in it: none of them commands the terminal.
    from stream_app.cli.wording import printable

    return printable(" ".join(text.split()))


def _replace_unprintable() -> None:
    """Names and texts come in every script; a terminal that lacks one shows `?` for it."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
