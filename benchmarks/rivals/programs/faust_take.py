"""Faust with `take`: batches, bytes decoded by msgspec, one table write for each user of a batch.

    python -m benchmarks.rivals.programs.faust_take worker -l warn

In an agent that uses `take` there is no current event, without which Faust writes to no table on
RocksDB. What is left is a table in memory that finds the partition by its key; so keys are the very
bytes that the posts have.
"""

from __future__ import annotations

import os

import faust
import msgspec

from benchmarks.rivals.programs import job, models

WITHIN_S = 0.5


class Post(msgspec.Struct):
    """The fields that the job needs."""

    id: str
    platform: str
    user_id: str
    text: str
    created_at: int
    follower_count: int | None = None
    like_count: int | None = None


app = faust.App(
    job.NAME,
    broker=f"kafka://{job.BROKER}",
    store="memory://",
    datadir=job.FOLDER,
    topic_partitions=job.PARTITIONS,
    web_enabled=False,
    key_serializer="raw",
)
posts = app.topic(job.TOPIC, value_serializer="raw")
risen = app.topic(job.OUT, value_serializer="json")
users = app.Table(
    "users",
    key_type=bytes,
    partitions=job.PARTITIONS,
    use_partitioner=True,
)

decode = msgspec.json.Decoder(Post).decode
norms = (models.in_batches if job.MODEL else models.free)(job.MODEL)
line = job.Line()
watch = job.Stopwatch()


@app.agent(posts)
async def score_posts(stream: faust.StreamT[bytes]) -> None:
    """A batch at a time."""
    async for values in stream.take(job.BATCH, within=WITHIN_S):
        watch.start()
        batch = [decode(value) for value in values]
        touched: dict[bytes, job.Row] = {}
        for post, norm in zip(batch, norms([post.text for post in batch]), strict=True):
            user = f"{post.platform}:{post.user_id}".encode()
            row = touched.get(user) or users.get(user)
            touched[user] = job.fold(
                row, post.created_at, post.follower_count, post.like_count, norm
            )
        for user, row in touched.items():
            users[user] = row
            now = job.score(row)
            if line.rose(user, now):
                watch.rose += 1
                await risen.send(key=user, value=line.told(user.decode(), now))
        if watch.count(len(batch)):
            watch.tell()
            os._exit(0)  # leaving in order takes seconds that nobody measures


if __name__ == "__main__":
    app.main()
