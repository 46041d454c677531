"""`kol demo`: broker, worker, real posts and dashboard on this machine, with nothing to set up."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

import click

from stream_app.cli import options
from stream_app.cli.post_files import format_option
from stream_app.cli.speed import speed_option
from stream_app.errors import UsageError

if TYPE_CHECKING:
    from stream_app.cli.demo.worker_process import WorkerProcess
    from stream_app.cli.web_client import WebClient
    from stream_app.settings import Settings

_CHECK_S = 0.5
_INTERRUPTED = 1


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What the user asked for."""

    files: tuple[str, ...]
    format_name: str
    speed: float | None
    port: int | None
    browse: bool
    once: bool
    as_json: bool


@click.command()
@click.option(
    "--posts",
    "file",
    type=click.Path(exists=True, dir_okay=False),
    help="replay this file instead of the bundled sample",
)
@format_option
@speed_option("3600x")
@click.option("--port", type=click.IntRange(0, 65_535), help="port of the dashboard; 0: any free")
@click.option("--no-browser", is_flag=True, help="do not open the dashboard in a browser")
@click.option("--once", is_flag=True, help="end when everything is scored, with a summary")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="with --once: print the summary as JSON, all else on standard error",
)
def demo(
    file: str | None,
    format_name: str,
    speed: float | None,
    port: int | None,
    no_browser: bool,
    once: bool,
    as_json: bool,
) -> int:
    """Show everything on this machine: broker, worker, real posts, dashboard.

    Nothing else has to be installed or running. The broker lives in this process and all state is
    temporary: when the demo ends, nothing stays. The bundled small GPT-2 is used unless KOL_ENCODER
    names another. Ctrl-C ends it.
    """
    from stream_app.cli.demo.worker_process import WorkerDied
    from stream_app.cli.signals import apart_from_make, interrupts
    from stream_app.sample import sample_path

    if as_json and not once:
        raise click.UsageError("--json needs --once: without an end there is no summary")
    plan = _Plan(
        files=(file or str(sample_path()),),
        format_name=format_name if file else "jsonl",
        speed=speed,
        port=port,
        browse=not (no_browser or once) and sys.stdout.isatty() and _has_screen(),
        once=once,
        as_json=as_json,
    )
    with interrupts(), apart_from_make():
        try:
            return _run(plan)
        except KeyboardInterrupt:
            click.echo("\nended" if sys.stdout.isatty() else "ended", err=as_json)
            return _INTERRUPTED if once else 0
        except WorkerDied as died:
            for line in died.lines:
                click.echo(line, err=True)
            raise


def _run(plan: _Plan) -> int:
    if not plan.as_json:
        _play(plan)
        return 0
    with redirect_stdout(sys.stderr):
        summary = _play(plan)
    click.echo(summary)
    return 0


def _play(plan: _Plan) -> str:
    """The summary as JSON, when all is scored and shown."""
    from stream_app.cli.demo.show import Show, ask, open_in_browser, wait_until_ready
    from stream_app.cli.demo.summary import print_summary, summary_json
    from stream_app.cli.post_files import PostFiles

    found = PostFiles(plan.files, plan.format_name)
    with _surroundings(plan) as (settings, worker, client):
        sent = found.in_order()  # while the worker starts
        wait_until_ready(worker, client)
        click.echo(f"dashboard: {client.base}/")
        if plan.browse:
            open_in_browser(client.base + "/")
        seconds = Show(settings, worker, client).replay(sent, plan.speed)
        ranking = ask(worker, lambda: client.get("/api/v1/rankings"))
        print_summary(sent, found.bad_lines, seconds, ranking)
        if not plan.once:
            click.echo(f"replay done; the dashboard stays up at {client.base}/, Ctrl-C ends")
            while True:
                worker.check()
                sleep(_CHECK_S)
    return summary_json(sent, found.bad_lines, seconds, ranking)


@contextmanager
def _surroundings(plan: _Plan) -> Iterator[tuple[Settings, WorkerProcess, WebClient]]:
    """A broker with all topics, and a worker that is starting; both are gone afterwards."""
    from stream_app.cli.demo.worker_process import WorkerProcess
    from stream_app.cli.web_client import WebClient
    from stream_app.embedded import EmbeddedBroker
    from stream_app.engine.topics import topic_table

    with (
        tempfile.TemporaryDirectory(prefix="kol-demo-", ignore_cleanup_errors=True) as folder,
        EmbeddedBroker() as broker,
    ):
        given = _environment(plan, broker.bootstrap, Path(folder))
        settings = options.read_settings(
            broker=broker.bootstrap, web_port=int(given["KOL_WEB_PORT"]), data_dir=Path(folder)
        )
        for spec in topic_table(settings):
            broker.create_topic(spec.name, spec.partitions or 1)
        with _log_kept_on_failure() as log_path, WorkerProcess(given, log_path) as worker:
            yield settings, worker, WebClient(settings)


def _environment(plan: _Plan, bootstrap: str, folder: Path) -> Mapping[str, str]:
    """Settings of the worker that are not the user's own."""
    from stream_app.cli.demo.ports import free_port
    from stream_app.settings import describe

    settings = options.read_settings(web_port=plan.port)
    if settings.broker_security != "plaintext":
        raise UsageError(
            "kol demo brings a broker of its own, which knows no TLS and no SASL; leave out "
            "KOL_BROKER_SECURITY and what goes with it"
        )
    sources = {row["name"]: row["source"] for row in describe(settings)}
    is_default = sources["KOL_WEB_PORT"] == "default"
    port = free_port(settings.web_bind, settings.web_port, or_any=is_default)
    if is_default and port != settings.web_port:
        click.echo(f"port {settings.web_port} is taken; using {port}")
    given = {"KOL_BROKER": bootstrap, "KOL_WEB_PORT": str(port), "KOL_DATA_DIR": str(folder)}
    if sources["KOL_ENCODER"] == "default":
        given["KOL_ENCODER"] = "bundled"
    return given


@contextmanager
def _log_kept_on_failure() -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(prefix="kol-demo-worker-", suffix=".log")
    os.close(descriptor)
    path = Path(name)
    try:
        yield path
    except (UsageError, KeyboardInterrupt):  # all that matters has been said
        path.unlink()
        raise
    else:
        path.unlink()


def _has_screen() -> bool:
    """Whether a browser would open in a window, and not take over this terminal."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
