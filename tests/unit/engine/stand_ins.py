"""A worker without Kafka: the real parts of the engine over a table and a log in memory.

What the broker keeps (`Broker`) outlives a worker, so a test can kill one anywhere and start
another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from faust.types import TP

from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.row import UserRow, decode_row
from stream_app.core.scheme import Scheme
from stream_app.core.tiers import Line, TierLine, draw
from stream_app.engine.fencing import RESERVED, Fencing
from stream_app.engine.intake import Intake
from stream_app.engine.metrics import Metrics
from stream_app.engine.outbox import Outbox
from stream_app.engine.ownership import Ownership
from stream_app.engine.row_cache import RowCache
from stream_app.engine.scorer import Scorer
from stream_app.engine.topics import TopicNames
from stream_app.engine.user_table import Write
from stream_app.messages import (
    Interaction,
    KolEvent,
    Post,
    TextFeatures,
    decode_event,
    encode_interaction,
    encode_post,
    partition_of,
)
from tests.fakes import FakeEncoder
from tests.schemes import make_scheme
from tests.unit.engine.memory_log import MemoryLog, MemoryRows

PARTITIONS = 4
TOPICS = TopicNames(
    posts="posts",
    interactions="interactions",
    events="kol-events",
    dead_letters="posts-dlq",
    snapshots="kol-snapshots",
    thresholds="kol-thresholds",
    rankings="kol-rankings",
    changelog="kol-users-changelog",
)
#: A record is appended this long after its event happened.
DELAY_MS = 1_000


class Crash(Exception):
    """The process ends here."""


@dataclass
class Sent:
    """A record as a producer gave it to the broker."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None
    timestamp: float | None
    headers: list[tuple[str, bytes]]
    is_alone: bool = False

    def header(self, name: str) -> str:
        return next(value.decode() for key, value in self.headers if key == name)


class Fuse:
    """Burns down with each confirmed write and send; what comes after it is a crash."""

    def __init__(self) -> None:
        self.left: int | None = None

    def burn(self) -> None:
        if self.left is not None:
            if self.left == 0:
                raise Crash
            self.left -= 1


