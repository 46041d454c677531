import math

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.ranking import Board, merge_top, position_key
from stream_app.core.standing import Standing, standing_of
from stream_app.core.tiers import Line
from tests.builders import NOON, make_post
from tests.histories import row_after
from tests.schemes import make_scheme

SCHEME = make_scheme()


def someone(key: str, z: float) -> Standing:
    found = standing_of(row_after([make_post(text="")], SCHEME), SCHEME)
    assert found is not None
    return msgspec.structs.replace(found, key=key, z=z)


def test_the_higher_score_comes_first_and_ties_go_by_the_bytes_of_the_key() -> None:
    everybody = [
        someone("x:b", 1.0),
        someone("x:a", 1.0),
        someone("x:\U0001f600", 1.0),  # above U+FF5E in UTF-8, below it in UTF-16
        someone("x:\uff5e", 1.0),
        someone("x:z", 2.0),
        someone("x:0", -math.inf),
    ]
    ordered = [standing.key for standing in sorted(everybody, key=position_key)]
    assert ordered == ["x:z", "x:a", "x:b", "x:\uff5e", "x:\U0001f600", "x:0"]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([-1.0, 0.0, 1.0, 2.0])), max_size=20),
    st.integers(0, 25),
)
def test_the_merged_ranking_is_that_of_everybody(users: list[tuple[int, float]], size: int) -> None:
    parts: list[list[Standing]] = [[], [], [], []]
    for number, (partition, z) in enumerate(users):
        parts[partition].append(someone(f"x:{number}", z))
    for part in parts:
        part.sort(key=position_key)
    everybody = sorted((s for part in parts for s in part), key=position_key)
    assert merge_top(parts, size) == everybody[:size]


def test_a_board_shows_the_time_and_the_population_of_its_line() -> None:
    sketch = QuantileSketch()
    sketch.insert_many(np.log([1.0, 2.0]))
    board = Board(Line(1, NOON, None, 2, (), {}), (0,), (), sketch)
    assert board.high_mark == NOON
    assert board.percentile(0.0) == 50.0
    assert Board(Line(1, None, None, 0, (), {}), (), (), QuantileSketch()).percentile(0.0) is None
