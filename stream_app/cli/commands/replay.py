"""`kol replay`: files of public posts into `posts` and `interactions`, in event-time order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from time import monotonic
from typing import TYPE_CHECKING

import click

from stream_app.cli import options
from stream_app.cli.post_files import PostFiles, files_argument, format_option
from stream_app.cli.speed import speed_option
from stream_app.cli.terminal import bar, spinner
from stream_app.cli.wording import plural, seconds_text
from stream_app.errors import KolError
from stream_app.messages import Post

if TYPE_CHECKING:
    from stream_app.settings import Settings
    from stream_app.sources import Event
    from stream_app.sources.replay import Replayer


@click.command()
@files_argument
@format_option
@speed_option("60x")
@click.option("--limit", type=click.IntRange(min=1), help="send only the first so many events")
@click.option(
    "--max-lag",
    type=click.IntRange(min=1),
    help="stay at most so many events ahead of what the workers have scored",
)
@options.broker
@click.option(
    "--json", "as_json", is_flag=True, help="print the summary as JSON, all else on standard error"
)
def replay(
    files: Sequence[str],
    format_name: str,
    speed: float | None,
    limit: int | None,
    max_lag: int | None,
    broker: str | None,
    as_json: bool,
) -> None:
    """Send files of posts and interactions to Kafka in event-time order, several files merged.

    A file is JSON Lines, or another --format, plain or gzipped. Standard input (-) alone is sent
    in its own order, as it comes, where every line of the format stands for itself. Bad lines are
    named on standard error, counted and passed over.
    """
    settings = options.broker_settings(broker=broker)
    from stream_app.engine.topics import check_topics

    asyncio.run(check_topics(settings))
    found = PostFiles(files, format_name, limit)
    started = monotonic()
    replayer = _send(settings, found, speed, max_lag, quiet_output=as_json)
    summary = Summary(
        posts=replayer.delivered - replayer.delivered_interactions,
        interactions=replayer.delivered_interactions,
        bad_lines=found.bad_lines,
        too_large=replayer.too_large,
        seconds=round(monotonic() - started, 3),
    )
    click.echo(json.dumps(asdict(summary)) if as_json else summary.line())
    if summary.too_large:
        raise KolError(
            f"{plural(summary.too_large, 'post')} larger than the broker accepts, not delivered; "
            "shorten them, or raise the topics' max.message.bytes"
        )


def _send(
    settings: Settings,
    found: PostFiles,
    speed: float | None,
    max_lag: int | None,
    *,
    quiet_output: bool,
) -> Replayer:
    from stream_app.sources.replay import Replayer

    events: Iterable[Event]
    if found.is_streamed:
        events, total, what = found.as_they_come(), None, "events"
    else:
        with spinner("reading", err=quiet_output):
            events = found.in_order()
        total, what = len(events), _kinds_of(events)
    with bar(f"{what} sent", total, err=quiet_output) as progress:
        replayer = Replayer(settings, speed=speed, max_lag=max_lag, on_delivered=progress.move)
        replayer.run(events)
    return replayer


def _kinds_of(events: Iterable[Event]) -> str:
    are_posts = all(isinstance(event, Post) for event in events)
    return "posts" if are_posts else "posts and interactions"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a replay came to."""

    posts: int
    interactions: int
    bad_lines: int
    too_large: int
    seconds: float

    def line(self) -> str:
        """The closing line: `4,910 posts, no bad lines, in 1.2 s: 4,092 posts/s`."""
        said, rated = [plural(self.posts, "post")], "posts"
        if self.interactions:
            said.append(plural(self.interactions, "interaction"))
            rated = "events"
        said.append(plural(self.bad_lines, "bad line") if self.bad_lines else "no bad lines")
        rate = (self.posts + self.interactions) / max(self.seconds, 1e-3)
        return f"{', '.join(said)}, in {seconds_text(self.seconds)}: {rate:,.0f} {rated}/s"
