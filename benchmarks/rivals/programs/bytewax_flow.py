"""The job on Bytewax: one worker, batches into the model, state by user, snapshots to SQLite."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import msgspec
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main

from benchmarks.rivals.programs import job, models

EPOCH = timedelta(seconds=5)


class Post(msgspec.Struct):
    """The fields that the job needs."""

    id: str
    platform: str
    user_id: str
    text: str
    created_at: int
    follower_count: int | None = None
    like_count: int | None = None


decode = msgspec.json.Decoder(Post).decode
norms = (models.in_batches if job.MODEL else models.free)(job.MODEL)
line = job.Line()
watch = job.Stopwatch()


def encode(messages: list[Any]) -> list[tuple[str, tuple[Post, float]]]:
    """A batch of Kafka's messages as (user, (post, norm))."""
    watch.start()
    posts = [decode(message.value) for message in messages]
    found = norms([post.text for post in posts])
    return [
        (f"{post.platform}:{post.user_id}", (post, norm))
        for post, norm in zip(posts, found, strict=True)
    ]


def score_post(row: job.Row | None, given: tuple[Post, float]) -> tuple[job.Row, Any]:
    """The new row, and what is told of the user; None where she did not rise."""
    post, norm = given
    watch.count()
    new = job.fold(row, post.created_at, post.follower_count, post.like_count, norm)
    user, now = f"{post.platform}:{post.user_id}", job.score(new)
    if not line.rose(user, now):
        return new, None
    watch.rose += 1
    return new, line.told(user, now)


def message(told: tuple[str, Any]) -> KafkaSinkMessage[bytes, bytes]:
    """As Kafka gets it."""
    user, what = told
    return KafkaSinkMessage(user.encode(), json.dumps(what).encode())


def main() -> None:
    """Until the end of the topic."""
    flow = Dataflow("job")
    read = kop.input(
        "read",
        flow,
        brokers=[job.BROKER],
        topics=[job.TOPIC],
        tail=False,
        batch_size=job.BATCH,
    )
    encoded = op.flat_map_batch("encode", read.oks, encode)
    scored = op.stateful_map("score", encoded, score_post)
    risen = op.filter("risen", scored, lambda told: told[1] is not None)
    kop.output("tell", op.map("message", risen, message), brokers=[job.BROKER], topic=job.OUT)
    init_db_dir(Path(job.FOLDER), 1)
    cluster_main(flow, [], 0, epoch_interval=EPOCH, recovery_config=RecoveryConfig(job.FOLDER))
    watch.tell()


if __name__ == "__main__":
    main()
