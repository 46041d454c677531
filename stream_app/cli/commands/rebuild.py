"""`kol rebuild`: start anew under another app id, from the posts in Kafka or from now."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Literal

import click

from stream_app.cli import options

if TYPE_CHECKING:
    from stream_app.engine.rebuild import Rebuilt
    from stream_app.settings import Settings


@click.command()
@options.broker
@click.option("--app-id", metavar="NAME", help="the new app id  [the present one, numbered on]")
@click.option(
    "--from",
    "start",
    type=click.Choice(["posts", "now"]),
    default="posts",
    show_default=True,
    help="posts: all that Kafka still has is scored again; now: only what comes from now on counts",
)
@click.option("--json", "as_json", is_flag=True, help="print what was done as JSON")
def rebuild(
    broker: str | None, app_id: str | None, start: Literal["posts", "now"], as_json: bool
) -> None:
    """Start anew under another app id, for settings that give stored numbers another meaning.

    Makes the new app's changelog topic and says where in the topics it begins. KOL_APP_ID names the
    old app, which is not touched and may keep running beside the new one.
    """
    settings = options.broker_settings(broker=broker)
    new = options.read_settings(broker=broker, app_id=app_id) if app_id is not None else None
    from stream_app.engine import rebuild as engine

    done = engine.rebuild(settings, new, start)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(done), indent=2))
        return
    for line in _report(done, settings):
        click.echo(line)


def _report(done: Rebuilt, settings: Settings) -> list[str]:
    records = f"{done.records:,} posts and interactions"
    begins = (
        f"at the oldest that Kafka has: {records} will be scored again"
        if done.start == "posts"
        else "now: what is in Kafka already does not count"
    )
    return [
        *(f"created {name}" for name in done.made),
        f"the app {done.app_id} begins {begins}",
        f"next: set KOL_APP_ID={done.app_id} and start the workers with the new settings",
        f"the app {done.old_app_id} is as it was; while its workers run, both send to "
        f"{settings.topic('kol-events')}, told apart by ce_source",
        "when you no longer need it, stop its workers and delete the topic "
        f"{settings.topic(done.old_app_id + '-users-changelog')} and the consumer group "
        f"{done.old_app_id}",
    ]
