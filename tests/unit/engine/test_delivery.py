"""A delivery that has to wait, and one that has not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from stream_app.engine.delivery import Delivery, Rest, finish
from stream_app.errors import OrderError

MESSAGE: Any = "m"


def advanced(coroutine: Any) -> Rest:
    """The rest of a coroutine that has run to its first suspension."""
    return Rest(coroutine, coroutine.send(None))


# -- Rest: a coroutine begun outside a task goes on within one


def test_the_rest_of_a_coroutine_goes_on_where_it_was_suspended() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        first, second, seen = loop.create_future(), loop.create_future(), []

        async def work() -> None:
            seen.append(await first)
            await asyncio.sleep(0)
            seen.append(await second)

        task = asyncio.create_task(finish(advanced(work())))
        first.set_result("a")  # even before the task has begun
        await asyncio.sleep(0)
        second.set_result("b")
        await task
        assert seen == ["a", "b"]

    asyncio.run(body())


def test_errors_and_cancellation_belong_to_the_coroutine() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        seen: list[str] = []

        async def work(future: asyncio.Future[None]) -> None:
            try:
                await future
            except ValueError:
                seen.append("caught")
                raise KeyError("own") from None
            finally:
                seen.append("left")

        failing = loop.create_future()
        task = asyncio.create_task(finish(advanced(work(failing))))
        failing.set_exception(ValueError("of the future"))
        with pytest.raises(KeyError, match="own"):
            await task
        task = asyncio.create_task(finish(advanced(work(loop.create_future()))))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["caught", "left", "left"]

    asyncio.run(body())


# -- Delivery


class Waiting:
    """What `Delivery` needs of a consumer."""

    def __init__(self) -> None:
        self.suspend_flow = asyncio.Event()
        self.waits = 0

    async def wait_first(self, *awaitables: Any) -> None:
        self.waits += 1
        tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()


def deliver(test: Callable[[Waiting], Any]) -> None:
    async def body() -> None:
        await test(Waiting())

    asyncio.run(body())


def test_a_record_that_need_not_wait_costs_no_task() -> None:
    async def test(consumer: Waiting) -> None:
        seen: list[Any] = []

        async def callback(message: Any) -> None:
            seen.append(message)

        await Delivery(consumer, callback)(MESSAGE)
        assert (seen, consumer.waits) == (["m"], 0)

    deliver(test)


def test_a_record_that_waits_for_room_is_delivered_when_there_is_some() -> None:
    async def test(consumer: Waiting) -> None:
        room, seen = asyncio.Event(), []

        async def callback(message: Any) -> None:
            await room.wait()
            seen.append(message)

        delivery = asyncio.create_task(Delivery(consumer, callback)(MESSAGE))
        await asyncio.sleep(0)
        assert not delivery.done()
        room.set()
        await delivery
        assert (seen, consumer.waits) == (["m"], 1)

    deliver(test)


def test_a_rebalance_ends_the_wait_of_a_record_for_room() -> None:
    async def test(consumer: Waiting) -> None:
        seen: list[str] = []

        async def callback(message: Any) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        delivery = asyncio.create_task(Delivery(consumer, callback)(MESSAGE))
        await asyncio.sleep(0)
        consumer.suspend_flow.set()
        await delivery
        assert seen == ["cancelled"]

    deliver(test)


def test_an_error_of_the_delivery_comes_out() -> None:
    async def test(consumer: Waiting) -> None:
        async def at_once(message: Any) -> None:
            raise OrderError("at once")

        async def later(message: Any) -> None:
            await asyncio.sleep(0)
            raise OrderError("later")

        for callback in (at_once, later):
            with pytest.raises(OrderError):
                await Delivery(consumer, callback)(MESSAGE)

    deliver(test)
