"""One worker as `kol worker` runs it, with a fake encoder and with faults on request.

Settings come from the environment. The faults are made here, from outside: the product knows none.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import os
import resource
import signal
import sys
from types import FrameType
from typing import Any

from stream_app import parts
from stream_app.app import run_worker
from stream_app.cli.leaving import leave
from stream_app.engine import faust_app
from stream_app.engine.faust_app import SafeApp
from stream_app.errors import KolError
from stream_app.settings import Settings, load_settings
from tests.fakes import FakeEncoder
from tests.kafka.faults import install, parse_fault

#: Share of the session time-out after which a member sends its heartbeat.
HEARTBEATS = 6


def shorten_sessions(seconds: float) -> None:
    """A killed worker is taken for gone after so long, instead of Faust's half a minute."""
    create = faust_app.create_faust_app

    def create_short(settings: Settings, web_url: str) -> SafeApp:
        app = create(settings, web_url)
        app.conf.broker_session_timeout = seconds
        app.conf.broker_heartbeat_interval = seconds / HEARTBEATS
        return app

    # By name, since it has been imported there already.
    vars(parts)["create_faust_app"] = create_short


def fill_disk(size: int) -> None:
    """No file can grow beyond so many bytes, as on a full disk; RocksDB hears of it as then."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def show_where_it_hangs(_number: int, _frame: FrameType | None) -> None:
    """What every thread and every task waits for, on standard error; then the end."""
    faulthandler.dump_traceback(all_threads=True)
    for task in asyncio.all_tasks(asyncio.get_event_loop_policy().get_event_loop()):
        sys.stderr.write(f"{task.get_name()}\n")
        waiting: Any = task.get_coro()
        while getattr(waiting, "cr_frame", None) is not None:
            code = waiting.cr_code
            sys.stderr.write(
                f"  {code.co_filename}:{waiting.cr_frame.f_lineno} {code.co_qualname}\n"
            )
            waiting = waiting.cr_await
    sys.stderr.flush()
    os._exit(70)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--session-timeout", type=float, default=3.0, help="seconds")
    parser.add_argument("--fault", type=parse_fault, action="append", default=[])
    parser.add_argument("--most-bytes-in-a-file", type=int, metavar="BYTES")
    options = parser.parse_args()
    signal.signal(signal.SIGQUIT, show_where_it_hangs)
    shorten_sessions(options.session_timeout)
    for fault in options.fault:
        install(fault)
    if options.most_bytes_in_a_file is not None:
        fill_disk(options.most_bytes_in_a_file)
    try:
        return run_worker(load_settings(), encoder=FakeEncoder())
    except KolError as error:
        sys.stderr.write(f"kol: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(leave(main()))
