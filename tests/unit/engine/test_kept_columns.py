"""Columns from a file are those of the rows, or none at all."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.columns import Columns
from stream_app.core.scheme import Scheme
from stream_app.engine.internal_records import PartitionMeta
from stream_app.engine.kept_columns import KeptColumns
from stream_app.engine.ownership import Ownership
from stream_app.engine.partition import Partition
from stream_app.messages import partition_of
from tests.builders import NOON, make_post
from tests.schemes import DAY_MS, KOL, TOP, make_scheme
from tests.unit.engine.stand_ins import PARTITIONS, Broker, Worker, fixed_line

SCHEME = make_scheme(tiers=(KOL, TOP))
HOME = partition_of(b"twitter:u1", PARTITIONS)
OFFSET, EDGE = 41, NOON - 90 * DAY_MS
NAMES = ("z", "last_post", "tier", "counted", "transition_version")


def saved(folder: Path, users: dict[bytes, tuple[Any, ...]], scheme: Scheme = SCHEME) -> Columns:
    """Columns of these users, kept as those of partition 3 at OFFSET with EDGE."""
    partition = Partition(3, PartitionMeta(line=fixed_line(1, [], expiry_mark=NOON)), scheme)
    partition.changelog_offset = OFFSET
    for key, row in users.items():
        partition.columns.update(key, *row)
    KeptColumns(folder, scheme).save(partition)
    return partition.columns


keys = st.binary(min_size=1, max_size=40)
values = st.tuples(
    st.floats(-500, 500) | st.just(float("-inf")),
    st.integers(0, 2**50),
    st.booleans(),
    st.integers(-1, 2),
    st.integers(0, 2**40),
)


@given(users=st.dictionaries(keys, values, max_size=30))
def test_what_is_kept_comes_back(
    tmp_path_factory: pytest.TempPathFactory, users: dict[bytes, tuple[Any, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    columns = saved(folder, users)
    found = KeptColumns(folder, SCHEME).load(3, OFFSET, EDGE)
    assert found is not None
    assert found.keys == columns.keys
    for name in NAMES:
        assert getattr(found, name).tolist() == getattr(columns, name).tolist()
    assert found.sketch == columns.sketch
    for key in columns.keys:
        found.update(key, 1.0, 5, True, 1)  # it can be written to, as any columns
    assert found.sketch.n == len(users)


USERS = {b"x:1": (1.0, 5, True, 1, 0), b"x:22": (2.0, 6, True, 0, 7)}


def test_columns_of_another_offset_edge_or_partition_are_not_taken(tmp_path: Path) -> None:
    saved(tmp_path, USERS)
    kept = KeptColumns(tmp_path, SCHEME)
    assert kept.load(3, OFFSET, EDGE) is not None
    assert kept.load(3, OFFSET + 1, EDGE) is None
    assert kept.load(3, None, EDGE) is None
    assert kept.load(3, OFFSET, EDGE + 1) is None
    assert kept.load(3, OFFSET, None) is None
    (tmp_path / "columns-3").rename(tmp_path / "columns-2")
    assert kept.load(2, OFFSET, EDGE) is None
    assert kept.load(3, OFFSET, EDGE) is None


@pytest.mark.parametrize(
    "changes", [{"tiers": (KOL,)}, {"min_posts": 2}, {"exponents": {"reach": 0.2}}]
)
def test_columns_made_under_another_scheme_are_not_taken(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    saved(tmp_path, USERS)
    if "exponents" in changes:
        changes = {"exponents": SCHEME.exponents | changes["exponents"]}
    other = replace(SCHEME, **changes)
    assert KeptColumns(tmp_path, other).load(3, OFFSET, EDGE) is None


def test_a_file_with_any_byte_changed_or_missing_is_not_taken(tmp_path: Path) -> None:
    saved(tmp_path, USERS)
    path = tmp_path / "columns-3"
    data = path.read_bytes()
    kept = KeptColumns(tmp_path, SCHEME)
    body = data.index(b"\n") + 1
    for place in range(body, len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert kept.load(3, OFFSET, EDGE) is None
    for length in (0, 1, body - 1, body, len(data) - 1):
        path.write_bytes(data[:length])
        assert kept.load(3, OFFSET, EDGE) is None
    path.write_bytes(data)
    assert kept.load(3, OFFSET, EDGE) is not None


def test_a_folder_that_cannot_be_written_only_makes_the_next_start_slower(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "columns-3.new").mkdir()
    saved(tmp_path, USERS)
    assert "the next start takes longer" in caplog.text
    assert not (tmp_path / "columns-3").exists()


# -- by the owner of the partition


async def owner(broker: Broker, folder: Path) -> Worker:
    worker = Worker(broker, SCHEME)
    worker.ownership = Ownership(
        app=worker.app,
        table=worker.table,
        scheme=SCHEME,
        on_gained=lambda _: None,
        kept=KeptColumns(folder, SCHEME),
    )
    worker.ownership.expect(worker.fingerprint, worker.topic_ids)
    worker.scorer._partitions = worker.ownership.partitions
    return await worker.start()


def from_file(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a start takes the columns from the file."""
    read: list[int] = []
    rows = worker.table.rows

    def reading(number: int) -> Any:
        read.append(number)
        return rows(number)

    monkeypatch.setattr(worker.table, "rows", reading)
    worker.ownership.partitions.clear()
    asyncio.run(worker.ownership.recover())
    return HOME not in read


def test_an_owner_takes_its_columns_from_the_file_unless_somebody_wrote_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker()
    worker = asyncio.run(owner(broker, tmp_path))
    asyncio.run(worker.score(make_post(text="x")))
    expected = worker.ownership.partitions[HOME].columns
    worker.ownership.keep()
    assert from_file(worker, monkeypatch)
    found = worker.ownership.partitions[HOME].columns
    assert found is not expected
    assert (found.keys, found.z.tolist()) == (expected.keys, expected.z.tolist())
    assert found.sketch == expected.sketch

    asyncio.run(worker.score(make_post(text="y", id="p2", created_at=NOON + 1)))
    assert not from_file(worker, monkeypatch)
