"""`kol watch`: KOL events as they arrive."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from stream_app.cli import options
from stream_app.cli.signals import interrupts
from stream_app.cli.terminal import EVENT_COLOURS, columns, is_terminal, json_text
from stream_app.cli.wording import event_line

if TYPE_CHECKING:
    from stream_app.messages import KolEvent

_POLL_S = 0.5


@click.command()
@click.option(
    "--json", "as_json", is_flag=True, help="print each event's JSON in a line of its own"
)
@click.option("--from-beginning", is_flag=True, help="first all events that Kafka still has")
@click.option("--tier", metavar="NAME", help="only events into or out of this tier")
@options.broker
def watch(as_json: bool, from_beginning: bool, tier: str | None, broker: str | None) -> None:
    """Show promotions and demotions of the whole system as they happen, one line each.

    Times are event times in UTC. An event that is sent again after a crash is shown once.
    Ctrl-C ends it.
    """
    settings = options.broker_settings(broker=broker)
    if tier is not None and tier not in settings.tiers:
        known = ", ".join(settings.tiers)
        raise click.BadParameter(f"no tier {tier!r} in KOL_TIERS; there is {known}")
    from stream_app.cli.event_reader import EventReader

    # An interrupt is how one stops watching, not a failure.
    with (
        suppress(KeyboardInterrupt),
        interrupts(),
        EventReader(settings, from_beginning=from_beginning) as events,
    ):
        if is_terminal() and not as_json:
            click.echo(f"watching {settings.topic('kol-events')} at {settings.broker}", err=True)
        while True:
            found = events.poll(_POLL_S)
            if found is not None and concerns(found[0], tier):
                _show(*found, as_json=as_json)


def concerns(event: KolEvent, tier: str | None) -> bool:
    """Whether the event is about that tier; every event is where none is named."""
    return tier is None or tier in (event.tier, event.from_tier)


def _show(event: KolEvent, value: bytes, *, as_json: bool) -> None:
    if as_json:
        # As it came, but for a terminal, to which names of strangers may hold commands.
        click.echo(json_text(json.loads(value)) if is_terminal() else value)
    else:
        click.echo(click.style(event_line(event, columns()), fg=EVENT_COLOURS[event.kind]))
    sys.stdout.flush()
