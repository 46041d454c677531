"""Workers of two versions side by side, replaced one by one and rolled back, while events flow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import msgspec

from stream_app.core.row import decode_header
from stream_app.engine.fencing import RESERVED
from tests.kafka.clients import consume
from tests.kafka.feeding import flowing
from tests.kafka.reckoning import reckon, tell
from tests.kafka.worker_process import NewerMeta, NewerRow
from tests.kafka.workers import Workers
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

NEWER = "--newer"
#: Before the tier's name and the fields.
HEADER_BYTES = 48
#: Where the later version's fields stand in a row and in a reserved row.
WRITES = len(NewerRow.__struct_fields__) - 1
SINCE = len(NewerMeta.__struct_fields__) - 1


def test_old_and_new_rows_side_by_side_lose_nothing_over_an_upgrade_and_back(
    workers: Callable[..., Workers], streams: Callable[..., Generator]
) -> None:
    generator = streams(51, events=4_000, users=300)
    system = workers(post_memory=POST_MEMORY, interaction_memory=INTERACTION_MEMORY)
    one, other = system.make("one").launch(), system.make("other").launch()
    for worker in (one, other):
        worker.wait_ready()
    with flowing(system, generator.events) as flow:
        for share, worker, options in (
            (0.3, one, [NEWER]),
            (0.5, other, [NEWER]),
            (0.7, one, []),
            (0.9, other, []),
        ):
            flow.allow(share)
            assert worker.terminate() == 0
            worker.start(*options)
    reckon(system, one, generator.truth())

    written = [list(writes_of(rows)) for rows in rows_by_key(system).values()]
    for writes in written:
        assert writes == sorted(writes), "what the newer one had added was lost"
    kept = sum(after == before > 0 for writes in written for before, after in pairwise(writes))
    tell(f"{kept} writes of the older version kept a field of the newer one")
    assert kept > 0
    assert all(is_newer_kept(rows) for rows in metas_by_key(system).values())


def rows_by_key(system: Workers) -> dict[bytes, list[bytes]]:
    """What the changelog has of each user, in order."""
    found: dict[bytes, list[bytes]] = {}
    for record in consume(system.broker, system.names.changelog):
        assert record.key is not None
        if not record.key.startswith(RESERVED):
            found.setdefault(record.key, []).append(record.value or b"")
    return found


def metas_by_key(system: Workers) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for record in consume(system.broker, system.names.changelog):
        if (record.key or b"").startswith(RESERVED + b"partition:"):
            found.setdefault(record.key or b"", []).append(record.value or b"")
    return found


def writes_of(rows: list[bytes]) -> Iterator[int]:
    """How often the newer version had written the row, by the row itself; 0 without the field."""
    for data in rows:
        tier = decode_header(data).tier or ""
        fields = msgspec.msgpack.decode(data[HEADER_BYTES + len(tier) :])
        yield fields[WRITES] if len(fields) > WRITES else 0


def is_newer_kept(rows: list[bytes]) -> bool:
    """Whether the field is there from its first time on."""
    has = [len(msgspec.msgpack.decode(data[1:])) > SINCE for data in rows]
    return has == sorted(has) and has[-1]
