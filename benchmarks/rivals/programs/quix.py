"""The job on Quix Streams: a stateful function for each post, RocksDB and changelog behind it.

It has no batches over users, so the model is called for each post.
"""

from __future__ import annotations

from typing import Any

from quixstreams import Application, State

from benchmarks.rivals.programs import job, models

norms = (models.in_batches if job.MODEL else models.free)(job.MODEL)
line = job.Line()
watch = job.Stopwatch()


def score_post(post: dict[str, Any], state: State) -> dict[str, Any] | None:
    """What is told of the user; None where she did not rise."""
    watch.start()
    norm = norms([post["text"]])[0]
    row = job.fold(
        state.get("row"),
        post["created_at"],
        post.get("follower_count"),
        post.get("like_count"),
        norm,
    )
    state.set("row", row)
    user, now = f"{post['platform']}:{post['user_id']}", job.score(row)
    if not line.rose(user, now):
        return None
    watch.rose += 1
    return line.told(user, now)


def main() -> None:
    """Until all posts are done; the last checkpoint counts, as every one before it."""

    def done(_topic: str, _partition: int, _offset: int) -> None:
        if watch.count():
            app.stop()

    app = Application(
        broker_address=job.BROKER,
        consumer_group=job.NAME,
        auto_offset_reset="earliest",
        state_dir=job.FOLDER,
        on_message_processed=done,
        loglevel="WARNING",
    )
    posts = app.topic(job.TOPIC, value_deserializer="json", key_deserializer="bytes")
    risen = app.topic(job.OUT, value_serializer="json", key_serializer="bytes")
    scored = app.dataframe(posts).apply(score_post, stateful=True)
    scored.filter(lambda told: told is not None).to_topic(risen)
    app.run()
    watch.tell()


if __name__ == "__main__":
    main()
