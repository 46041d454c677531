"""Sends the posts on standard input, one JSON object a line, with aiokafka."""

import asyncio
import json
import os
import sys
from collections import deque

from aiokafka import AIOKafkaProducer

BROKER = os.environ.get("KOL_BROKER", "127.0.0.1:9092")
TOPIC = os.environ.get("KOL_PREFIX", "") + "posts"


def user_key(line: bytes) -> bytes:
    post = json.loads(line)
    return f"{post['platform']}:{post['user_id']}".encode()


async def main() -> None:
    # No partitioner is named: aiokafka's own is murmur2.
    producer = AIOKafkaProducer(
        bootstrap_servers=BROKER, acks="all", enable_idempotence=True, linger_ms=20
    )
    async with producer:
        unconfirmed: deque[asyncio.Future[object]] = deque()
        while line := await asyncio.to_thread(sys.stdin.buffer.readline):
            value = line.rstrip(b"\r\n")
            unconfirmed.append(await producer.send(TOPIC, value, key=user_key(value)))
            while unconfirmed and unconfirmed[0].done():
                await unconfirmed.popleft()  # raises where the broker refused the post
        await asyncio.gather(*unconfirmed)


asyncio.run(main())
