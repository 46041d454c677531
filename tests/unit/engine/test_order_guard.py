import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from stream_app.engine.order_guard import Link, OrderGuard
from stream_app.errors import OrderError

POSTS = TP("posts", 3)
OTHER = TP("posts", 4)


def guard_after_seek(offset: int | None = 0) -> OrderGuard:
    guard = OrderGuard()
    guard.seek(POSTS, offset)
    return guard


@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), max_size=6))
def test_holes_in_offsets_are_no_loss(fetches: list[list[int]]) -> None:
    """Compaction, transactions and retention leave them; what counts is what was fetched."""
    guard, offset = guard_after_seek(), -1
    for steps in fetches:
        offsets = [offset := offset + step for step in steps]
        guard.handed(POSTS, offsets)
        for number in offsets:
            guard.taken(POSTS, number, guard.delivered(POSTS, number))


def test_a_record_that_was_fetched_but_not_delivered_stops_the_process() -> None:
    guard = guard_after_seek()
    guard.handed(POSTS, [0, 1, 2])
    guard.delivered(POSTS, 0)
    with pytest.raises(OrderError, match="offset 2 was delivered, 1 was due"):
        guard.delivered(POSTS, 2)


def test_a_record_that_was_never_fetched_stops_the_process() -> None:
    with pytest.raises(OrderError, match="None was due"):
        guard_after_seek().delivered(POSTS, 0)


def test_a_record_that_was_delivered_but_not_taken_stops_the_process() -> None:
    guard = guard_after_seek()
    guard.handed(POSTS, [0, 1])
    guard.delivered(POSTS, 0)
    second = guard.delivered(POSTS, 1)
    with pytest.raises(OrderError, match="a record was lost on the way"):
        guard.taken(POSTS, 1, second)


def test_a_record_taken_twice_stops_the_process() -> None:
    guard = guard_after_seek()
    guard.handed(POSTS, [0])
    link = guard.delivered(POSTS, 0)
    guard.taken(POSTS, 0, link)
    with pytest.raises(OrderError):
        guard.taken(POSTS, 0, link)


@pytest.mark.parametrize("offsets", [[5, 5], [6, 5], [4]])
def test_fetching_backwards_stops_the_process(offsets: list[int]) -> None:
    with pytest.raises(OrderError, match="was fetched after"):
        guard_after_seek(5).handed(POSTS, offsets)


def test_a_seek_starts_anew_and_what_was_on_its_way_no_longer_counts() -> None:
    guard = guard_after_seek()
    guard.handed(POSTS, [0, 1, 2])
    guard.taken(POSTS, 0, guard.delivered(POSTS, 0))
    guard.seek(POSTS, 0)
    guard.handed(POSTS, [0, 1])
    for offset in (0, 1):
        guard.taken(POSTS, offset, guard.delivered(POSTS, offset))


def test_a_record_from_before_a_seek_cannot_follow_one_from_after_it() -> None:
    guard = guard_after_seek()
    guard.handed(POSTS, [0])
    old = guard.delivered(POSTS, 0)
    guard.seek(POSTS, 0)
    guard.handed(POSTS, [0])
    guard.taken(POSTS, 0, guard.delivered(POSTS, 0))
    with pytest.raises(OrderError):
        guard.taken(POSTS, 0, old)


def test_partitions_do_not_mind_each_other_and_need_no_seek() -> None:
    guard = OrderGuard()
    guard.handed(POSTS, [7])
    guard.handed(OTHER, [3])
    assert guard.delivered(OTHER, 3) == Link(0, 0)
    assert guard.delivered(POSTS, 7) == Link(0, 0)
