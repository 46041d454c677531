"""A producer that gives headers names that are no UTF-8, as clients in C may.

Run as a program, `python -m tests.kafka.odd_headers BROKER TOPIC PARTITION VALUE...`: it needs
aiokafka's parser in Python, which is chosen before the import.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

NAME = b"h\xff\xfe"


class _OddName(str):
    __slots__ = ()

    def encode(self, _encoding: str = "utf-8", _errors: str = "strict") -> bytes:
        return NAME


async def _send(broker: str, topic: str, partition: int, values: list[str]) -> None:
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(bootstrap_servers=broker, compression_type="lz4", linger_ms=200)
    await producer.start()
    try:
        sent = [
            await producer.send(
                topic,
                value.encode(),
                partition=partition,
                headers=[("plain", b"1")] + [(_OddName("odd"), b"2")] * (number % 2),
            )
            for number, value in enumerate(values)
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


def produce_odd(broker: str, topic: str, partition: int, *values: str) -> None:
    """Values in one batch; every second of them has such a header."""
    subprocess.run(
        [sys.executable, "-m", __name__, broker, topic, str(partition), *values],
        env=os.environ | {"AIOKAFKA_NO_EXTENSIONS": "1"},
        check=True,
    )


if __name__ == "__main__":
    asyncio.run(_send(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
