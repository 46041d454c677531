"""The worker's own work in a plain loop: its scoring, its rows, its commit, and nothing around it.

The same decoding, fold, tiers, columns and rows as the worker's, the rows to a changelog and to
RocksDB, KOL events to their topic, all confirmed before the offsets are committed. No Faust, no
order guard, fencing or recovery, no leader but the line drawn here, no web. What a worker takes
more than this is the price of its engine. Prints the number of events and the seconds from the
first to the last as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import rocksdict
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.null_worker import NullEncoder
from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.scheme import Scheme
from stream_app.core.tiers import Line, draw
from stream_app.engine.intake import Accepted, Intake
from stream_app.engine.internal_records import PartitionMeta
from stream_app.engine.metrics import Metrics
from stream_app.engine.outbox import Outbox
from stream_app.engine.partition import Partition
from stream_app.engine.row_cache import RowCache
from stream_app.engine.scorer import Scorer
from stream_app.engine.topics import topic_names
from stream_app.engine.user_table import Write
from stream_app.parts import create_scheme
from stream_app.settings import Settings, load_settings

_BATCH_BYTES = 512 * 1024


class Rows:
    """Rows in a changelog and in one RocksDB for all partitions."""

    def __init__(self, producer: AIOKafkaProducer, changelog: str, folder: str) -> None:
        self._producer = producer
        self._changelog = changelog
        self._database = rocksdict.Rdict(folder, rocksdict.Options(raw_mode=True))

    def read(self, partition: int, key: bytes) -> bytes | None:
        """A key is of one partition."""
        found: bytes | None = self._database.get(key)
        return found

    def changelog_offset(self, _partition: int) -> int:
        """Nobody recovers here."""
        return 0

    async def write(self, writes: Sequence[Write]) -> None:
        """To the changelog, confirmed, and to the database."""
        groups: dict[int, list[Write]] = {}
        for write in writes:
            groups.setdefault(write.partition, []).append(write)
        await asyncio.gather(*[self._append(number, group) for number, group in groups.items()])
        batch = rocksdict.WriteBatch(raw_mode=True)
        for write in writes:
            batch.put(write.key, write.value)
        self._database.write(batch)

    async def _append(self, partition: int, writes: Sequence[Write]) -> None:
        now, sent = time.time_ns() // 1_000_000, []
        batch = self._producer.create_batch()
        for _, key, value in writes:
            if batch.append(timestamp=now, key=key, value=value) is None:
                sent.append(await self._send(batch, partition))
                batch = self._producer.create_batch()
                batch.append(timestamp=now, key=key, value=value)
        sent.append(await self._send(batch, partition))
        await asyncio.gather(*sent)

    async def _send(self, batch: Any, partition: int) -> Any:
        return await self._producer.send_batch(batch, self._changelog, partition=partition)


class EventProducer:
    """Faust's form of sending."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def send(
        self, topic: str, key: Any, value: Any, partition: Any, timestamp: Any, headers: Any
    ) -> Any:
        """The broker's answer to come."""
        return await self._producer.send(
            topic, value, key=key, partition=partition, timestamp_ms=timestamp, headers=headers
        )


class Loop:
    """Polls, scores, commits."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, folder: str) -> None:
        self._scheme: Scheme = create_scheme(settings)
        names = topic_names(settings)
        meta = [PartitionMeta(fingerprint={}, topic_ids={}) for _ in range(settings.partitions)]
        self._partitions = {
            number: Partition(number, own, self._scheme) for number, own in enumerate(meta)
        }
        for partition in self._partitions.values():
            partition.announced = True
        table: Any = Rows(producer, names.changelog, folder)
        metrics, app = Metrics(), SimpleNamespace(producer=EventProducer(producer))
        self._intake = Intake(names, settings.partitions, settings.app_id)
        self._encoder = NullEncoder()
        self._scorer = Scorer(
            scheme=self._scheme,
            table=table,
            rows=RowCache(table),
            outbox=Outbox(app, names, settings.app_id, metrics),
            partitions=self._partitions,
            metrics=metrics,
            encode_text=self._encode_one,
        )
        self._version = 0
        self._next_line = 0.0

    async def _encode_one(self, text: str) -> Any:
        return self._encoder.encode([text])[0]

    async def score(self, records: Sequence[Any]) -> None:
        """Apply records as one batch; a new line each second."""
        items = [(record, self._intake.read(record)) for record in records]
        texts = list({v.post.text for _, v in items if isinstance(v, Accepted) and v.post})
        await self._scorer.apply(items, dict(zip(texts, self._encoder.encode(texts), strict=True)))
        if time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + 1.0
            await self._draw()

    async def _draw(self) -> None:
        self._version += 1
        owned = self._partitions.values()
        sketch = QuantileSketch.merged(partition.sketch for partition in owned)
        mark = max((m for p in owned if (m := p.high_mark()) is not None), default=None)
        tiers, formula = draw(sketch, self._scheme), self._scheme.formula
        line = Line(self._version, mark, mark, sketch.n, tiers, {}, formula)
        await self._scorer.apply_lines(dict.fromkeys(self._partitions, (line, sketch)))


async def main(events: int, batch_size: int) -> dict[str, float]:
    """Consume `events` posts."""
    settings = load_settings()
    consumer = AIOKafkaConsumer(
        topic_names(settings).posts,
        bootstrap_servers=settings.broker,
        group_id=f"same-{time.time_ns()}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.broker,
        linger_ms=5,
        max_batch_size=_BATCH_BYTES,
        acks="all",
        enable_idempotence=True,
        max_request_size=64 * 1024 * 1024,
    )
    await consumer.start()
    await producer.start()
    seen, started = 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(settings, producer, f"{folder}/rows")
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        while seen < events:
            fetched = await consumer.getmany(timeout_ms=1000, max_records=batch_size)
            records = [_message(record) for batch in fetched.values() for record in batch]
            if not records:
                continue
            started = started or time.perf_counter()
            await loop.score(records)
            seen += len(records)
            await consumer.commit()
        seconds = time.perf_counter() - started
    await consumer.stop()
    await producer.stop()
    return {"events": seen, "seconds": seconds}


def _message(record: Any) -> Any:
    """As Faust has it: the time in seconds."""
    return SimpleNamespace(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        value=record.value,
        timestamp=record.timestamp / 1000,
        headers=record.headers,
    )


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))))
