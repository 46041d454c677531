"""The Faust app: settings that are safe, and the classes that repair what is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

import faust
from faust.auth import SASLCredentials, SSLCredentials
from faust.sensors.monitor import Monitor
from faust.transport.drivers import aiokafka
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP
from yarl import URL

from stream_app.broker_access import aiokafka_arguments, tls_context, uses_sasl
from stream_app.engine.conductor import QuickConductor
from stream_app.engine.consumer import SafeConsumer
from stream_app.engine.odd_headers import read_odd_headers
from stream_app.engine.producer import SafeProducer
from stream_app.engine.recovery import SafeTableManager
from stream_app.engine.state_folder import state_folder
from stream_app.engine.stream import QuickStream
from stream_app.engine.topics import topic_names
from stream_app.engine.user_table import UserTable
from stream_app.settings import Settings

#: RocksDB's block caches, and its write buffers, of all partitions together, in bytes; what the
#: system caches of its files comes on top and gives way. The default through Faust is 2 GiB and
#: 192 MiB for each partition.
_CACHE_BYTES = 64 * 1024 * 1024
_WRITE_BUFFER_BYTES = 32 * 1024 * 1024
_LEAST_CACHE_BYTES = 1024 * 1024
_LEAST_WRITE_BUFFER_BYTES = 512 * 1024

#: Larger than any record a source topic carries once decompressed; the broker has its own limit.
_MOST_REQUEST_BYTES = 64 * 1024 * 1024

#: Heartbeats in a session, some of which may be late; and the longest time between two, for it is
#: with a heartbeat that a worker learns that others join.
_HEARTBEATS = 6
_HEARTBEAT_S = 0.5

#: Added to what a record may wait for the broker.
_WATCH_FIRST_S = 30.0


class QuietMonitor(Monitor):
    """Faust's monitor without the figures of each event, which nothing here reads."""

    def on_message_in(self, tp: Any, offset: int, message: Any) -> None:
        """Count nothing."""

    def on_message_out(self, tp: Any, offset: int, message: Any) -> None:
        """Count nothing."""

    def on_stream_event_in(self, tp: Any, offset: int, stream: Any, event: Any) -> None:
        """Count nothing."""

    def on_stream_event_out(
        self, tp: Any, offset: int, stream: Any, event: Any, state: Any = None
    ) -> None:
        """Count nothing."""


class SafeTransport(aiokafka.Transport):
    """Faust's aiokafka transport with our parts."""

    Conductor: ClassVar[Any] = QuickConductor
    Consumer: ClassVar[Any] = SafeConsumer
    Producer: ClassVar[Any] = SafeProducer


class SafeApp(faust.App):
    """Faust's app on our transport."""

    #: told how many records of a partition retention took before they were read
    on_missed: Callable[[TP, int], None] = staticmethod(lambda _tp, _records: None)

    def _new_transport(self) -> Any:
        return SafeTransport(self.conf.broker_consumer, self, loop=self.loop)


def create_faust_app(settings: Settings, web_url: str) -> SafeApp:
    """The app, with no agents yet. Touches neither the network nor an event loop."""
    read_odd_headers()
    brokers = ";".join(f"aiokafka://{address}" for address in settings.broker.split(","))
    return SafeApp(
        settings.app_id,
        broker=brokers,
        broker_credentials=credentials(settings),
        datadir=str(state_folder(settings)),
        store="rocksdb://",
        autodiscover=False,
        canonical_url=URL(web_url),
        web_enabled=False,
        web_tables_enabled=False,
        web_stats_enabled=False,
        worker_redirect_stdouts=False,
        Table=UserTable,
        TableManager=SafeTableManager,
        Stream=QuickStream,
        Monitor=QuietMonitor,
        ConsumerScheduler=DefaultSchedulingStrategy,
        agent_supervisor="mode.supervisors:CrashingSupervisor",
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        stream_wait_empty=True,
        # Posts in the buffer are paused at four fifths of it; small enough, and read in small
        # helpings, that a line does not wait for a backlog of posts to be taken in first.
        stream_buffer_maxsize=8_192,
        broker_max_poll_records=1_000,
        broker_commit_interval=1.0,
        broker_session_timeout=settings.session_timeout,
        broker_heartbeat_interval=min(settings.session_timeout / _HEARTBEATS, _HEARTBEAT_S),
        broker_request_timeout=90.0,
        consumer_auto_offset_reset="earliest",
        producer_linger=0.005,
        producer_max_batch_size=131_072,
        # Rows hardly shrink (signatures are random bits) and compressing them costs a tenth of a
        # core.
        producer_compression_type=None,
        # Longer than the broker may be away: `broker_watch` ends the worker, with a line that says
        # why, and not the first record that waited too long.
        producer_request_timeout=settings.broker_timeout + _WATCH_FIRST_S,
        producer_max_request_size=_MOST_REQUEST_BYTES,
        table_standby_replicas=0,
    )


def credentials(settings: Settings) -> SASLCredentials | SSLCredentials | None:
    """Faust's form of what the broker asks for; its consumer and producer both take it."""
    if uses_sasl(settings):
        given = aiokafka_arguments(settings)
        return SASLCredentials(
            username=given["sasl_plain_username"],
            password=given["sasl_plain_password"],
            mechanism=given["sasl_mechanism"],
            ssl_context=given["ssl_context"],
        )
    context = tls_context(settings)
    return None if context is None else SSLCredentials(context)


def create_user_table(app: SafeApp, settings: Settings) -> UserTable:
    """The table of user rows, its changelog under the contract's name."""
    names = topic_names(settings)
    raw: dict[str, Any] = {
        "key_type": bytes,
        "value_type": bytes,
        "key_serializer": "raw",
        "value_serializer": "raw",
    }
    changelog = app.topic(
        names.changelog,
        **raw,
        partitions=settings.partitions,
        compacting=True,
        deleting=False,
        acks=False,
        internal=True,
        allow_empty=True,
        maxsize=131_072,
    )
    table = app.Table(
        "users",
        key_type=bytes,
        value_type=bytes,
        partitions=settings.partitions,
        changelog_topic=changelog,
        # A dict of its own: Faust takes keys out of it.
        options={
            "driver": "rocksdict",
            "block_cache_size": max(_CACHE_BYTES // settings.partitions, _LEAST_CACHE_BYTES),
            "write_buffer_size": max(
                _WRITE_BUFFER_BYTES // settings.partitions, _LEAST_WRITE_BUFFER_BYTES
            ),
            "bloom_filter_size": 10,
            "max_open_files": 256,
        },
    )
    found = cast(UserTable, table)
    found.client = aiokafka_arguments(settings)
    return found
