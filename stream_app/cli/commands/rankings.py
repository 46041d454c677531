"""`kol rankings`: the top of the ranking, asked of a worker."""

from __future__ import annotations

from typing import Any

import click

from stream_app.cli import options
from stream_app.cli.ranking_table import NUMBERS, RANKING_COLUMNS, ranking_row, tier_line
from stream_app.cli.terminal import json_text, print_table
from stream_app.cli.wording import minute_text, plural


@click.command()
@click.option(
    "--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="how many users"
)
@click.option(
    "--offset", type=click.IntRange(min=0), default=0, show_default=True, help="how many to skip"
)
@options.web_api
def rankings(limit: int, offset: int, url: str | None, as_json: bool) -> None:
    """Show who ranks highest in the whole system, as a running worker knows it."""
    from stream_app.cli.web_client import WebClient

    client = WebClient(options.read_settings(), url)
    answer = client.get("/api/v1/rankings", limit=limit, offset=offset)
    if as_json:
        click.echo(json_text(answer))
        return
    print_rankings(answer)


def print_rankings(answer: dict[str, Any]) -> None:
    """The answer of /api/v1/rankings as a table, with population, time and lines below."""
    if answer["items"]:
        print_table(RANKING_COLUMNS, [ranking_row(item) for item in answer["items"]], right=NUMBERS)
    else:
        click.echo("nobody is ranked yet")
    as_of = minute_text(answer["as_of"])
    click.echo(f"{plural(answer['population'], 'eligible user')} as of {as_of} UTC")
    for tier in answer["tiers"]:
        click.echo(tier_line(tier))
