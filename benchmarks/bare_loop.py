"""The least that could do the job: an aiokafka loop with msgspec; no recovery, no web.

Decode, fold into a dict of running sums, produce the row to a changelog, commit after each poll.
It prints the number of events and the seconds from the first to the last as JSON.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
import time

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


class Post(msgspec.Struct):
    """The fields the fold needs."""

    id: str
    platform: str
    user_id: str
    text: str
    created_at: int
    follower_count: int | None = None
    like_count: int | None = None


class Row(msgspec.Struct, array_like=True):
    """Decayed sums of a user."""

    at: int = 0
    attention: float = 0.0
    logs: float = 0.0
    weight: float = 0.0
    followers: int = 0
    posts: int = 0


HALF_LIFE_MS = 30 * 86_400_000.0


def fold(row: Row, post: Post) -> None:
    """One post into the sums."""
    at = max(row.at, post.created_at)
    fade = 2.0 ** ((row.at - at) / HALF_LIFE_MS) if row.weight else 0.0
    weight = 2.0 ** ((post.created_at - at) / HALF_LIFE_MS)
    drawn = float(post.like_count or 0)
    row.attention = row.attention * fade + weight * (1.0 + drawn)
    row.logs = row.logs * fade + weight * math.log1p(drawn)
    row.weight = row.weight * fade + weight
    row.at = at
    row.followers = post.follower_count or row.followers
    row.posts += 1


async def main(broker: str, prefix: str, changelog: str, events: int) -> dict[str, float]:
    """Consume `events` posts."""
    decode = msgspec.json.Decoder(Post).decode
    encode = msgspec.msgpack.Encoder().encode
    consumer = AIOKafkaConsumer(
        f"{prefix}posts",
        bootstrap_servers=broker,
        group_id=f"bare-{time.time_ns()}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=broker, linger_ms=5, max_batch_size=131_072, acks="all"
    )
    await consumer.start()
    await producer.start()
    rows: dict[bytes, Row] = {}
    seen, started = 0, 0.0
    while seen < events:
        batches = await consumer.getmany(timeout_ms=1000, max_records=512)
        if not batches:
            continue
        started = started or time.perf_counter()
        sent = []
        for tp, records in batches.items():
            touched: dict[bytes, Row] = {}
            for record in records:
                post = decode(record.value)
                key = f"{post.platform}:{post.user_id}".encode()
                row = rows.get(key)
                if row is None:
                    row = rows[key] = Row()
                fold(row, post)
                touched[key] = row
            for key, row in touched.items():
                future = await producer.send(
                    changelog, encode(row), key=key, partition=tp.partition
                )
                sent.append(future)
            seen += len(records)
        await asyncio.gather(*sent)
        await consumer.commit()
    seconds = time.perf_counter() - started
    await consumer.stop()
    await producer.stop()
    return {"events": seen, "seconds": seconds}


if __name__ == "__main__":
    address, topic_prefix, app_id = (
        os.environ[name] for name in ("KOL_BROKER", "KOL_PREFIX", "KOL_APP_ID")
    )
    result = asyncio.run(
        main(address, topic_prefix, f"{topic_prefix}{app_id}-users-changelog", int(sys.argv[1]))
    )
    print(json.dumps(result))
