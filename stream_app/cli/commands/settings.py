"""`kol settings`: every setting, its value and where it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stream_app.cli import options
from stream_app.cli.terminal import json_text, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stream_app.settings import SettingRow


@click.command()
@click.option("--json", "as_json", is_flag=True, help="print them as JSON")
def settings(as_json: bool) -> None:
    """List every setting: name, value, where it came from, and what it means.

    Values come from KOL_* variables, a .env file in the current folder, or the default.
    Secrets are hidden.
    """
    found = options.read_settings()
    from stream_app.settings import describe

    rows = describe(found)
    if as_json:
        click.echo(json_text(rows, indent=2))
        return
    print_table(("setting", "value", "from", "meaning"), _cells(rows), flexible="meaning")


def _cells(rows: Iterable[SettingRow]) -> list[tuple[str, ...]]:
    return [
        (row["name"], "" if row["value"] is None else str(row["value"]), row["source"], row["help"])
        for row in rows
    ]
