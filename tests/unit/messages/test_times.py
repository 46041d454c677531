import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.messages import MAX_TIME_MS, MIN_TIME_MS, parse_time, rfc3339

NEW_YEAR_2014 = 1_388_534_400_000


@given(st.integers(MIN_TIME_MS, MAX_TIME_MS))
def test_a_time_survives_its_text(ms: int) -> None:
    assert parse_time(rfc3339(ms)) == ms
    assert parse_time(ms) == ms


def test_the_text_is_utc_with_milliseconds() -> None:
    assert rfc3339(NEW_YEAR_2014 + 5) == "2014-01-01T00:00:00.005Z"
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    "text",
    [
        "2014-01-01T00:00:00Z",
        "2014-01-01t00:00:00z",
        "2014-01-01 00:00:00Z",
        "2014-01-01T00:00:00.0Z",
        "2014-01-01T00:00:00.000000000000000000001Z",
        "2014-01-01T00:00:00.0009999Z",
        "2014-01-01T08:00:00+08:00",
        "2013-12-31T19:00:00-05:00",
        "2014-01-01T23:59:00+23:59",
        "2014-01-01T00:00:00-00:00",
    ],
)
def test_every_spelling_of_an_instant_is_that_instant(text: str) -> None:
    assert parse_time(text) == NEW_YEAR_2014


def test_digits_beyond_the_millisecond_are_cut_off() -> None:
    assert parse_time("2014-01-01T00:00:00.9999999Z") == NEW_YEAR_2014 + 999
    assert parse_time("2014-01-01T00:00:00.5Z") == NEW_YEAR_2014 + 500


def test_a_leap_second_is_the_first_second_of_the_next_minute() -> None:
    assert parse_time("2016-12-31T23:59:60Z") == parse_time("2017-01-01T00:00:00Z")
    assert parse_time("2015-07-01T08:59:60.25+09:00") == parse_time("2015-07-01T00:00:00.250Z")


@pytest.mark.parametrize(
    "text",
    [
        "2014-01-01T00:00:60Z",
        "2014-01-01T23:59:60Z",
        "2016-12-31T23:59:61Z",
        "2016-12-31T23:59:60+01:00",
        "0001-01-01T00:00:60+23:59",
        "9999-12-31T23:59:60Z",
    ],
)
def test_second_60_stands_only_where_a_month_ends(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an|no such|outside|no leap"):
        parse_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2014-01-01",
        "2014-01-01T00:00Z",
        "2014-01-01T00:00:00",
        "2014-01-01T00:00:00+0100",
        "2014-01-01T00:00:00+01",
        "2014-01-01T00:00:00+24:00",
        "2014-01-01T00:00:00+01:60",
        "2014-01-01T00:00:00.Z",
        "2014-01-01T00:00:00,5Z",
        "2014-01-01T24:00:00Z",
        "2014-01-01T00:60:00Z",
        "2014-02-29T00:00:00Z",
        "2014-13-01T00:00:00Z",
        "2014-00-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "14-01-01T00:00:00Z",
        "20140101T000000Z",
        "2014-W01-3T00:00:00Z",
        "2014-01-01T00:00:00Z\n",
        " 2014-01-01T00:00:00Z",
        "２０14-01-01T00:00:00Z",
        "2014-01-01_00:00:00Z",
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an|no such|outside|no leap"):
        parse_time(text)


def test_leap_days_exist_in_leap_years() -> None:
    assert parse_time("2016-02-29T00:00:00Z") == parse_time("2016-03-01T00:00:00Z") - 86_400_000
    with pytest.raises(ValueError, match="no such date"):
        parse_time("2100-02-29T00:00:00Z")


def test_the_years_are_those_of_the_instant_and_not_of_the_local_clock() -> None:
    assert parse_time("1969-12-31T23:30:00-01:00") == 30 * 60_000
    assert parse_time("2101-01-01T00:30:00+01:00") == MAX_TIME_MS + 1 - 30 * 60_000
    assert parse_time("2100-12-31T23:59:59.999Z") == MAX_TIME_MS
    for outside in ("1970-01-01T00:30:00+01:00", "2100-12-31T23:30:00-01:00", -1, MAX_TIME_MS + 1):
        with pytest.raises(ValueError, match="1970"):
            parse_time(outside)
