"""Origins of forwarded records that no worker can have written are not believed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import KafkaTimeoutError
from faust.types import TP

from stream_app.engine.intake import Accepted
from stream_app.engine.origins import Origins


class Ends:
    """A consumer that tells where partitions end."""

    def __init__(self) -> None:
        self.ends = {TP("posts", 0): 10, TP("posts", 1): 5}
        self.asked: list[set[TP]] = []
        self.fails = 0

    async def highwaters(self, *tps: TP) -> dict[TP, int | None]:
        self.asked.append(set(tps))
        if self.fails:
            self.fails -= 1
            raise KafkaTimeoutError
        return {tp: self.ends.get(tp) for tp in tps}


def from_(place: str, offset: int) -> Accepted:
    return Accepted(b"x:u", None, None, False, (place, offset))


def checked(consumer: Ends, origins: Origins, *verdicts: Any) -> list[Any]:
    asyncio.run(origins.check([(None, verdict) for verdict in verdicts]))
    return [verdict.origin for verdict in verdicts]


def test_an_origin_beyond_the_end_of_its_partition_is_none() -> None:
    consumer = Ends()
    origins = Origins(SimpleNamespace(consumer=consumer))
    found = checked(consumer, origins, from_("posts/0", 9), from_("posts/1", 2**62))
    assert found == [("posts/0", 9), None]
    assert checked(consumer, origins, from_("posts/2", 0)) == [None], (
        "a partition that is not there"
    )


def test_the_end_is_asked_for_again_only_when_a_record_claims_to_be_behind_it() -> None:
    consumer = Ends()
    origins = Origins(SimpleNamespace(consumer=consumer))
    plain = Accepted(b"x:u", None, None, False, None)
    checked(consumer, origins, plain, from_("posts/0", 3))
    checked(consumer, origins, from_("posts/0", 9))
    assert consumer.asked == [{TP("posts", 0)}]
    consumer.ends[TP("posts", 0)] = 12
    assert checked(consumer, origins, from_("posts/0", 11)) == [("posts/0", 11)]
    assert len(consumer.asked) == 2


def test_a_broker_that_is_away_is_waited_for() -> None:
    consumer = Ends()
    consumer.fails = 2
    origins = Origins(SimpleNamespace(consumer=consumer))
    assert checked(consumer, origins, from_("posts/0", 1)) == [("posts/0", 1)]
