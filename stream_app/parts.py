"""The parts of a worker, each put together from settings and from the parts that it needs."""

from __future__ import annotations

import socket
from functools import cached_property
from typing import Any

from aiohttp import web

from stream_app.broker_access import aiokafka_arguments, librdkafka_options
from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.scheme import PRESETS, Scheme, Tier
from stream_app.engine.agents import owns_snapshots
from stream_app.engine.answers import Answers
from stream_app.engine.board_reader import BoardReader
from stream_app.engine.broker_watch import BrokerWatch
from stream_app.engine.ends import Ends
from stream_app.engine.event_feed import EventFeed
from stream_app.engine.faust_app import SafeApp, create_faust_app, create_user_table
from stream_app.engine.intake import Intake
from stream_app.engine.internal_records import record_key
from stream_app.engine.kept_columns import KeptColumns
from stream_app.engine.leader import Leader
from stream_app.engine.metrics import Metrics
from stream_app.engine.origins import Origins
from stream_app.engine.outbox import Outbox
from stream_app.engine.ownership import Ownership
from stream_app.engine.pipeline import Pipeline
from stream_app.engine.row_cache import RowCache
from stream_app.engine.scorer import Scorer
from stream_app.engine.snapshots import SnapshotPublisher
from stream_app.engine.state_folder import state_folder
from stream_app.engine.topics import TopicNames, topic_names
from stream_app.engine.user_table import UserTable
from stream_app.messages import TextFeatures
from stream_app.settings import Settings
from stream_app.web.server import create_web_app

_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 - read, not bound


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


class Parts:
    """Each part is made once, when first asked for, and before it those that it is made of.

    Parts that need each other meet in methods of this class, which look for the other one only
    when they are called.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.names: TopicNames = topic_names(settings)
        self.sources = (self.names.posts, self.names.interactions)
        self.scheme = create_scheme(settings)
        self.metrics = Metrics()

    @cached_property
    def client(self) -> dict[str, Any]:
        """What every aiokafka client beside Faust's is made with."""
        return aiokafka_arguments(self.settings)

    # -- what Faust gives

    @cached_property
    def app(self) -> SafeApp:
        """No agents are in it yet."""
        app = create_faust_app(self.settings, web_url(self.settings))
        app.on_missed = lambda tp, records: self.metrics.missed.labels(tp.topic).inc(records)
        return app

    @cached_property
    def table(self) -> UserTable:
        return create_user_table(self.app, self.settings)

    # -- a batch's way

    @cached_property
    def rows(self) -> RowCache:
        return RowCache(self.table)

    @cached_property
    def ownership(self) -> Ownership:
        return Ownership(
            app=self.app,
            table=self.table,
            scheme=self.scheme,
            on_gained=self._forget,
            kept=KeptColumns(state_folder(self.settings), self.scheme),
        )

    def _forget(self, number: int) -> None:
        """A partition was gained: what is known of it is of another owner's time."""
        self.rows.forget(number)
        self.snapshots.forget(number)

    @cached_property
    def scorer(self) -> Scorer:
        return Scorer(
            scheme=self.scheme,
            table=self.table,
            rows=self.rows,
            outbox=Outbox(self.app, self.names, self.settings.app_id, self.metrics),
            partitions=self.ownership.partitions,
            metrics=self.metrics,
            encode_text=self._encode_text,
        )

    async def _encode_text(self, text: str) -> TextFeatures:
        return await self.pipeline.encode_text(text)

    @cached_property
    def pipeline(self) -> Pipeline:
        settings = self.settings
        return Pipeline(
            scheme=self.scheme,
            intake=Intake(self.names, settings.partitions, settings.app_id),
            origins=Origins(self.app),
            scorer=self.scorer,
            snapshots=self.snapshots,
            rows=self.rows,
            partitions=self.ownership.partitions,
            metrics=self.metrics,
            line_key=record_key(settings.app_id, "line"),
            batch_size=settings.batch_size,
            linger_s=settings.linger,
        )

    # -- the line's way

    @cached_property
    def snapshots(self) -> SnapshotPublisher:
        return SnapshotPublisher(
            app=self.app,
            topic=self.names.snapshots,
            source_topics=self.sources,
            app_id=self.settings.app_id,
            scheme=self.scheme,
            rows=self.rows,
            scorer=self.scorer,
            partitions=self.ownership.partitions,
            distribution=self._distribution,
            interval_s=self.settings.snapshot_interval,
            metrics=self.metrics,
        )

    def _distribution(self) -> QuantileSketch | None:
        """Of the scores of all users of the system, as far as it is known."""
        board = self.boards.board
        return board.sketch if board is not None else None

    @cached_property
    def leader(self) -> Leader:
        return Leader(
            app=self.app,
            client=self.client,
            topics=self.names,
            app_id=self.settings.app_id,
            partitions=self.settings.partitions,
            scheme=self.scheme,
            interval_s=self.settings.snapshot_interval,
            is_leader=lambda: owns_snapshots(self.app, self.names.snapshots),
            metrics=self.metrics,
        )

    # -- what is shown

    @cached_property
    def boards(self) -> BoardReader:
        settings = self.settings
        return BoardReader(self.client, self.names.rankings, settings.app_id, self.scheme.formula)

    @cached_property
    def feed(self) -> EventFeed:
        settings = self.settings
        return EventFeed(
            self.client, self.names.events, settings.partitions, app_id=settings.app_id
        )

    @cached_property
    def ends(self) -> Ends:
        partitions = self.ownership.partitions
        return Ends(
            librdkafka_options(self.settings),
            lambda: [(topic, number) for topic in self.sources for number in partitions],
        )

    @cached_property
    def watch(self) -> BrokerWatch:
        return BrokerWatch(self.settings)

    @cached_property
    def web_app(self) -> web.Application:
        token = self.settings.web_token
        answers = Answers(
            app=self.app,
            watch=self.watch,
            scheme=self.scheme,
            table=self.table,
            partitions=self.ownership.partitions,
            partition_count=self.settings.partitions,
            boards=self.boards,
            feed=self.feed,
            ends=self.ends,
            metrics=self.metrics,
            source_topics=self.sources,
        )
        return create_web_app(
            answers,
            token=token.get_secret_value() if token is not None else None,
            base_url=web_url(self.settings),
            most_streams=self.settings.web_streams,
        )
