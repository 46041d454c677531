"""Faust's conductor, which can also hand a run of records to their channel in one go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from faust.events import Event
from faust.transport.conductor import Conductor
from faust.types import TP
from faust.types.tuples import Message


class QuickConductor(Conductor):
    """Delivers what needs no waiting without a coroutine for each record.

    Channels carry raw bytes here (`agents`, `faust_app`), so there is nothing to decode.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._on_pressure_drop: dict[TP, Callable[[], None]] = {}
        super().__init__(*args, **kwargs)

    def deliver(self, tp: TP, messages: Sequence[Message]) -> int:
        """Put records of one partition into its channel; returns how many, from the first on.

        The rest has to wait (the flow is stopped, the channel is full), or is shared by several
        channels: both are the business of Faust's own handler.
        """
        app: Any = self.app
        channels = self._tp_index.get(tp, ())
        to_be_sent = app.producer.buffer
        if (
            len(channels) != 1
            or not app.flow_control.is_active()
            or to_be_sent.size > to_be_sent.max_messages
        ):
            return 0
        (channel,) = channels
        queue: Any = channel.queue
        fitting = messages[: max(0, queue.maxsize - queue.qsize())]
        if fitting:
            for message in fitting:
                message.refcount += 1
            # As `force_put_nowait` for each.
            queue._queue.extend(  # noqa: SLF001
                [Event(app, one.key, one.value, one.headers or None, one) for one in fitting]
            )
            queue._unfinished_tasks += len(fitting)  # noqa: SLF001
            queue._finished.clear()  # noqa: SLF001
            queue._wakeup_next(queue._getters)  # noqa: SLF001
        if queue.in_pressure_high_state(self._pressure_drop_of(tp)):
            app.sensors.on_topic_buffer_full(tp)
            app.consumer.on_buffer_full(tp)
        return len(fitting)

    def _pressure_drop_of(self, tp: TP) -> Callable[[], None]:
        """What tells the consumer that the channel has room again; the same one each time."""
        callback = self._on_pressure_drop.get(tp)
        if callback is None:
            callback = partial(self.app.consumer.on_buffer_drop, tp)
            self._on_pressure_drop[tp] = callback
        return callback
