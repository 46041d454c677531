"""`kol user KEY`: one user, asked of a worker."""

from __future__ import annotations

from typing import Any

import click

from stream_app.cli import options
from stream_app.cli.terminal import json_text, print_table
from stream_app.cli.wording import (
    minute_text,
    percentile_text,
    plural,
    printable,
    score_text,
    short_count,
    user_name,
)


@click.command()
@click.argument("key")
@options.web_api
def user(key: str, url: str | None, as_json: bool) -> None:
    """Show one user: score, tier, factors and newest posts.

    KEY is platform:user_id, for example twitter:2347049341, as `kol rankings --json` shows it.
    """
    from stream_app.cli.web_client import WebClient

    answer = WebClient(options.read_settings(), url).user(key)
    if as_json:
        click.echo(json_text(answer))
        return
    for name, value in user_lines(answer):
        click.echo(f"{name:<11} {value}")
    _print_factors(answer["factors"])
    _print_posts(answer["recent_posts"])


def user_lines(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of what is said about the user, in reading order."""
    who, tier = answer["user"], answer["tier"]
    followers = who.get("follower_count")
    since = "" if tier is None else f" since {minute_text(tier['since'])}"
    raw = answer["raw"]
    counts = [f"{name} {raw[name]:,}" for name in raw if isinstance(raw[name], int) and raw[name]]
    lines = [
        ("user", user_name(who["key"], who.get("handle"), who.get("display_name"))),
        ("key", printable(who["key"])),
        ("followers", "unknown" if followers is None else f"{followers:,}"),
        ("tier", "none" if tier is None else tier["name"] + since),
        ("score", f"{score_text(answer['score'])} as of {minute_text(answer['as_of'])} UTC"),
        ("percentile", percentile_text(answer["percentile"])),
        ("counts", ", ".join(counts) or "none"),
    ]
    received = raw.get("interactions") or {}
    if any(received.values()):
        lines.append(("received", ", ".join(plural(n, k) for k, n in received.items() if n)))
    if not answer["eligible"]:
        lines.append(("eligible", "no: too few posts, or none within the active window"))
    return lines


def _print_factors(factors: list[dict[str, Any]]) -> None:
    if not factors:
        return
    rows = [
        (
            factor["name"] + ("" if factor["known"] else " (assumed)"),
            score_text(factor["value"]),
            f"{factor['exponent']:g}",
            "-" if factor["contribution"] is None else f"{factor['contribution']:+.3f}",
        )
        for factor in factors
    ]
    columns = ("factor", "value", "exponent", "adds to ln(score)")
    click.echo()
    print_table(columns, rows, right=columns[1:])


def _print_posts(posts: list[dict[str, Any]]) -> None:
    if not posts:
        return
    rows = [
        (
            minute_text(post["created_at"]),
            ", ".join(f"{name} {short_count(n)}" for name, n in post["counts"].items() if n) or "-",
            printable(post["url"] or post["id"]),
        )
        for post in posts
    ]
    click.echo()
    print_table(("newest posts", "counts", "where"), rows, flexible="where")
