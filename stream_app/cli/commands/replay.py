"""`kol replay`: files of public posts into the topic `posts`, in event-time order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

import click

from stream_app.cli import options
from stream_app.cli.post_files import PostFiles
from stream_app.cli.speed import SPEED
from stream_app.cli.wording import plural, seconds_text
from stream_app.errors import KolError
from stream_app.sources import FORMATS

if TYPE_CHECKING:
    from stream_app.messages import Post
    from stream_app.settings import Settings
    from stream_app.sources.replay import Replayer


@click.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(FORMATS)),
    default="jsonl",
    show_default=True,
    help="what the files hold",
)
@click.option(
    "--speed",
    type=SPEED,
    default="max",
    show_default=True,
    help="max, real, or a multiple of real time like 60x",
)
@click.option("--limit", type=click.IntRange(min=1), help="send only the first so many posts")
@click.option(
    "--max-lag",
    type=click.IntRange(min=1),
    help="stay at most so many posts ahead of what the workers have scored",
)
@options.broker
def replay(
    files: Sequence[str],
    format_name: str,
    speed: float | None,
    limit: int | None,
    max_lag: int | None,
    broker: str | None,
) -> None:
    """Send files of posts to Kafka in event-time order, several files merged.

    A file is JSON Lines, or another --format, plain or gzipped. Standard input (-) alone is sent
    in its own order, as it comes. Bad lines are named on standard error, counted and passed over.
    """
    settings = options.read_settings(broker=broker)
    from stream_app.engine.topics import check_topics

    asyncio.run(check_topics(settings))
    found = PostFiles(files, format_name, limit)
    started = monotonic()
    replayer = _send(settings, found, speed, max_lag)
    click.echo(summary(replayer.delivered, found.bad_lines, monotonic() - started))
    if replayer.too_large:
        raise KolError(
            f"{plural(replayer.too_large, 'post')} larger than the broker accepts, not delivered"
        )


def _send(
    settings: Settings, found: PostFiles, speed: float | None, max_lag: int | None
) -> Replayer:
    from stream_app.cli.terminal import bar, spinner
    from stream_app.sources.replay import Replayer

    events: Iterable[Post]
    if found.is_streamed:
        events, total = found.as_they_come(), None
    else:
        with spinner("reading"):
            events = found.in_order()
        total = len(events)
    with bar("posts sent", total) as progress:
        replayer = Replayer(settings, speed=speed, max_lag=max_lag, on_delivered=progress.move)
        replayer.run(events)
    return replayer


def summary(posts: int, bad_lines: int, seconds: float) -> str:
    """The closing line: `4,910 posts, no bad lines, in 1.2 s: 4,092 posts/s`."""
    bad = plural(bad_lines, "bad line") if bad_lines else "no bad lines"
    rate = posts / max(seconds, 1e-3)
    return f"{plural(posts, 'post')}, {bad}, in {seconds_text(seconds)}: {rate:,.0f} posts/s"
