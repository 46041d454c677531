"""A Kafka broker inside the process, for the demo and for quick tests: no Java, nothing to install.

It is the mock cluster that librdkafka carries for its own tests, reached through ctypes in the
library that the confluent-kafka wheel brings. It listens on a real TCP port of 127.0.0.1, so
clients of this and of other processes use it alike. Everything is in memory and lost at the end.

What it does as Apache Kafka does: produce and fetch (record batches are kept as they came, so keys,
nulls, headers, timestamps and lz4 survive), first and next offsets, topic ids, a consumer group
with commits and session time-outs, idempotent producers and transactions.

What it does otherwise, and what to do about it:

- No admin requests (CreateTopics, DescribeConfigs, ...): use `EmbeddedBroker.create_topic`, before
  any client runs, since a topic that a client merely asks for appears with 4 partitions.
- An empty fetch is answered only after the client's whole `fetch_max_wait_ms`, even when records
  arrive meanwhile: set that to some 50 ms (aiokafka's default is 500 ms, Faust's 1,500 ms).
- Several members in one group: as soon as the leader's SyncGroup is in, it refuses the others'
  with error 42, on which aiokafka gives up. One worker only; several need an Apache Kafka.
- A group whose last member has left lets the next one wait for a session time-out: keep it short.
- A fetch brings one record batch per partition at most, found by walking the log from its start:
  many tiny batches are slow, so producers should linger.
- A partition keeps its newest 5 MiB or 100,000 batches, and nothing is ever compacted.
- Offsets by time are not known (the answer is "none").
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Sequence
from typing import Self

from stream_app.errors import BrokerError, UsageError

log = logging.getLogger(__name__)

# Request types whose failure tests ask for; the numbers are those of the Kafka protocol.
PRODUCE, FETCH, LIST_OFFSETS, METADATA, OFFSET_COMMIT = 0, 1, 2, 3, 8
FIND_COORDINATOR, JOIN_GROUP, HEARTBEAT, SYNC_GROUP = 10, 11, 12, 14

_PRODUCER = 0  # rd_kafka_type_t: the cluster needs some client handle to live in
_ALL_BROKERS = -1
_BROKER_ID = 1  # the mock numbers its brokers from 1
_ERROR_TEXT_BYTES = 512

# Name, result, arguments. Without the declarations ctypes would cut pointers to 32 bits.
_PROTOTYPES: tuple[tuple[str, type | None, tuple[type, ...]], ...] = (
    ("rd_kafka_conf_new", ctypes.c_void_p, ()),
    ("rd_kafka_conf_set_log_cb", None, (ctypes.c_void_p, ctypes.c_void_p)),
    (
        "rd_kafka_new",
        ctypes.c_void_p,
        (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t),
    ),
    ("rd_kafka_destroy", None, (ctypes.c_void_p,)),
    ("rd_kafka_err2name", ctypes.c_char_p, (ctypes.c_int,)),
    ("rd_kafka_mock_cluster_new", ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_int)),
    ("rd_kafka_mock_cluster_destroy", None, (ctypes.c_void_p,)),
    ("rd_kafka_mock_set_controller_id", None, (ctypes.c_void_p, ctypes.c_int32)),
    ("rd_kafka_mock_cluster_bootstraps", ctypes.c_char_p, (ctypes.c_void_p,)),
    (
        "rd_kafka_mock_topic_create",
        ctypes.c_int,
        (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int),
    ),
    ("rd_kafka_mock_topic_delete", ctypes.c_int, (ctypes.c_void_p, ctypes.c_char_p)),
    ("rd_kafka_mock_broker_set_down", ctypes.c_int, (ctypes.c_void_p, ctypes.c_int32)),
    ("rd_kafka_mock_broker_set_up", ctypes.c_int, (ctypes.c_void_p, ctypes.c_int32)),
    (
        "rd_kafka_mock_push_request_errors_array",
        None,
        (ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)),
    ),
    ("rd_kafka_mock_clear_request_errors", None, (ctypes.c_void_p, ctypes.c_int16)),
    (
        "rd_kafka_mock_group_initial_rebalance_delay_ms",
        None,
        (ctypes.c_void_p, ctypes.c_int32),
    ),
)


def load_librdkafka() -> ctypes.CDLL:
    """The librdkafka that confluent-kafka itself uses, with the functions declared.

    The symbols are looked up through confluent-kafka's extension module, which the loader resolves
    into the library that it depends on, wherever the wheel has put it.

    Raises:
        UsageError: this platform's library does not carry the mock cluster.
    """
    from confluent_kafka import cimpl

    try:
        library = ctypes.CDLL(cimpl.__file__)
        for name, result, arguments in _PROTOTYPES:
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise UsageError(
            f"the embedded broker needs the librdkafka of the confluent-kafka wheel ({error}); "
            "use an Apache Kafka instead and set KOL_BROKER to its address"
        ) from error
    return library


class EmbeddedBroker:
    """One broker on a free port of 127.0.0.1, from `start` to `stop`; a context manager too.

    Args:
        rebalance_delay_ms: how long a new consumer group waits for more members before its first
            assignment (Kafka's `group.initial.rebalance.delay.ms`).

    Methods may be called from any thread. It lives as long as this process, not in forks of it.
    """

    def __init__(self, *, rebalance_delay_ms: int = 0) -> None:
        self._rebalance_delay_ms = rebalance_delay_ms
        self._library: ctypes.CDLL | None = None
        self._client: int | None = None
        self._cluster: int | None = None
        self._bootstrap = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """Its address, `127.0.0.1:port`."""
        self._running()
        return self._bootstrap

    def start(self) -> None:
        """Listens on `bootstrap` after the call; a second call does nothing."""
        if self._cluster is not None:
            return
        library = self._library = load_librdkafka()
        conf = library.rd_kafka_conf_new()
        # The handle never connects anywhere; its remarks about that are of no use to anyone.
        library.rd_kafka_conf_set_log_cb(conf, None)
        text = ctypes.create_string_buffer(_ERROR_TEXT_BYTES)
        self._client = library.rd_kafka_new(_PRODUCER, conf, text, len(text))
        if not self._client:
            raise BrokerError(f"the embedded broker does not start: {text.value.decode()}")
        self._cluster = library.rd_kafka_mock_cluster_new(self._client, 1)
        if not self._cluster:
            library.rd_kafka_destroy(self._client)
            raise BrokerError("the embedded broker cannot listen on 127.0.0.1")
        # Without a controller, clients wait for one in vain before they describe a topic.
        library.rd_kafka_mock_set_controller_id(self._cluster, _BROKER_ID)
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(
            self._cluster, self._rebalance_delay_ms
        )
        self._bootstrap = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        log.debug("embedded broker listens address=%s", self._bootstrap)

    def stop(self) -> None:
        """Closes every connection and forgets every record; a second call does nothing."""
        if self._library is None or self._cluster is None:
            return
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)
        self._cluster = self._client = None

    def create_topic(self, name: str, partitions: int) -> None:
        """The topic is there, empty, with that many partitions.

        Raises:
            BrokerError: it exists already, or the name or the number is not allowed.
        """
        library, cluster = self._running()
        self._check(
            library.rd_kafka_mock_topic_create(cluster, name.encode(), partitions, 1),
            f"cannot create topic {name} with {partitions} partitions",
        )

    def delete_topic(self, name: str) -> None:
        """The topic and its records are gone; made again, it has another id."""
        library, cluster = self._running()
        self._check(
            library.rd_kafka_mock_topic_delete(cluster, name.encode()),
            f"cannot delete topic {name}",
        )

    def set_down(self, down: bool) -> None:
        """Down: connections are cut and new ones refused, records stay. Up: as before."""
        library, cluster = self._running()
        change = (
            library.rd_kafka_mock_broker_set_down if down else library.rd_kafka_mock_broker_set_up
        )
        self._check(change(cluster, _ALL_BROKERS), "cannot switch the broker")

    def push_request_errors(self, request: int, errors: Sequence[int]) -> None:
        """The next requests of that type fail, one for each of the errors, in their order.

        Args:
            request: number of the request type in the Kafka protocol, such as `PRODUCE`.
            errors: Kafka's error codes; 0 lets one request pass, -195 cuts the connection.
        """
        library, cluster = self._running()
        codes = (ctypes.c_int * len(errors))(*errors)
        library.rd_kafka_mock_push_request_errors_array(cluster, request, len(errors), codes)

    def clear_request_errors(self, request: int) -> None:
        """Errors pushed for that request type and not used yet are forgotten."""
        library, cluster = self._running()
        library.rd_kafka_mock_clear_request_errors(cluster, request)

    def _running(self) -> tuple[ctypes.CDLL, int]:
        if self._library is None or self._cluster is None:
            raise BrokerError("the embedded broker is not running; call start() first")
        return self._library, self._cluster

    def _check(self, code: int, what: str) -> None:
        if code != 0 and self._library is not None:
            name = self._library.rd_kafka_err2name(code).decode()
            raise BrokerError(f"embedded broker: {what} ({name})")
