"""`kol schemas`: JSON Schemas of the public messages, written or checked."""

from __future__ import annotations

from pathlib import Path

import click

from stream_app.errors import KolError, UsageError


@click.command()
@click.option("--check", is_flag=True, help="write nothing; exit code 1 where a file differs")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("schemas"),
    show_default=True,
    help="where the schemas are",
)
def schemas(check: bool, folder: Path) -> None:
    """Write the JSON Schemas of posts, interactions and KOL events, or check the ones there."""
    from stream_app.messages.schemas import check_schemas, write_schemas

    if not check:
        try:
            paths = write_schemas(folder)
        except OSError as error:
            raise UsageError(f"cannot write {folder}: {error.strerror}") from error
        for path in paths:
            click.echo(f"wrote {path}")
        return
    complaints = check_schemas(folder)
    if complaints:
        raise KolError(f"schemas in {folder} differ: " + "; ".join(complaints))
    click.echo(f"the schemas in {folder} are as the message types are")
