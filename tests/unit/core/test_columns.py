"""Columns against the obvious: a list of rows, scanned in plain Python."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.columns import Columns
from stream_app.core.quantile_sketch import QuantileSketch


@dataclass(frozen=True)
class Row:
    key: bytes
    z: float
    last_post: int
    eligible: bool
    tier: int
    version: int


scores = st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 0.50001, 1.0, 2.0, 300.0]) | st.floats(-5, 5)
rows = st.builds(
    Row,
    key=st.integers(0, 25).map(lambda number: f"x:{number}".encode()),
    z=scores,
    last_post=st.integers(0, 20),
    eligible=st.booleans(),
    tier=st.integers(-1, 3),
    version=st.integers(0, 3),
)
histories = st.lists(rows, max_size=60)
lines = st.lists(st.none() | scores, min_size=3, max_size=3)


def columns_of(history: list[Row]) -> tuple[Columns, list[Row]]:
    """The columns after these updates, and the rows as they then are, by index."""
    columns, current = Columns(), dict[bytes, Row]()
    for row in history:
        columns.update(row.key, row.z, row.last_post, row.eligible, row.tier, row.version)
        current[row.key] = row
    assert columns.keys == list(current)
    return columns, list(current.values())


def assert_follows(columns: Columns, current: list[Row]) -> None:
    expected = QuantileSketch()
    expected.insert_many(np.array([row.z for row in current if row.eligible]))
    assert columns.sketch == expected
    assert columns.check() == 0


@given(histories)
def test_the_sketch_holds_exactly_the_counted_users(history: list[Row]) -> None:
    columns, current = columns_of(history)
    assert_follows(columns, current)
    assert len(columns) == len(current)
    assert columns.z.tolist() == [row.z for row in current]
    assert columns.last_post.tolist() == [row.last_post for row in current]
    assert columns.tier.tolist() == [row.tier for row in current]
    assert columns.counted.tolist() == [row.eligible for row in current]
    assert columns.transition_version.tolist() == [row.version for row in current]


def extend(columns: Columns, new: list[Row]) -> None:
    columns.extend(
        [row.key for row in new],
        np.array([row.z for row in new], np.float64),
        np.array([row.last_post for row in new], np.int64),
        np.array([row.eligible for row in new], np.bool_),
        np.array([row.tier for row in new], np.int8),
        np.array([row.version for row in new], np.int64),
    )


@given(histories, histories, histories)
def test_users_taken_over_at_once_are_as_those_taken_one_by_one(
    before: list[Row], at_once: list[Row], after: list[Row]
) -> None:
    known = {row.key for row in before}
    new = list({row.key: row for row in at_once if row.key not in known}.values())
    expected, current = columns_of([*before, *new, *after])
    columns, _ = columns_of(before)
    extend(columns, new)
    for row in after:
        columns.update(row.key, row.z, row.last_post, row.eligible, row.tier, row.version)
    assert columns.keys == expected.keys
    assert [columns.index_of(key) for key in columns.keys] == list(range(len(columns)))
    for name in ("z", "last_post", "tier", "counted", "transition_version"):
        assert getattr(columns, name).tolist() == getattr(expected, name).tolist()
    assert_follows(columns, current)


def test_columns_grow_past_any_size() -> None:
    columns, current = columns_of([Row(b"x:%d" % i, i / 10, i, True, 1, 0) for i in range(1_100)])
    more = [Row(b"y:%d" % i, i / 7, i, i % 2 == 0, 0, 3) for i in range(9_000)]
    extend(columns, more)
    assert columns.z.tolist() == [row.z for row in current + more]
    assert_follows(columns, current + more)


@pytest.mark.parametrize(
    "bad",
    [
        [Row(b"x:1", 0.0, 0, True, 0, 0)],
        [Row(b"x:2", 0.0, 0, True, 0, 0), Row(b"x:2", 1.0, 0, True, 0, 0)],
        [Row(b"x:2", math.nan, 0, False, 0, 0)],
        [Row(b"x:2", math.inf, 0, False, 0, 0)],
    ],
)
def test_users_that_cannot_be_taken_over_at_once_change_nothing(bad: list[Row]) -> None:
    columns, current = columns_of([Row(b"x:1", 1.0, 5, True, 1, 0)])
    with pytest.raises(ValueError, match=r"twice|z must be"):
        extend(columns, [Row(b"x:9", 1.0, 0, True, 0, 0), *bad])
    assert columns.keys == [b"x:1"]
    assert b"x:9" not in columns
    assert_follows(columns, current)


@given(histories, st.integers(-1, 21))
def test_expiry_takes_out_those_whose_newest_post_is_before_the_edge(
    history: list[Row], edge: int
) -> None:
    columns, current = columns_of(history)
    gone = [i for i, row in enumerate(current) if row.eligible and row.last_post < edge]
    assert columns.expire(edge).tolist() == gone
    left = [replace(row, eligible=row.eligible and i not in gone) for i, row in enumerate(current)]
    assert_follows(columns, left)
    assert columns.expire(edge).size == 0


def may_change(row: Row, enter: list[float | None], leave: list[float | None]) -> bool:
    if row.tier < 0:
        return row.eligible
    for level, (up, down) in enumerate(zip(enter, leave, strict=True), start=1):
        if level > row.tier and up is not None and row.z >= up:
            return row.eligible
        if level <= row.tier and down is not None and row.z < down:
            return row.eligible
    return False


@given(histories, lines, lines, st.integers(0, 3))
def test_crossings_are_those_a_plain_scan_finds(
    history: list[Row], enter: list[float | None], leave: list[float | None], tiers: int
) -> None:
    columns, current = columns_of(history)
    enter, leave = enter[:tiers], leave[:tiers]
    found = columns.crossings(enter, leave).tolist()
    assert found == [i for i, row in enumerate(current) if may_change(row, enter, leave)]


def test_crossings_are_found_beyond_the_first_stretch_of_rows() -> None:
    columns = Columns()
    for number in range(70_000):
        columns.update(b"x:%d" % number, float(number), 0, True, number % 2)
    found = columns.crossings([69_990.0], [5.0]).tolist()
    assert found == [1, 3, 69_990, 69_992, 69_994, 69_996, 69_998]


def test_entering_and_leaving_lines_come_in_pairs() -> None:
    with pytest.raises(ValueError, match="2 entering values, but 1 leaving"):
        Columns().crossings([1.0, 2.0], [0.5])


@given(histories, st.integers(-1, 30), st.none() | scores)
def test_the_top_is_that_of_a_full_sort_ties_included(
    history: list[Row], k: int, floor: float | None
) -> None:
    columns, current = columns_of(history)
    wanted = [
        i for i, row in enumerate(current) if row.eligible and (floor is None or row.z >= floor)
    ]
    wanted.sort(key=lambda i: (-current[i].z, current[i].key))
    assert columns.top(k, floor).tolist() == wanted[: max(k, 0)]


@given(histories)
def test_members_tiers_and_transitions_are_those_of_the_rows(history: list[Row]) -> None:
    columns, current = columns_of(history)
    for level in range(4):
        at_least = [i for i, row in enumerate(current) if row.tier >= level]
        assert columns.members(level).tolist() == at_least
    assert columns.tier_counts(3) == [columns.members(level).size for level in (1, 2, 3)]
    for version in range(4):
        expected = [i for i, row in enumerate(current) if row.version == version]
        assert columns.with_transition(version).tolist() == expected


def test_users_are_found_by_key() -> None:
    columns, _ = columns_of([Row(b"x:1", 0.0, 0, True, 0, 0), Row(b"x:2", 0.0, 0, True, 0, 0)])
    assert columns.index_of(b"x:2") == 1
    assert columns.index_of(b"x:3") is None
    assert b"x:1" in columns
    assert b"x:3" not in columns


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("eligible", [True, False])
def test_nan_and_infinity_are_refused_and_change_nothing(bad: float, eligible: bool) -> None:
    row = Row(b"x:1", 1.0, 5, True, 1, 0)
    columns, current = columns_of([row])
    for key in (b"x:1", b"x:2"):
        with pytest.raises(ValueError, match="z must be"):
            columns.update(key, bad, 9, eligible, 0)
    assert len(columns) == 1
    assert columns.tier.tolist() == [1]
    assert_follows(columns, current)


def test_the_self_check_counts_differing_buckets_and_heals() -> None:
    columns, current = columns_of([Row(b"x:%d" % i, i / 10, 0, True, 0, 0) for i in range(10)])
    columns.sketch.replace(0.1, 5.0)
    columns.sketch.insert(-math.inf)
    assert columns.check() == 3
    assert_follows(columns, current)
