"""Records that the broker finds too large must not stop the worker for ever."""

import asyncio
from typing import Any

import msgspec
from aiokafka.errors import MessageSizeTooLargeError

from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.standing import standing_of
from stream_app.engine.fencing import RESERVED
from stream_app.engine.internal_records import TopPiece, encode, in_pieces
from stream_app.messages import partition_of
from tests.builders import make_post
from tests.histories import row_after
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
        await worker.scorer.apply_lines({HOME: (line, QuantileSketch())})
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


def test_a_ranking_of_the_longest_names_is_sent_in_records_far_below_a_mebibyte() -> None:
    row = row_after([make_post(text="")], make_scheme())
    standing = standing_of(row, make_scheme())
    assert standing is not None
    name = "\U0001f600" * 2048
    everyone = [
        msgspec.structs.replace(standing, key=f"x:{n}", handle=name, display_name=name)
        for n in range(1000)
    ]
    pieces = in_pieces(everyone)
    assert [one for piece in pieces for one in piece] == everyone
    assert max(len(encode(TopPiece(0, 1, 1, 0, piece))) for piece in pieces) < 600_000
    assert in_pieces([]) == [[]]
    assert [len(piece) for piece in in_pieces([standing] * 600)] == [250, 250, 100]
