"""The Faust agents: where records leave Faust's streams and enter ours."""

from __future__ import annotations

from typing import Any

from faust.types import TP

from stream_app.engine.faust_app import SafeApp
from stream_app.engine.pipeline import Pipeline


def add_agents(
    app: SafeApp,
    pipeline: Pipeline,
    sources: tuple[str, ...],
    thresholds: str,
    snapshots: str,
) -> None:
    """The agents for posts and interactions, for lines, and the one that elects the leader.

    All topics but the last have equally many partitions, so Faust assigns them together.
    """
    raw: dict[str, Any] = {
        "key_type": bytes,
        "value_type": bytes,
        "key_serializer": "raw",
        "value_serializer": "raw",
        "allow_empty": True,
    }

    async def score(stream: Any) -> None:
        consumer: Any = app.consumer
        consumer.give_back = pipeline.give_back
        await pipeline.take(stream, consumer.guard)

    async def follow_line(stream: Any) -> None:
        consumer: Any = app.consumer
        await pipeline.take_lines(stream, consumer.guard)

    async def elect(stream: Any) -> None:
        consumer: Any = app.consumer
        async for events in stream.noack().batches():
            consumer.guard.all_taken(events)
            stream.ack_all(events)

    app.agent(app.topic(*sources, **raw), name="score", concurrency=1)(score)
    app.agent(app.topic(thresholds, **raw), name="follow_line", concurrency=1)(follow_line)
    app.agent(app.topic(snapshots, **raw), name="elect", concurrency=1)(elect)


def owns_snapshots(app: SafeApp, topic: str) -> bool:
    """Whether this worker is the leader."""
    if app.should_stop or app.rebalancing or not app.tables.actives_ready:
        return False
    return TP(topic, 0) in app.assignor.assigned_actives()
