"""Records that the broker finds too large must not stop the worker for ever."""

import asyncio
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError

from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.engine.user_table import RESERVED
from stream_app.messages import partition_of
from tests.builders import make_post
from tests.schemes import make_scheme
from tests.unit.engine.stand_ins import PARTITIONS, TOPICS, Broker, Worker, fixed_line

HOME = partition_of(b"twitter:u1", PARTITIONS)


def test_a_line_that_moves_very_many_users_writes_no_record_near_a_mebibyte() -> None:
    """Forty thousand users with short names in one partition would do as well."""

    async def body() -> Broker:
        worker = await Worker(Broker(), make_scheme(), most_rows=5000).start()
        users = [f"{number:04d}" + "\U0001f600" * 252 for number in range(4400)]
        here = [u for u in users if partition_of(f"twitter:{u}".encode(), PARTITIONS) == HOME]
        await worker.score(*[make_post(text="", user_id=user) for user in here])
        largest = 0
        write = worker.table.write

        async def measured(writes: list[Any]) -> None:
            nonlocal largest
            reserved = [len(w.value) for w in writes if w.key.startswith(RESERVED)]
            largest = max(largest, *reserved)
            await write(writes)

        worker.table.write = measured
        line = fixed_line(1, [("kol", -1000.0, -1001.0)])
        await worker.scorer.apply_line(HOME, line, QuantileSketch())
        assert len(worker.broker.events()) == len(here)
        assert largest < 800_000
        return worker.broker

    asyncio.run(body())


def test_a_misplaced_record_too_large_to_be_forwarded_is_a_dead_letter() -> None:
    async def body() -> Broker:
        worker = await Worker(Broker(), make_scheme()).start()
        worker.producer.refusals["posts"] = [MessageSizeTooLargeError("the broker's limit")]
        record = worker.broker.append(make_post(text="x"), partition=(HOME + 1) % PARTITIONS)
        await worker.handle([record])
        return worker.broker

    (sent,) = asyncio.run(body()).sent
    assert sent.topic == TOPICS.dead_letters
    assert sent.header("dlq-reason") == "too-large"
