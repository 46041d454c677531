"""`kol topics create` and `kol topics check`."""

from __future__ import annotations

import asyncio

import click

from stream_app.cli import options


@click.group()
def topics() -> None:
    """Make or check the topics in Kafka.

    Their names begin with KOL_PREFIX; KOL_PARTITIONS says how many partitions they have.
    """


@topics.command()
@options.broker
def create(broker: str | None) -> None:
    """Make the topics that are missing; safe to run again.

    Refuses, and makes nothing, where existing topics have other partition counts or another
    cleanup policy than a worker needs.
    """
    settings = options.read_settings(broker=broker)
    from stream_app.engine.topics import create_topics

    made = asyncio.run(create_topics(settings))
    for name in made:
        click.echo(f"created {name}")
    click.echo(f"all topics are there and fit, {len(made)} of them new ({settings.broker})")


@topics.command()
@options.broker
def check(broker: str | None) -> None:
    """Say whether all topics are there and fit; exit code 2 where they do not."""
    settings = options.read_settings(broker=broker)
    from stream_app.engine.topics import check_topics

    asyncio.run(check_topics(settings))
    click.echo(f"all topics are there and fit ({settings.broker})")
