"""Faust as its tutorial has it: Records, a table write and a call of the model for each post.

python -m benchmarks.rivals.programs.faust_tutorial worker -l warn
"""

from __future__ import annotations

import os

import faust

from benchmarks.rivals.programs import job, models


class Post(faust.Record, serializer="json"):
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
    store="rocksdb://",
    datadir=job.FOLDER,
    topic_partitions=job.PARTITIONS,
    web_enabled=False,
)
posts = app.topic(job.TOPIC, value_type=Post)
risen = app.topic(job.OUT, value_serializer="json")
users = app.Table("users", partitions=job.PARTITIONS)

norms = (models.one_by_one if job.MODEL else models.free)(job.MODEL)
line = job.Line()
watch = job.Stopwatch()


@app.agent(posts)
async def score_posts(stream: faust.StreamT[Post]) -> None:
    """Every post by itself."""
    async for post in stream:
        watch.start()
        user = f"{post.platform}:{post.user_id}"
        norm = norms([post.text])[0]
        row = job.fold(users.get(user), post.created_at, post.follower_count, post.like_count, norm)
        users[user] = row
        now = job.score(row)
        if line.rose(user, now):
            watch.rose += 1
            await risen.send(key=user, value=line.told(user, now))
        if watch.count():
            watch.tell()
            os._exit(0)  # leaving in order takes seconds that nobody measures


if __name__ == "__main__":
    app.main()
