"""`kol worker`: one worker, until a signal ends it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from time import sleep

import click

from stream_app.cli import options

# A worker whose parent has gone is of no use to anyone; longer than a clean end takes.
_GRACE_S = 10.0


@click.command()
@options.broker
@click.option("--web-port", type=click.IntRange(0, 65_535), help="port of the web API; 0: any free")
@click.option("--data-dir", type=click.Path(path_type=Path), help="folder of the worker's state")
@options.log_level
@click.option("--end-with-input", is_flag=True, hidden=True, help="end when standard input closes")
def worker(
    broker: str | None,
    web_port: int | None,
    data_dir: Path | None,
    log_level: str | None,
    end_with_input: bool,
) -> int:
    """Run one worker: score posts, draw the line, promote and demote, answer on the web.

    Start as many as you like against the same topics; they share the work. Every KOL_* setting
    applies (`kol settings` lists them). Ctrl-C or SIGTERM ends it cleanly.
    """
    settings = options.read_settings(
        broker=broker, web_port=web_port, data_dir=data_dir, log_level=log_level
    )
    if end_with_input:
        threading.Thread(target=_end_with_input, name="end-with-input", daemon=True).start()
    from stream_app.app import run_worker

    return run_worker(settings)


def _end_with_input() -> None:
    """Ends this process when its parent, which holds the other end of the pipe, has gone."""
    # Not through sys.stdin, whose lock this thread would hold when the interpreter ends.
    while os.read(sys.stdin.fileno(), 4_096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    sleep(_GRACE_S)
    os._exit(1)
