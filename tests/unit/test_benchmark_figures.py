"""How figures are summed up, and the job that rivals are given."""

import math

import numpy as np
import pytest

from benchmarks.bare_loop import Post, Row, fold
from benchmarks.figures import ratios, spread
from benchmarks.rivals.programs import job
from benchmarks.rivals.table import lines


def test_the_quartiles_are_those_of_numpy() -> None:
    values = [3.0, 1.0, 4.0, 1.5, 9.0]
    found = spread(values)
    wanted = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    assert [found["low"], found["median"], found["high"]] == pytest.approx(wanted)
    assert found["all"] == values


def test_one_value_is_its_own_quartiles() -> None:
    assert spread([2.0]) == {"median": 2.0, "low": 2.0, "high": 2.0, "all": [2.0]}


def test_figures_are_rounded_where_that_is_asked_for() -> None:
    assert spread([1.26, 1.24, 1.26], 1)["median"] == 1.3
    assert spread([1.26], 1)["all"] == [1.3]


def test_ratios_are_those_of_the_same_round() -> None:
    assert ratios([6.0, 8.0], [3.0, 2.0]) == [2.0, 4.0]
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


def test_rivals_fold_as_the_bare_loop_does() -> None:
    theirs, ours = None, Row()
    for number, at in enumerate([5_000_000_000, 1_000_000_000, 9_000_000_000]):
        likes = number * 7
        theirs = job.fold(theirs, at, 100 + number, likes, norm=2.0)
        fold(ours, Post("p", "x", "u", "t", at, 100 + number, likes))
    assert theirs is not None
    newest, attention, logs, weight, norms, followers, posts = theirs
    assert (newest, followers, posts, norms) == (ours.at, ours.followers, ours.posts, 6.0)
    assert [attention, logs, weight] == pytest.approx([ours.attention, ours.logs, ours.weight])


def test_a_user_is_told_of_once_for_each_time_she_rises() -> None:
    line = job.Line()
    assert not line.rose("early", 1e9)  # no line yet
    for number in range(job.DRAWN_EVERY):
        line.rose(f"user-{number}", float(number))
    assert line.value == pytest.approx(np.quantile([1e9, *range(999)], job.QUANTILE), rel=0.01)
    assert math.isfinite(line.value)
    above, below = line.value + 1, line.value - 1
    assert [line.rose("she", score) for score in (above, above, below, above)] == [
        *(True, False, False, True)
    ]


def test_the_table_of_rivals_says_where_one_is_ahead() -> None:
    def of(rate: float, ratio: float) -> dict[str, dict[str, float]]:
        return {"posts_per_s": {"median": rate}, "ours_to_theirs": {"median": ratio}}

    encoder = {
        "40 tokens": {"kol-stream, auto": of(90, 1), "the article's script, fp32": of(9, 10)}
    }
    stream = {"kol-stream": of(10_000, 1), "Bytewax": of(40_000, 0.25)}
    rows = lines([{"encoder": encoder}, {"stream": stream}])
    assert rows[0] == "| | 40 tokens | stream |"
    assert "| kol-stream, auto | 90.0 | 10,000 |" in rows
    assert "| the article's script | 9.0 (10.00) | no stream |" in rows
    assert "| Bytewax | no encoder | 40,000 (**0.25**) |" in rows
