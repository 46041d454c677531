"""Times as integer epoch milliseconds inside, RFC 3339 in UTC outside."""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

_DAY_MS: Final = 86_400_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = _EPOCH.toordinal()

MIN_TIME_MS: Final = 0
"""1970-01-01T00:00:00Z, the earliest instant accepted."""

MAX_TIME_MS: Final = (date(2101, 1, 1).toordinal() - _EPOCH_DAY) * _DAY_MS - 1
"""2100-12-31T23:59:59.999Z, the latest instant accepted."""

# RFC 3339, section 5.6, with what its notes allow: lower-case t and z, a space for the T.
_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?"
    r"(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)


def parse_time(value: str | int) -> int:
    """Epoch milliseconds of an RFC 3339 text with an offset, or of epoch milliseconds.

    Digits beyond the millisecond are cut off. A leap second (`:60`, only in the last minute
    of a UTC month) is the first second of the next minute, as in POSIX time.

    Raises:
        ValueError: another form, no such date or time of day, or outside 1970..2100 in UTC.
    """
    ms = value if isinstance(value, int) else _parse_rfc3339(value)
    if not MIN_TIME_MS <= ms <= MAX_TIME_MS:
        raise ValueError("outside the years 1970..2100 (UTC)")
    return ms


def _parse_rfc3339(text: str) -> int:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 time with offset, like 2014-07-01T09:30:00.000Z")
    day, hour, minute, second, fraction, sign, ahead_h, ahead_min = match.groups()
    hours, minutes, seconds = int(hour), int(minute), int(second)
    if hours > 23 or minutes > 59 or seconds > 60:
        raise ValueError("no such time of day")
    whole_s = _epoch_day(day) * 86_400 + hours * 3_600 + minutes * 60 + seconds
    if sign is not None:
        ahead_s = int(ahead_h) * 3_600 + int(ahead_min) * 60
        whole_s -= ahead_s if sign == "+" else -ahead_s
    if seconds == 60 and not _is_month_start(whole_s):
        raise ValueError("no leap second there: second 60 only ends a month (UTC)")
    return whole_s * 1_000 + (0 if fraction is None else int(fraction[:3].ljust(3, "0")))


@lru_cache(maxsize=4_096)  # posts of one stream share few dates
def _epoch_day(iso_date: str) -> int:
    try:
        return date.fromisoformat(iso_date).toordinal() - _EPOCH_DAY
    except ValueError:
        raise ValueError("no such date") from None


def _is_month_start(epoch_s: int) -> bool:
    if epoch_s % 86_400 or not MIN_TIME_MS <= epoch_s * 1_000 <= MAX_TIME_MS:
        return False
    return date.fromordinal(epoch_s // 86_400 + _EPOCH_DAY).day == 1


@lru_cache(maxsize=1_024)  # the events of a batch have happened and are sent at one time
def rfc3339(ms: int) -> str:
    """The instant in UTC with milliseconds and `Z`; `parse_time` of it gives `ms` again."""
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")[:-6] + "Z"
