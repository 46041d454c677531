"""One worker as `kol worker` runs it, with a fake encoder and with faults on request.

Settings come from the environment. The faults are made here, from outside: the product knows none.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any

from aiokafka import AIOKafkaProducer
from faust.tables.recovery import Recovery

from stream_app import app as composition
from stream_app.engine import faust_app
from stream_app.engine.faust_app import SafeApp
from stream_app.engine.recovery import SafeRecovery
from stream_app.errors import KolError
from stream_app.settings import Settings, load_settings
from tests.fakes import FakeEncoder

#: Share of the session time-out after which a member sends its heartbeat.
HEARTBEATS = 6
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

    # By name, since the composition root has imported it already.
    vars(composition)["create_faust_app"] = create_short


def recover_like_stock_faust() -> None:
    """Partitions are resumed before they are sought, as Faust 0.15.3 does."""
    SafeRecovery.on_recovery_completed = Recovery.on_recovery_completed  # type: ignore[method-assign]


def refuse_changelog_after(requests: int) -> None:
    """The broker takes the first so many record batches; the answer to later ones is an error."""
    send_batch = AIOKafkaProducer.send_batch
    left = requests

    async def send_or_refuse(producer: Any, batch: Any, topic: str, *, partition: int) -> Any:
        nonlocal left
        if topic.endswith(CHANGELOG):
            left -= 1
            if left < 0:
                answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
                answer.set_exception(ChangelogRefusedError("the changelog takes no more"))
                return answer
        return await send_batch(producer, batch, topic, partition=partition)

    AIOKafkaProducer.send_batch = send_or_refuse


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--session-timeout", type=float, default=3.0, help="seconds")
    parser.add_argument("--stock-recovery", action="store_true")
    parser.add_argument("--refuse-changelog-after", type=int, metavar="REQUESTS")
    options = parser.parse_args()
    shorten_sessions(options.session_timeout)
    if options.stock_recovery:
        recover_like_stock_faust()
    if options.refuse_changelog_after is not None:
        refuse_changelog_after(options.refuse_changelog_after)
    try:
        return composition.run_worker(load_settings(), encoder=FakeEncoder())
    except KolError as error:
        sys.stderr.write(f"kol: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
