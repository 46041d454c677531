"""Faults inside a worker, at the n-th passing of a named point; made from outside by patching.

A fault is written `ACTION@POINT:N`, as in `kill@stored:3` or `refuse@sending:kol-events:1`; with
`ACTION@POINT:N/OTHER` passings count from the first of another point on. Points:

| point | passed |
|---|---|
| `sending:TOPIC` | before each batch or record is handed to the producer for that topic |
| `confirmed:TOPIC` | when the broker has taken one, before anybody is told |
| `stored` | when rows are in the changelog and in the local store, before any KOL event is sent |
| `applied` | when a batch's KOL events are confirmed, before it is acknowledged |
| `acknowledged` | when a batch is acknowledged, before the next commit |
| `reading` | before each step of a recovery from the changelog |
| `recovered` | when all rows are back, before the first record is fetched |
| `revoked`, `assigned` | in a rebalance, when partitions go and when they come |

TOPIC is the end of the topic's name. `kill` and `freeze` happen once, `tell` from the n-th passing
on; `refuse` and `time-out` are the broker's answer from the n-th passing on.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, TopicAuthorizationFailedError

from stream_app.engine.faust_app import SafeApp
from stream_app.engine.ownership import Ownership
from stream_app.engine.pipeline import Pipeline
from stream_app.engine.scorer import Scorer
from stream_app.engine.user_table import UserTable

#: Longer than the time between two commits: what was acknowledged too early is committed by then.
ANSWER_DELAY_S = 2.0

SENDING, CONFIRMED = "sending:", "confirmed:"


class Fault(NamedTuple):
    """What happens, where, and at which passing, from 1."""

    action: str
    point: str
    passing: int
    #: passings count from the first of this point on; "" for all of them
    after: str = ""


def parse_fault(text: str) -> Fault:
    fault, _, after = text.partition("/")
    action, _, place = fault.partition("@")
    point, _, passing = place.rpartition(":")
    if action not in (*SIGNALS, *ANSWERS, TELL) or not point:
        raise ValueError(f"not a fault: {text}")
    return Fault(action, point, int(passing), after)


def install(fault: Fault) -> None:
    """It happens in this process when its time has come."""
    if fault.action in ANSWERS:
        _patch_sending(_answered(fault))
        return
    armed: list[Act] = []
    if fault.after:
        _at(fault.after, lambda: armed.append(_acting(fault)) if not armed else None)
        _at(fault.point, lambda: armed[0]() if armed else None)
    else:
        _at(fault.point, _acting(fault))


def _at(point: str, act: Act) -> None:
    topic = point.partition(":")[2]
    if point.startswith(SENDING):
        _patch_sending(_acting_before(act, topic))
    elif point.startswith(CONFIRMED):
        _patch_sending(_acting_after(act, topic))
    else:
        POINTS[point](act)


# -- what happens

Act = Callable[[], None]

TELL = "tell"
SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}
ANSWERS: dict[str, KafkaError] = {
    "refuse": TopicAuthorizationFailedError("it takes no more of this"),
    "time-out": KafkaTimeoutError("it did not say whether it has this"),
}


def _acting(fault: Fault) -> Act:
    left = fault.passing

    def act() -> None:
        nonlocal left
        left -= 1
        if left > 0 or (left < 0 and fault.action != TELL):
            return
        sys.stderr.write(f"{fault.action}@{fault.point}\n")
        sys.stderr.flush()
        if fault.action != TELL:
            os.kill(os.getpid(), SIGNALS[fault.action])

    return act


# -- where: at the producer

Send = Callable[..., Any]


def _patch_sending(around: Callable[[Send], Send]) -> None:
    for name in ("send", "send_batch"):
        setattr(AIOKafkaProducer, name, around(getattr(AIOKafkaProducer, name)))


def _topic(args: Any, kwargs: Any) -> str:
    """Of a call of `send(topic, ...)` or `send_batch(batch, topic, ...)`."""
    named = kwargs.get("topic")
    return str(named or next(arg for arg in args if isinstance(arg, str)))


def _acting_before(act: Act, topic: str) -> Callable[[Send], Send]:
    def around(send: Send) -> Send:
        @functools.wraps(send)
        async def acting(producer: Any, *args: Any, **kwargs: Any) -> Any:
            if _topic(args, kwargs).endswith(topic):
                act()
            return await send(producer, *args, **kwargs)

        return acting

    return around


def _acting_after(act: Act, topic: str) -> Callable[[Send], Send]:
    def around(send: Send) -> Send:
        @functools.wraps(send)
        async def acting(producer: Any, *args: Any, **kwargs: Any) -> Any:
            answer = await send(producer, *args, **kwargs)
            if _topic(args, kwargs).endswith(topic):
                return asyncio.ensure_future(confirmed(answer))
            return answer

        async def confirmed(answer: Any) -> Any:
            metadata = await answer
            act()
            return metadata

        return acting

    return around


def _answered(fault: Fault) -> Callable[[Send], Send]:
    """The broker takes what is sent before the n-th passing; its answer to the rest is an error."""
    topic, left, error = fault.point.partition(":")[2], fault.passing, ANSWERS[fault.action]

    def around(send: Send) -> Send:
        @functools.wraps(send)
        async def answering(producer: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal left
            if _topic(args, kwargs).endswith(topic):
                left -= 1
                if left <= 0:
                    return asyncio.ensure_future(answered_late())
            return await send(producer, *args, **kwargs)

        async def answered_late() -> None:
            await asyncio.sleep(ANSWER_DELAY_S)
            raise error

        return answering

    return around


# -- where: in the engine


def _after(owner: Any, name: str) -> Callable[[Act], None]:
    def patch(act: Act) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        async def acting(*args: Any, **kwargs: Any) -> Any:
            result = await original(*args, **kwargs)
            act()
            return result

        setattr(owner, name, acting)

    return patch


def _before(owner: Any, name: str) -> Callable[[Act], None]:
    def patch(act: Act) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def acting(*args: Any, **kwargs: Any) -> Any:
            act()
            return original(*args, **kwargs)

        setattr(owner, name, acting)

    return patch


POINTS: dict[str, Callable[[Act], None]] = {
    "stored": _after(UserTable, "write"),
    "applied": _after(Scorer, "apply"),
    "acknowledged": _after(Pipeline, "_apply_batch"),
    "reading": _before(UserTable, "apply_changelog_batch"),
    "recovered": _after(Ownership, "recover"),
    "revoked": _before(SafeApp, "_on_partitions_revoked"),
    "assigned": _before(SafeApp, "_on_partitions_assigned"),
}
