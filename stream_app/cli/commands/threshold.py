"""`kol threshold`: the line of every tier, asked of a worker."""

from __future__ import annotations

import click

from stream_app.cli import options
from stream_app.cli.terminal import json_text, print_table
from stream_app.cli.wording import minute_text, plural, score_text


@click.command()
@options.web_api
def threshold(url: str | None, as_json: bool) -> None:
    """Show the line of every tier: the score at which users enter it and leave it."""
    from stream_app.cli.web_client import WebClient

    answer = WebClient(options.read_settings(), url).get("/api/v1/threshold")
    if as_json:
        click.echo(json_text(answer))
        return
    rows = [
        (
            tier["name"],
            f"{tier['quantile']:g}",
            score_text(tier["enter"]),
            score_text(tier["leave"]),
            "-" if tier["rank_error"] is None else f"{100 * tier['rank_error']:.3f} %",
        )
        for tier in answer["tiers"]
    ]
    columns = ("tier", "quantile", "enters at", "leaves below", "rank error")
    print_table(columns, rows, right=columns[1:])
    if answer["version"] is None:
        click.echo("no line has been drawn yet")
        return
    users = plural(answer["population"] or 0, "eligible user")
    click.echo(f"version {answer['version']}, {users} as of {minute_text(answer['as_of'])} UTC")
