"""One worker as `kol worker` runs it, with a fake encoder and with faults on request.

Settings come from the environment. The faults are made here, from outside: the product knows none.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import math
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

from stream_app import parts
from stream_app.app import run_worker
from stream_app.cli.leaving import leave
from stream_app.core import aggregate, row
from stream_app.core.later_fields import Kept
from stream_app.core.row import UserRow
from stream_app.engine import faust_app, internal_records, ownership, scorer
from stream_app.engine.faust_app import SafeApp
from stream_app.engine.internal_records import PartitionMeta
from stream_app.errors import KolError
from stream_app.messages import TextFeatures
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


class NewerRow(UserRow, array_like=True):
    """The row of a later version, which has added a field."""

    #: how often a program of that version has written the row
    writes: int = 0


class NewerMeta(PartitionMeta, array_like=True):
    """The reserved row of a later version, which has added a field."""

    since: str = "newer"


def be_newer() -> None:
    """The next version of the program: as this one, with a field more in both kinds of rows."""
    encode_row = row.encode_row

    def encode_counting(written: NewerRow, z: float, formula: int) -> bytes:
        written.writes += 1
        return encode_row(written, z, formula)

    meta = Kept(NewerMeta)
    vars(row)["_body"] = Kept(NewerRow)
    vars(aggregate)["UserRow"] = NewerRow
    vars(scorer)["encode_row"] = encode_counting
    vars(internal_records)["_meta"] = meta
    vars(internal_records)["_readers"] |= dict.fromkeys((PartitionMeta, NewerMeta), meta.decode)
    vars(ownership)["PartitionMeta"] = NewerMeta


def shift_clock(seconds: float) -> None:
    """This machine's clock is ahead by so much; how time passes is as before."""
    now, now_ns = time.time, time.time_ns
    vars(time)["time"] = lambda: now() + seconds
    vars(time)["time_ns"] = lambda: now_ns() + int(seconds * 1e9)


def lead_whoever_is_elected() -> None:
    """It believes to be the leader, which another worker is too."""
    vars(parts)["owns_snapshots"] = lambda app, _topic: (
        not app.should_stop and app.tables.actives_ready
    )


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


class SlowEncoder(FakeEncoder):
    """Takes its time for the first batch and for each text, in its own thread, as a model does."""

    def __init__(self, first_s: float, texts_per_second: float) -> None:
        super().__init__()
        self._first_s = first_s
        self._texts_per_second = texts_per_second

    def encode(self, texts: Sequence[str]) -> list[TextFeatures]:
        time.sleep(self._first_s + len(texts) / self._texts_per_second)
        self._first_s = 0.0
        return super().encode(texts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--session-timeout", type=float, default=3.0, help="seconds")
    parser.add_argument("--fault", type=parse_fault, action="append", default=[])
    parser.add_argument("--most-bytes-in-a-file", type=int, metavar="BYTES")
    parser.add_argument("--newer", action="store_true", help="with a field more in its rows")
    parser.add_argument("--clock-ahead", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--leads", action="store_true", help="whoever is elected")
    parser.add_argument("--texts-per-second", type=float, default=math.inf, metavar="N")
    parser.add_argument("--first-texts-take", type=float, default=0.0, metavar="SECONDS")
    options = parser.parse_args()
    if options.newer:
        be_newer()
    if options.clock_ahead:
        shift_clock(options.clock_ahead)
    if options.leads:
        lead_whoever_is_elected()
    signal.signal(signal.SIGQUIT, show_where_it_hangs)
    shorten_sessions(options.session_timeout)
    for fault in options.fault:
        install(fault)
    if options.most_bytes_in_a_file is not None:
        fill_disk(options.most_bytes_in_a_file)
    encoder = SlowEncoder(options.first_texts_take, options.texts_per_second)
    try:
        return run_worker(load_settings(), encoder=encoder)
    except KolError as error:
        sys.stderr.write(f"kol: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(leave(main()))
