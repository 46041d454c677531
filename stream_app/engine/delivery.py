"""The delivery of one record by Faust's own handler, without the futures that it need not have."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any

from faust.types.tuples import Message


class Delivery:
    """Faust's delivery of one record; only one that has to wait becomes a task."""

    __slots__ = ("_callback", "_consumer")

    def __init__(self, consumer: Any, callback: Any) -> None:
        self._consumer = consumer
        self._callback = callback

    async def __call__(self, message: Message) -> None:
        coroutine = self._callback(message)
        try:
            waiting_for = coroutine.send(None)
        except StopIteration:
            return
        # Suspended: buffers are full or the flow is stopped. A rebalance must be able to end the
        # wait.
        rest = Rest(coroutine, waiting_for)
        await self._consumer.wait_first(finish(rest), self._consumer.suspend_flow.wait())


class Rest:
    """The rest of a coroutine that has been advanced to its first suspension."""

    __slots__ = ("_coroutine", "_waiting_for")

    def __init__(self, coroutine: Coroutine[Any, Any, None], waiting_for: Any) -> None:
        self._coroutine = coroutine
        self._waiting_for = waiting_for

    def __await__(self) -> Generator[Any, Any, None]:
        waiting_for = self._waiting_for
        while True:
            try:
                sent = yield waiting_for
            except (
                BaseException
            ) as exc:  # handed on: cancellation and errors belong to the coroutine
                step: Any = self._coroutine.throw
                argument: Any = exc
            else:
                step = self._coroutine.send
                argument = sent
            try:
                waiting_for = step(argument)
            except StopIteration:
                return


async def finish(rest: Rest) -> None:
    await rest
