"""Sends the posts on standard input, one JSON object a line, with confluent-kafka."""

import json
import os
import sys

from confluent_kafka import KafkaError, Producer

BROKER = os.environ.get("KOL_BROKER", "127.0.0.1:9092")
TOPIC = os.environ.get("KOL_PREFIX", "") + "posts"

producer = Producer(
    {
        "bootstrap.servers": BROKER,
        "partitioner": "murmur2_random",  # librdkafka's own default is CRC32
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 20,
    }
)
refused: list[KafkaError] = []


def user_key(line: bytes) -> bytes:
    post = json.loads(line)
    return f"{post['platform']}:{post['user_id']}".encode()


def answered(error: KafkaError | None, _message: object) -> None:
    if error is not None:
        refused.append(error)


for line in sys.stdin.buffer:
    value = line.rstrip(b"\r\n")
    producer.produce(TOPIC, value, user_key(value), on_delivery=answered)
    producer.poll(0)  # hands over the broker's answers
    while len(producer) > 1_000:  # librdkafka's queue is finite
        producer.poll(0.1)
producer.flush()
if refused:
    sys.exit(f"{len(refused)} posts were not sent: {refused[0]}")
