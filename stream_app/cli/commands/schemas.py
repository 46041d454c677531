"""`kol schemas`: JSON Schemas of the public messages, written or checked."""

from __future__ import annotations

import json
from pathlib import Path

import click

from stream_app.errors import KolError, UsageError

EXAMPLES = "examples"


@click.command()
@click.option("--check", is_flag=True, help="write nothing; exit code 1 where a file differs")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("schemas"),
    show_default=True,
    help="where the schemas are",
)
@click.option("--json", "as_json", is_flag=True, help="print what was written or differs as JSON")
def schemas(check: bool, folder: Path, as_json: bool) -> None:
    """Write the JSON Schemas of posts, interactions and KOL events, or check the ones there.

    The check reads the messages in the folder's examples/ too, where there are any: the program
    must take or refuse each as its place and name say.
    """
    if check:
        _check(folder, as_json)
    else:
        _write(folder, as_json)


def _write(folder: Path, as_json: bool) -> None:
    from stream_app.messages.schemas import write_schemas

    try:
        paths = write_schemas(folder)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from error
    if as_json:
        click.echo(json.dumps({"written": [str(path) for path in paths]}))
        return
    for path in paths:
        click.echo(f"wrote {path}")


def _check(folder: Path, as_json: bool) -> None:
    from stream_app.messages.examples import check_examples
    from stream_app.messages.schemas import check_schemas

    complaints = check_schemas(folder) + check_examples(folder / EXAMPLES)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "differences": complaints}))
    if complaints:
        raise KolError(
            f"schemas in {folder} differ: "
            + "; ".join(complaints)
            + "; write them with `kol schemas`"
        )
    if not as_json:
        click.echo(f"the schemas in {folder} are as the message types are")
