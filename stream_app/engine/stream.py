"""Faust's stream, handing over what it holds without a turn of the event loop for each record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import faust
from faust.types import EventT

#: Most records taken at once: the taker looks at its own limits in between.
_MOST = 1_000


class QuickStream(faust.Stream[Any]):
    """Takes one record as Faust does, then those that wait behind it.

    Faust's iterator sleeps once for each record. A turn of the event loop asks the operating system
    for news and gives up the interpreter's lock to the fetching thread, which costs more than the
    record itself.
    """

    async def batches(self) -> AsyncIterator[list[EventT[Any]]]:
        """Events in the order of the channel, as many at a time as there are."""
        async for event in self.events():
            yield [event, *self._waiting()]

    def ack_all(self, events: Sequence[EventT[Any]]) -> None:
        """Acknowledge events of this stream."""
        consumer: Any = self.app.consumer
        consumer.ack_all([event.message for event in events])

    def forget_all(self, events: Sequence[EventT[Any]]) -> None:
        """Let go of events that were taken and will not be acknowledged: they come again."""
        consumer: Any = self.app.consumer
        consumer.forget_all([event.message for event in events])

    def _waiting(self) -> list[EventT[Any]]:
        """What the channel holds, by the rules of Faust's own iterator (`_prepare_event`)."""
        channel: Any = self.channel
        app: Any = self.app
        queue = channel.queue
        if not app.flow_control.is_active():
            return []
        generation, acking = app.consumer_generation_id, app.topics.acks_enabled_for
        unacked = app.consumer._unacked_messages  # noqa: SLF001
        events: list[EventT[Any]] = []
        for event in _taken_at_once(queue):
            message = event.message
            if message.generation_id != generation:
                continue  # of an assignment that is over: it comes again where it belongs
            if not message.tracked and acking(message.topic):
                # A rebalance waits for what is taken and not yet acknowledged.
                message.tracked = True
                unacked.add(message)
            events.append(event)
        return events


def _taken_at_once(queue: Any) -> list[EventT[Any]]:
    """What waits in a queue of Faust's, as its `get_nowait` would give one by one."""
    if queue._errors:  # noqa: SLF001  - the next turn raises it
        return []
    items, putters = queue._queue, queue._putters  # noqa: SLF001
    taken = [items.popleft() for _ in range(min(_MOST, len(items)))]
    for _ in range(min(len(taken), len(putters))):
        queue._wakeup_next(putters)  # noqa: SLF001
    pending = queue._pending_pressure_drop_callbacks  # noqa: SLF001
    for _ in range(len(pending)):  # it tells one partition at a time that there is room again
        queue.maybe_endorse_pressure_drop()
    return taken
