"""Options that several commands share; the ones given become settings and win over KOL_*."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from stream_app.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

LOG_LEVELS = ("debug", "info", "warning", "error")


def broker(command: F) -> F:
    """`--broker`, the setting KOL_BROKER."""
    return click.option(
        "--broker", metavar="HOST:PORT", help="Kafka to use  [KOL_BROKER, 127.0.0.1:9092]"
    )(command)


def log_level(command: F) -> F:
    """`--log-level`, the setting KOL_LOG_LEVEL."""
    return click.option(
        "--log-level",
        type=click.Choice(LOG_LEVELS, case_sensitive=False),
        help="what is logged on standard error  [KOL_LOG_LEVEL, info]",
    )(command)


def web_api(command: F) -> F:
    """`--url` and `--json`, for commands that ask a running worker."""
    command = click.option(
        "--url",
        metavar="URL",
        help="a worker's web address  [http:// + KOL_WEB_BIND:KOL_WEB_PORT]",
    )(command)
    return click.option("--json", "as_json", is_flag=True, help="print the answer as JSON")(command)


def broker_settings(**given: Any) -> Settings:
    """`read_settings` for a command that goes to the broker, which lets it in."""
    from stream_app.broker_access import require_access, warning

    settings = read_settings(**given)
    overheard = warning(settings)
    if overheard is not None:
        click.echo(f"kol: {overheard}", err=True)
    require_access(settings)
    return settings


def read_settings(**given: Any) -> Settings:
    """All settings, options that are not None first. Imports pydantic, so only commands call it."""
    from stream_app.settings import load_settings

    return load_settings(**given)
