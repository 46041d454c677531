"""`kol topics create` and `kol topics check`."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click

from stream_app.cli import options

if TYPE_CHECKING:
    from stream_app.settings import Settings

_as_json = click.option("--json", "as_json", is_flag=True, help="print the topics as JSON")


@click.group()
def topics() -> None:
    """Make or check the topics in Kafka.

    Their names begin with KOL_PREFIX; KOL_PARTITIONS says how many partitions they have.
    """


@topics.command()
@options.broker
@_as_json
def create(broker: str | None, as_json: bool) -> None:
    """Make the topics that are missing; safe to run again.

    Refuses, and makes nothing, where existing topics have other partition counts or another
    cleanup policy than a worker needs.
    """
    settings = options.broker_settings(broker=broker)
    from stream_app.engine.topics import create_topics

    made = asyncio.run(create_topics(settings))
    if as_json:
        click.echo(json.dumps(_described(settings) | {"created": made}, indent=2))
        return
    for name in made:
        click.echo(f"created {name}")
    click.echo(f"all topics are there and fit, {len(made)} of them new ({settings.broker})")


@topics.command()
@options.broker
@_as_json
def check(broker: str | None, as_json: bool) -> None:
    """Say whether all topics are there and fit; exit code 2 where they do not."""
    settings = options.broker_settings(broker=broker)
    from stream_app.engine.topics import check_topics

    asyncio.run(check_topics(settings))
    if as_json:
        click.echo(json.dumps(_described(settings), indent=2))
        return
    click.echo(f"all topics are there and fit ({settings.broker})")


def _described(settings: Settings) -> dict[str, Any]:
    """The topics that are there and fit, as they must be."""
    from stream_app.engine.topics import topic_table

    topics = [
        {"name": spec.name, "partitions": spec.partitions, "cleanup": spec.cleanup}
        for spec in topic_table(settings)
    ]
    return {"broker": settings.broker, "topics": topics}