class Broker:
    """What outlives a worker: changelog, sent records, source records, in the order they came."""

    def __init__(self) -> None:
        self.fuse = Fuse()
        #: everything confirmed, in order: ("row", key) and ("sent", topic)
        self.journal: list[tuple[str, Any]] = []
        self.log = MemoryLog(self._confirm_row)
        self.sent: list[Sent] = []
        self.source: dict[tuple[str, int], list[Any]] = {}

    def _confirm_row(self, key: bytes) -> None:
        self.fuse.burn()
        self.journal.append(("row", key))

    def append(
        self,
        event: Post | Interaction | bytes | None,
        *,
        topic: str = "posts",
        partition: int | None = None,
        timestamp_ms: int | None = None,
        key: bytes | None = None,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> Any:
        """A source record, by default where its user belongs."""
        if isinstance(event, Post | Interaction):
            topic = "posts" if isinstance(event, Post) else "interactions"
            value: bytes | None = (
                encode_post(event) if isinstance(event, Post) else encode_interaction(event)
            )
            key = event.key.encode()
            if partition is None:
                partition = partition_of(key, PARTITIONS)
            if timestamp_ms is None:
                timestamp_ms = event.event_time + DELAY_MS
        else:
            value = event
        partition = partition or 0
        log = self.source.setdefault((topic, partition), [])
        record = SimpleNamespace(
            topic=topic,
            partition=partition,
            tp=TP(topic, partition),
            offset=len(log),
            key=key,
            value=value,
            timestamp=(timestamp_ms or 0) / 1000,
            headers=headers or [],
        )
        log.append(record)
        return record

    def events(self) -> list[KolEvent]:
        """KOL events in the order of arrival, repeats included."""
        return [decode_event(s.value) for s in self.sent if s.topic == TOPICS.events]


class Table:
    """`UserTable` in memory, with the real fencing; it begins with what the changelog holds."""

    changelog_topic_name = TOPICS.changelog

    def __init__(self, broker: Broker) -> None:
        self._rows = MemoryRows()
        self._fencing = Fencing(broker.log, self._rows)
        for partition, records in broker.log.records.items():
            self._fencing.absorb(partition, records)

    def read(self, partition: int, key: bytes) -> bytes | None:
        return self._rows.get(partition, key)

    def rows(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._rows.pairs.get(partition, {}).items():
            if not key.startswith(RESERVED):
                yield key, value

    async def take_over(self, partition: int, least_epoch: int = 0) -> int:
        return await self._fencing.take_over(partition, least_epoch)

    async def write(self, writes: list[Write]) -> None:
        for partition in dict.fromkeys(write.partition for write in writes):
            pairs = [(key, value) for number, key, value in writes if number == partition]
            await self._fencing.write(partition, pairs)

    def changelog_offset(self, partition: int) -> int | None:
        return self._rows.offset(partition)


class Producer:
    """Confirms what is sent when it is awaited, unless told to hold it back."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.hold: asyncio.Event | None = None
        #: raised instead of a confirmation, by topic
        self.refusals: dict[str, list[Exception]] = {}

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: list[tuple[str, bytes]] | None,
    ) -> asyncio.Future[None]:
        assert (key, value) != (None, None), "as aiokafka's own assertion"
        sent = Sent(topic, key, value, partition, timestamp, headers or [])
        return asyncio.ensure_future(self._confirm(sent))

    async def send_alone(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp_ms: int | None,
        headers: list[tuple[str, bytes]],
    ) -> asyncio.Future[None]:
        timestamp = None if timestamp_ms is None else timestamp_ms / 1000
        sent = Sent(topic, key, value, partition, timestamp, headers, is_alone=True)
        return asyncio.ensure_future(self._confirm(sent))

    async def _confirm(self, sent: Sent) -> None:
        if self.hold is not None:
            await self.hold.wait()
        if self.refusals.get(sent.topic):
            raise self.refusals[sent.topic].pop(0)
        self._broker.fuse.burn()
        self._broker.sent.append(sent)
        self._broker.journal.append(("sent", sent.topic))


@dataclass
class Worker:
    """One life of a worker that owns all partitions."""

    broker: Broker
    scheme: Scheme
    most_rows: int = 1000
    fingerprint: dict[str, str] = field(default_factory=lambda: {"half_life": "30d"})
    topic_ids: dict[str, str] = field(default_factory=lambda: {"posts": "id-1"})

    def __post_init__(self) -> None:
        self.table = cast(Any, Table(self.broker))
        self.producer = Producer(self.broker)
        self.app: Any = SimpleNamespace(
            should_stop=False,
            producer=self.producer,
            assignor=SimpleNamespace(assigned_actives=lambda: self.assigned),
            consumer=SimpleNamespace(known_end=self._highwater),
        )
        self.owned = range(PARTITIONS)
        self.encoder = FakeEncoder()
        self.metrics = Metrics()
        self.rows = RowCache(self.table, self.most_rows)
        self.intake = Intake(TOPICS, PARTITIONS, "kol")
        self.gained: list[int] = []
        self.ownership = Ownership(
            app=self.app,
            table=self.table,
            scheme=self.scheme,
            on_gained=self._on_gained,
        )
        self.ownership.expect(self.fingerprint, self.topic_ids)
        self.outbox = Outbox(self.app, TOPICS, "kol", self.metrics)
        self.scorer = Scorer(
            scheme=self.scheme,
            table=self.table,
            rows=self.rows,
            outbox=self.outbox,
            partitions=self.ownership.partitions,
            metrics=self.metrics,
            encode_text=self.encode_text,
        )

    @property
    def assigned(self) -> set[TP]:
        return {TP(TOPICS.changelog, number) for number in self.owned}

    def _on_gained(self, number: int) -> None:
        self.gained.append(number)
        self.rows.forget(number)

    def _highwater(self, tp: TP) -> int:
        return len(self.broker.source.get((tp.topic, tp.partition), []))

    async def encode_text(self, text: str) -> TextFeatures:
        return self.encoder.encode([text])[0]

    def count_writes(self) -> list[int]:
        """From now on, the number of rows of each write."""
        sizes: list[int] = []
        write = self.table.write

        async def counted(writes: Any) -> None:
            sizes.append(len(writes))
            await write(writes)

        self.table.write = counted
        return sizes

    async def start(self) -> Worker:
        """Take over the partitions as after a rebalance."""
        await self.ownership.recover()
        return self

    async def handle(self, records: Iterable[Any]) -> None:
        """Apply source records as one batch."""
        await self.scorer.apply([(record, self.intake.read(record)) for record in records], {})

    async def score(self, *events: Post | Interaction) -> None:
        """Append events to the source and apply them as one batch."""
        await self.handle([self.broker.append(event) for event in events])

    async def draw(self, version: int, expiry_mark: int | None = None) -> Line:
        """A line over all eligible users, applied to every partition as the leader's would be."""
        line, sketch = self.line(version, expiry_mark)
        for number in sorted(self.ownership.partitions):
            await self.scorer.apply_lines({number: (line, sketch)})
        return line

    def line(self, version: int, expiry_mark: int | None = None) -> tuple[Line, QuantileSketch]:
        partitions = self.ownership.partitions.values()
        sketch = QuantileSketch.merged(partition.sketch for partition in partitions)
        mark = self.scorer._decider.high_mark()
        tiers = draw(sketch, self.scheme)
        return Line(version, mark, expiry_mark or mark, sketch.n, tiers, {}), sketch

    def row(self, key: str) -> UserRow | None:
        """As stored."""
        raw = key.encode()
        data = self.table.read(partition_of(raw, PARTITIONS), raw)
        return None if data is None else decode_row(data)

    def count(self, name: str, **labels: str) -> float:
        """A counter's value."""
        return self.metrics.registry.get_sample_value(f"kol_{name}_total", labels) or 0.0


def fixed_line(
    version: int,
    tiers: Sequence[tuple[str, float | None, float | None]],
    *,
    high_mark: int | None = None,
    expiry_mark: int | None = None,
    population: int = 100,
) -> Line:
    """A line with these (name, enter z, leave z)."""
    bounds = tuple(TierLine(name, 0.9, enter, leave) for name, enter, leave in tiers)
    formula = make_scheme().formula
    return Line(version, high_mark, expiry_mark, population, bounds, {}, formula)
