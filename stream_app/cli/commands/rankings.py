"""`kol rankings`: the top of the ranking, asked of a worker."""

from __future__ import annotations

import json
from typing import Any

import click

from stream_app.cli import options


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
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    print_rankings(answer)


def print_rankings(answer: dict[str, Any]) -> None:
    """The answer of /api/v1/rankings as a table, with population, time and lines below."""
    from stream_app.cli.terminal import print_table
    from stream_app.cli.wording import minute_text, plural

    if answer["items"]:
        print_table(RANKING_COLUMNS, [ranking_row(item) for item in answer["items"]], right=NUMBERS)
    else:
        click.echo("nobody is ranked yet")
    as_of = minute_text(answer["as_of"])
    click.echo(f"{plural(answer['population'], 'eligible user')} as of {as_of} UTC")
    for tier in answer["tiers"]:
        click.echo(tier_line(tier))


RANKING_COLUMNS = ("#", "user", "score", "percentile", "tier", "followers", "posts", "last post")
NUMBERS = ("#", "score", "percentile", "followers", "posts")


def ranking_row(item: dict[str, Any]) -> tuple[str, ...]:
    """One item of the ranking in words."""
    from stream_app.cli.wording import (
        fitted,
        minute_text,
        percentile_text,
        score_text,
        short_count,
        user_name,
    )

    user = item["user"]
    followers = user.get("follower_count")
    name = user_name(user["key"], user.get("handle"), user.get("display_name"))
    return (
        str(item["position"]),
        fitted(name, 28).rstrip(),
        score_text(item["score"]),
        percentile_text(item["percentile"]),
        item["tier"] or "-",
        "?" if followers is None else short_count(followers),
        f"{item['posts']:,}",
        minute_text(item["last_post_at"]),
    )


def tier_line(tier: dict[str, Any]) -> str:
    """One tier's line and members in words."""
    from stream_app.cli.wording import plural, score_text

    name, quantile = tier["name"], tier["quantile"]
    if tier["enter"] is None:
        return f"{name}: no line yet (quantile {quantile:g}; too few eligible users)"
    entered, left = score_text(tier["enter"]), score_text(tier["leave"])
    members = plural(tier["members"], "member")
    return f"{name}: {members}, line at {entered}, left below {left} (quantile {quantile:g})"
