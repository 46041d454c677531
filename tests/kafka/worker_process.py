"""One worker as `kol worker` runs it, with a fake encoder and with faults on request.

Settings come from the environment. The faults are made here, from outside: the product knows none.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

from aiokafka import AIOKafkaProducer

from stream_app import parts
from stream_app.app import run_worker
from stream_app.engine import faust_app
from stream_app.engine.faust_app import SafeApp
from stream_app.errors import KolError
from stream_app.messages import TextFeatures
from stream_app.settings import Settings, load_settings
from tests.fakes import FakeEncoder

#: Share of the session time-out after which a member sends its heartbeat.
HEARTBEATS = 6
#: Longer than the time between two commits: what was acknowledged too early is committed by then.
REFUSAL_DELAY_S = 2.0
CHANGELOG = "-users-changelog"


class ChangelogRefusedError(Exception):
    """Stands for a broker that does not take the changelog any more."""


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


def refuse_changelog_after(requests: int) -> None:
    """The broker takes the first so many record batches; the answer to later ones is an error."""
    send_batch = AIOKafkaProducer.send_batch
    left = requests

    async def send_or_refuse(producer: Any, batch: Any, topic: str, *, partition: int) -> Any:
        nonlocal left
        if topic.endswith(CHANGELOG):
            left -= 1
            if left < 0:
                return asyncio.ensure_future(_refuse_late())
        return await send_batch(producer, batch, topic, partition=partition)

    AIOKafkaProducer.send_batch = send_or_refuse


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
    """Takes its time for each text, in its own thread, as a model does."""

    def __init__(self, texts_per_second: float) -> None:
        super().__init__()
        self._texts_per_second = texts_per_second

    def encode(self, texts: Sequence[str]) -> list[TextFeatures]:
        time.sleep(len(texts) / self._texts_per_second)
        return super().encode(texts)


async def _refuse_late() -> None:
    await asyncio.sleep(REFUSAL_DELAY_S)
    raise ChangelogRefusedError("the changelog takes no more")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--session-timeout", type=float, default=3.0, help="seconds")
    parser.add_argument("--refuse-changelog-after", type=int, metavar="REQUESTS")
    parser.add_argument("--texts-per-second", type=float, metavar="N", help="of the encoder")
    options = parser.parse_args()
    signal.signal(signal.SIGQUIT, show_where_it_hangs)
    shorten_sessions(options.session_timeout)
    if options.refuse_changelog_after is not None:
        refuse_changelog_after(options.refuse_changelog_after)
    rate = options.texts_per_second
    try:
        encoder = FakeEncoder() if rate is None else SlowEncoder(rate)
        return run_worker(load_settings(), encoder=encoder)
    except KolError as error:
        sys.stderr.write(f"kol: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
