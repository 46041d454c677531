"""`kol dlq`: dead letters listed, written to a file, and sent back when they are corrected."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from stream_app.cli import options
from stream_app.cli.dlq.filters import Wanted, filter_options
from stream_app.cli.terminal import is_terminal
from stream_app.cli.wording import plural
from stream_app.errors import KolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stream_app.cli.dlq.letter import Letter
    from stream_app.sources import BadLine

_STANDARD = "-"  # output, or input


class _ListsByDefault(click.Group):
    """`kol dlq`, and `kol dlq --reason ...`, are `kol dlq list`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        is_list = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        if is_list and not ctx.resilient_parsing:  # a shell that completes asks for the commands
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ListsByDefault)
def dlq() -> None:
    """List dead letters, and send corrected ones back; without a command, list them.

    A dead letter is a post or interaction that no worker could use. It stays in Kafka, as it came
    and with the reason, for as long as topic posts-dlq keeps it.
    """


@dlq.command("list", short_help="Show dead letters, one line each.")
@filter_options
@options.broker
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="print each as JSON in a line of its own, its bytes as base64",
)
def list_(broker: str | None, as_json: bool, **filters: Any) -> None:
    """Show dead letters, one line each: when, why, where from, key, what was wrong.

    Of the value only ids, times and sizes are shown, never text of a post.
    """
    from stream_app.cli.dlq.lines import letter_json
    from stream_app.cli.dlq.wording import letter_line, tally

    found: Counter[str] = Counter()
    for letter in _found(broker, **filters):
        found[letter.reason or "unknown"] += 1
        click.echo(letter_json(letter, bytes_only=True) if as_json else letter_line(letter))
    sys.stdout.flush()
    if not as_json:
        click.echo(tally(found), err=True)


@dlq.command(short_help="Write dead letters to a file to be corrected.")
@filter_options
@click.option(
    "--out",
    required=True,
    metavar="FILE",
    help="a new file for the lines, or - for standard output",
)
@options.broker
def export(out: str, broker: str | None, **filters: Any) -> None:
    """Write dead letters to a file to be corrected, one line of JSON each.

    A value that is UTF-8 is text in `value`, any other is base64 in `value_base64`. Correct the
    value, and send the lines with `kol dlq resend`.
    """
    from stream_app.cli.dlq.lines import letter_json

    written = 0
    with _written_to(out) as file:
        for letter in _found(broker, **filters):
            file.write(letter_json(letter) + b"\n")
            written += 1
    click.echo(f"{plural(written, 'dead letter')} written", err=True)


@dlq.command(short_help="Send corrected lines back to their topics.")
@click.argument(
    "file",
    default=_STANDARD,
    metavar="[FILE]",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
)
@click.option("--dry-run", is_flag=True, help="only say which lines would be refused, send nothing")
@options.broker
@click.option("--json", "as_json", is_flag=True, help="print the summary as JSON")
def resend(file: str, dry_run: bool, broker: str | None, as_json: bool) -> None:
    """Send the corrected lines of a file, or of standard input (-), back to their topics.

    Each is read as a worker reads it, and goes under the key of its user, with a header
    dlq-resent-from that says where it was read at first. A line that would be a dead letter again
    is named on standard error and not sent; the exit code is then 1.
    """
    read = options.read_settings if dry_run else options.broker_settings
    settings = read(broker=broker)
    from stream_app.cli.dlq.resend import Resender, outgoing

    refused = 0

    def refuse(line: BadLine) -> None:
        nonlocal refused
        refused += 1
        click.echo(str(line), err=True)

    records = outgoing(settings, file, refuse)
    if dry_run:
        good = sum(1 for _ in records)
    else:
        from stream_app.engine.topics import check_topics

        asyncio.run(check_topics(settings))
        resender = Resender(settings, file, refuse)
        resender.run(records)
        good = resender.sent
    if as_json:
        click.echo(json.dumps({"accepted": good, "refused": refused, "dry_run": dry_run}))
    else:
        click.echo(f"{plural(good, 'dead letter')} {'would be ' if dry_run else ''}sent back")
    if refused:
        raise KolError(f"{plural(refused, 'line')} refused: correct what is said above, send again")


def _found(broker: str | None, topic: str | None, **filters: Any) -> Iterable[Letter]:
    """The dead letters that are meant; `topic` without its prefix."""
    settings = options.broker_settings(broker=broker)
    from stream_app.cli.dlq.reader import letters

    full_name = None if topic is None else settings.topic(topic)
    return Wanted(topic=full_name, **filters).of(letters(settings))


@contextmanager
def _written_to(out: str) -> Iterator[BinaryIO]:
    """The file, new; gone again where it could not be written to the end."""
    if out == _STANDARD:
        if is_terminal():
            raise UsageError("texts of posts are not shown on a terminal: name a file with --out")
        yield click.get_binary_stream("stdout")
        return
    path = Path(out)
    try:
        with path.open("xb") as file:
            try:
                yield file
            except BaseException:
                path.unlink()
                raise
    except FileExistsError:
        raise UsageError(f"{out} is there already: name another file with --out") from None
    except OSError as error:
        raise UsageError(f"{out}: {error.strerror or error}") from None
