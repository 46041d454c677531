import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream_app.messages import BadInput
from stream_app.messages.fields import MAX_COUNT
from stream_app.sources.counts import count_of

UNITS = {"": 1, "千": 10**3, "k": 10**3, "K": 10**3, "万": 10**4, "w": 10**4, "亿": 10**8}


def written(count: int, unit: str) -> str:
    """The count in that unit, exact, as long multiplication by hand would check it."""
    whole, rest = divmod(count, UNITS[unit])
    digits = str(rest).zfill(len(str(UNITS[unit])) - 1).rstrip("0") if rest else ""
    return f"{whole}.{digits}{unit}" if digits else f"{whole}{unit}"


@given(st.integers(0, MAX_COUNT), st.sampled_from(sorted(UNITS)), st.booleans())
@example(11_000, "万", False)
@example(MAX_COUNT, "亿", True)
def test_a_count_written_in_any_unit_is_read_exactly(count: int, unit: str, at_least: bool) -> None:
    assert count_of("likes", written(count, unit) + "+" * at_least) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("1.1万", 11_000), ("10万+", 100_000), ("3.0千", 3_000), ("1.2W", 12_000), (7, 7)],
)
def test_counts_as_people_read_them(text: str | int, count: int) -> None:
    assert count_of("likes", text) == count


def test_no_count_is_unknown() -> None:
    assert count_of("likes", None) is None


@pytest.mark.parametrize(
    "text",
    ["", "赞", "-1", "1,234", "1e3", "1.", ".5万", "万", "1.1万万", "1 万", "١", "9" * 5_000, -1],
)
def test_other_texts_are_no_counts(text: str | int) -> None:
    with pytest.raises(BadInput, match=r"^invalid-field: liked_count: "):
        count_of("liked_count", text)


@pytest.mark.parametrize("text", ["0.5", "1.00001万", "3.3333k"])
def test_a_part_of_something_is_no_count(text: str) -> None:
    with pytest.raises(BadInput, match="no whole number"):
        count_of("likes", text)


@pytest.mark.parametrize("text", [str(MAX_COUNT + 1), "999999999999亿"])
def test_a_count_beyond_those_of_a_post_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="out of range"):
        count_of("likes", text)
