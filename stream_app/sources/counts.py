"""Counts as Chinese platforms write them for people: `20`, `1.1万`, `10万+`."""

import re
from typing import Final

from stream_app.messages import BadInput
from stream_app.messages.bad_input import shown
from stream_app.messages.fields import MAX_COUNT

_UNITS: Final = {"": 1, "千": 10**3, "k": 10**3, "万": 10**4, "w": 10**4, "亿": 10**8}

# Digits are bounded, since Python refuses to convert thousands of them.
_COUNT: Final = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,12}))?([千k万w亿]?)\+?", re.IGNORECASE)


def count_of(name: str, value: str | int | None) -> int | None:
    """The count, exact; None for None. `10万+` is the 100,000 that there are at least.

    Raises:
        BadInput: no such text, or no whole number; the detail begins with `name`.
    """
    if value is None:
        return None
    if isinstance(value, int):
        value = str(value)
    match = _COUNT.fullmatch(value)
    if match is None:
        raise BadInput("invalid-field", f"{name}: {shown(value)} is no count like 20 or 1.1万")
    whole, fraction, unit = match[1], match[2] or "", match[3].lower()
    # In integers throughout: 1.1 as a float times 10,000 would be 11,000.000000000002.
    parts: int = 10 ** len(fraction)
    count, rest = divmod(int(whole + fraction) * _UNITS[unit], parts)
    if rest or count > MAX_COUNT:
        what = "no whole number" if rest else "out of range"
        raise BadInput("invalid-field", f"{name}: {shown(value)} is {what}")
    return count
