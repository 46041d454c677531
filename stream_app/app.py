"""The composition root: settings in, a worker out."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from stream_app.core.scheme import PRESETS, Scheme, Tier
from stream_app.encoder.base import Encoder
from stream_app.encoder.factory import create_encoder
from stream_app.engine.agents import add_agents, owns_snapshots
from stream_app.engine.answers import Answers
from stream_app.engine.board_reader import BoardReader
from stream_app.engine.broker_watch import BrokerWatch
from stream_app.engine.event_feed import EventFeed
from stream_app.engine.faust_app import SafeApp, create_faust_app, create_user_table
from stream_app.engine.intake import Intake
from stream_app.engine.internal_records import record_key
from stream_app.engine.leader import Leader
from stream_app.engine.leftovers import refuse_lost_rows
from stream_app.engine.metrics import Metrics
from stream_app.engine.outbox import Outbox
from stream_app.engine.ownership import Ownership
from stream_app.engine.pipeline import Pipeline
from stream_app.engine.row_cache import RowCache
from stream_app.engine.scorer import Scorer
from stream_app.engine.snapshots import SnapshotPublisher
from stream_app.engine.startup_checks import check_faust
from stream_app.engine.state_folder import StateFolder
from stream_app.engine.topics import topic_ids, topic_names
from stream_app.messages import TextFeatures
from stream_app.process import Beside, Process, WebServer, run_first, set_up_logging
from stream_app.settings import Settings, fingerprint
from stream_app.web.server import create_web_app

_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 - read, not bound


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
        self.pipeline.use(encoder)
        self.ownership.expect(fingerprint(settings, encoder.identity), ids)


def create_scheme(settings: Settings) -> Scheme:
    """What a score means under these settings."""
    return Scheme(
        preset=settings.preset,
        exponents=PRESETS[settings.preset] | (settings.exponents or {}),
        weights=dict(settings.weights),
        half_life_ms=settings.half_life * 1000,
        post_memory=settings.post_memory,
        interaction_memory=settings.interaction_memory,
        min_posts=settings.min_posts,
        active_window_ms=(
            round(settings.active_window * 1000) if settings.active_window is not None else None
        ),
        leave_margin=settings.leave_margin,
        tiers=tuple(
            Tier(name=name, quantile=float(q), min_population=settings.least_population(name))
            for name, q in settings.tiers.items()
        ),
        ranking_size=settings.ranking_size,
    )


def web_url(settings: Settings) -> str:
    """Base URL at which other workers reach this one."""
    if settings.web_advertise is not None:
        return f"http://{settings.web_advertise}"
    host = settings.web_bind.strip("[]")
    if host in _ALL_ADDRESSES:
        host = socket.gethostname()
    elif ":" in host:
        host = f"[{host}]"
    return f"http://{host}:{settings.web_port}"


def create_app(settings: Settings) -> Worker:
    """Put a worker together, so that its web API can answer, before it may start (`equip`).

    Touches neither the network, nor the disk, nor an event loop's time.
    """
    names, scheme, metrics = topic_names(settings), create_scheme(settings), Metrics()
    app = create_faust_app(settings, web_url(settings))
    table = create_user_table(app, settings)
    check_faust(app, table)
    sources = (names.posts, names.interactions)

    rows = RowCache(table)
    snapshots_ref: list[SnapshotPublisher] = []

    def on_gained(number: int) -> None:
        rows.forget(number)
        snapshots_ref[0].forget(number)

    ownership = Ownership(
        app=app,
        table=table,
        scheme=scheme,
        on_gained=on_gained,
    )
    table.on_recover(ownership.recover)
    boards = BoardReader(settings.broker, names.rankings, settings.app_id)
    feed = EventFeed(settings.broker, names.events, settings.partitions, app_id=settings.app_id)
    pipeline_ref: list[Pipeline] = []

    async def encode_text(text: str) -> TextFeatures:
        return await pipeline_ref[0].encode_text(text)

    scorer = Scorer(
        scheme=scheme,
        table=table,
        rows=rows,
        outbox=Outbox(app, names, settings.app_id, metrics),
        partitions=ownership.partitions,
        metrics=metrics,
        encode_text=encode_text,
    )
    snapshots = SnapshotPublisher(
        app=app,
        topic=names.snapshots,
        source_topics=sources,
        app_id=settings.app_id,
        scheme=scheme,
        rows=rows,
        scorer=scorer,
        partitions=ownership.partitions,
        distribution=lambda: boards.board.sketch if boards.board is not None else None,
        interval_s=settings.snapshot_interval,
        metrics=metrics,
    )
    snapshots_ref.append(snapshots)
    pipeline = Pipeline(
        scheme=scheme,
        intake=Intake(names, settings.partitions),
        scorer=scorer,
        snapshots=snapshots,
        rows=rows,
        partitions=ownership.partitions,
        metrics=metrics,
        line_key=record_key(settings.app_id, "line"),
        batch_size=settings.batch_size,
        linger_s=settings.linger,
    )
    pipeline_ref.append(pipeline)
    add_agents(app, pipeline, sources, names.thresholds, names.snapshots)
    leader = Leader(
        app=app,
        broker=settings.broker,
        topics=names,
        app_id=settings.app_id,
        partitions=settings.partitions,
        scheme=scheme,
        interval_s=settings.snapshot_interval,
        is_leader=lambda: owns_snapshots(app, names.snapshots),
    )
    watch = BrokerWatch(settings)
    answers = Answers(
        app=app,
        watch=watch,
        scheme=scheme,
        table=table,
        partitions=ownership.partitions,
        partition_count=settings.partitions,
        boards=boards,
        feed=feed,
        metrics=metrics,
        source_topics=sources,
    )
    token = settings.web_token
    web_app = create_web_app(
        answers,
        token=token.get_secret_value() if token is not None else None,
        base_url=web_url(settings),
    )
    loops = (pipeline.collect, pipeline.apply, boards.run, feed.run, leader.run, watch.run)
    return Worker(app, pipeline, ownership, watch, loops, web_app)


async def _prepare(
    settings: Settings, worker: Worker, server: WebServer, folder: StateFolder, encoder: Any
) -> None:
    """Everything that may refuse or take long, in the order in which a user can mend it."""
    await server.open()
    folder.open()
    await worker.watch.wait_for_topics()
    names = topic_names(settings)
    sources = [names.posts, names.interactions, names.thresholds, names.snapshots]
    ids = await topic_ids(settings, [*sources, names.changelog])
    folder.claim(ids[names.changelog])
    await asyncio.to_thread(refuse_lost_rows, settings)
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
        process = Process(worker.app, beside, quiet=True, redirect_stdouts=False, loop=loop)
        process.spinner = None
        return process.run()
    finally:
        folder.close()
