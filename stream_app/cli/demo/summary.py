"""What the demo says at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from stream_app.cli.ranking_table import NUMBERS, RANKING_COLUMNS, ranking_row, tier_line
from stream_app.cli.terminal import print_table
from stream_app.cli.wording import minute_text, plural, seconds_text
from stream_app.messages import Post

if TYPE_CHECKING:
    from stream_app.sources import Event

TOP = 10


def print_summary(sent: Sequence[Event], bad_lines: int, seconds: float, ranking: Any) -> None:
    """Posts, users, speed, line, top ten and, last, how many KOLs there are."""
    click.echo()
    rows = [ranking_row(item) for item in ranking["items"][:TOP]]
    if rows:
        print_table(RANKING_COLUMNS, rows, right=NUMBERS)
    for line in summary_lines(sent, bad_lines, seconds, ranking):
        click.echo(line)


def summary_json(sent: Sequence[Event], bad_lines: int, seconds: float, ranking: Any) -> str:
    """The same for programs; `items` as /api/v1/rankings gives them."""
    users, different, again, interactions = _counted(sent)
    said = {
        "posts": different,
        "newer_readings": again,
        "interactions": interactions,
        "users": users,
        "bad_lines": bad_lines,
        "seconds": round(seconds, 3),
        "as_of": ranking["as_of"],
        "population": ranking["population"],
        "tiers": ranking["tiers"],
        "items": ranking["items"][:TOP],
    }
    return json.dumps(said, ensure_ascii=False)


def _counted(sent: Sequence[Event]) -> tuple[int, int, int, int]:
    """Users who posted, different posts, newer readings of these, interactions."""
    posts = [event for event in sent if isinstance(event, Post)]
    different = len({(post.key, post.id) for post in posts})
    users = len({post.key for post in posts})
    return users, different, len(posts) - different, len(sent) - len(posts)


def summary_lines(sent: Sequence[Event], bad_lines: int, seconds: float, ranking: Any) -> list[str]:
    """The closing lines, `N KOLs of M users` last; M are the users who can be KOLs now."""
    users, different, again, interactions = _counted(sent)
    rate, rated = len(sent) / max(seconds, 1e-3), "events" if interactions else "posts"
    read = f"{plural(different, 'post')} of {plural(users, 'user')}"
    if again:
        read += f", {plural(again, 'newer reading')} of their counts"
    if interactions:
        read += f", {plural(interactions, 'interaction')}"
    if bad_lines:
        read += f", {plural(bad_lines, 'bad line')}"
    population = ranking["population"]
    tiers = ranking["tiers"]
    active = f"{plural(population, 'user')} eligible (enough posts, and recent ones)"
    return [
        f"{read}; last at {minute_text(ranking['as_of'])} UTC",
        f"scored in {seconds_text(seconds)}: {rate:,.0f} {rated}/s",
        active,
        *(tier_line(tier) for tier in tiers),
        f"{tiers[0]['members'] if tiers else 0} KOLs of {population} users",
    ]
