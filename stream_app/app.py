"""The composition root: settings in, a worker out."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from stream_app.broker_access import warning
from stream_app.encoder.base import Encoder
from stream_app.encoder.factory import create_encoder
from stream_app.engine.agents import add_agents
from stream_app.engine.broker_watch import BrokerWatch
from stream_app.engine.faust_app import SafeApp
from stream_app.engine.leftovers import refuse_lost_rows
from stream_app.engine.ownership import Ownership
from stream_app.engine.pipeline import Pipeline
from stream_app.engine.startup_checks import check_faust
from stream_app.engine.state_folder import StateFolder
from stream_app.engine.topics import topic_ids, topic_names
from stream_app.failures import set_up_logging
from stream_app.parts import Parts
from stream_app.process import Beside, Process, WebServer, allow_open_files, run_first
from stream_app.settings import Settings, fingerprint

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Worker:
    """A worker put together: the Faust app and what runs beside it."""

    app: SafeApp
    pipeline: Pipeline
    ownership: Ownership
    watch: BrokerWatch
    #: run beside the Faust app, for ever
    loops: tuple[Callable[[], Any], ...]
    web_app: web.Application

    def equip(self, settings: Settings, encoder: Encoder, ids: dict[str, str]) -> None:
        """Give it what takes time to come by; it may start after this.

        Args:
            settings: all settings.
            encoder: turns texts into features.
            ids: topic name -> id at the broker, of the topics that the rows rest on.
        """
        self.watch.expect(ids)
        self.pipeline.use(encoder)
        self.ownership.expect(fingerprint(settings, encoder.identity), ids)


def create_app(settings: Settings) -> Worker:
    """Put a worker together, so that its web API can answer, before it may start (`equip`).

    Touches neither the network nor an event loop's time; of the disk, the files of TLS only.
    """
    parts = Parts(settings)
    check_faust(parts.app, parts.table)

    async def recover() -> None:
        await parts.ownership.recover()
        parts.pipeline.take_again()

    parts.table.on_recover(recover)
    add_agents(
        parts.app, parts.pipeline, parts.sources, parts.names.thresholds, parts.names.snapshots
    )
    pipeline, watch = parts.pipeline, parts.watch
    return Worker(
        app=parts.app,
        pipeline=pipeline,
        ownership=parts.ownership,
        watch=watch,
        loops=(
            pipeline.collect,
            pipeline.apply,
            parts.boards.run,
            parts.feed.run,
            parts.leader.run,
            watch.run,
            parts.ends.run,
        ),
        web_app=parts.web_app,
    )


async def _prepare(
    settings: Settings, worker: Worker, server: WebServer, folder: StateFolder, encoder: Any
) -> None:
    """Everything that may refuse or take long, in the order in which a user can mend it."""
    await server.open()
    folder.open()
    await worker.watch.wait_for_topics()
    names = topic_names(settings)
    sources = [names.posts, names.interactions, names.thresholds, names.snapshots]
    watch = worker.watch
    ids = await watch.wait_for(lambda _: topic_ids(settings, [*sources, names.changelog]))
    folder.claim(ids[names.changelog])
    await watch.wait_for(lambda _: asyncio.to_thread(refuse_lost_rows, settings))
    if encoder is None:
        is_article = settings.preset == "article"
        encoder = await asyncio.to_thread(create_encoder, settings, logits_norm=is_article)
    worker.equip(settings, encoder, ids)


def run_worker(settings: Settings, *, encoder: Encoder | None = None) -> int:
    """Run one worker until it is told to stop; returns the exit code.

    Raises:
        KolError: with one line that says what to do; nothing was lost.
    """
    set_up_logging(settings.log_level)
    # The fetching thread takes many short turns; with Python's 5 ms it would wait longest for the
    # lock.
    sys.setswitchinterval(0.0005)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    overheard = warning(settings)
    if overheard is not None:
        log.warning("%s", overheard)
    allow_open_files(settings)
    worker = create_app(settings)
    server, folder = WebServer(worker.web_app, settings), StateFolder(settings)
    try:
        run_first(loop, _prepare(settings, worker, server, folder, encoder), server)
        # Cached rows are many objects without cycles: looking through them finds nothing.
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        beside = Beside(
            app=worker.app, loops=worker.loops, server=server, on_end=worker.pipeline.close
        )
        process = Process(
            worker.app,
            beside,
            quiet=True,
            redirect_stdouts=False,
            loop=loop,
            broker_is_lost=lambda: worker.watch.reason,
        )
        process.spinner = None
        code = process.run()
        if code == 0:
            worker.ownership.keep()
        return code
    finally:
        folder.close()
