r"""The contract's field types: each limit is stated here, once, for checks and schemas alike.

Lengths count Unicode code points. `(?!\n)` stands before every `$`, which in Python would
also match before a final line feed.
"""

import re
from functools import lru_cache
from typing import Annotated, Final

from msgspec import Meta

from stream_app.messages.times import MAX_TIME_MS, MIN_TIME_MS

COUNT_FIELDS: Final = ("like", "reply", "repost", "quote", "save", "view")
"""The engagement counts a post carries; in JSON each name ends in `_count`."""

MAX_PLATFORM_CODE_POINTS: Final = 32
MAX_USER_ID_CODE_POINTS: Final = 256
MAX_TEXT_CODE_POINTS: Final = 100_000
MAX_COUNT: Final = 2**63 - 1
MAX_TOPICS: Final = 64
MAX_TOPIC_CODE_POINTS: Final = 128
MAX_LABEL_CODE_POINTS: Final = 2_048

_PLATFORM_PATTERN = r"^[a-z0-9_-]+(?!\n)$"
# Of the local time: an offset can shift the year. No `\d`, which to Python means any script's.
_YEARS = r"(?:1969|19[7-9][0-9]|20[0-9][0-9]|210[01])"
_TIME_PATTERN = (
    rf"^{_YEARS}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[Tt ]"
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])(?!\n)$"
)


@lru_cache(maxsize=256)  # there are few; what a sender makes up does not stay
def is_platform(name: str) -> bool:
    """Whether `Platform` takes this name, which is short enough for it."""
    return re.match(_PLATFORM_PATTERN, name) is not None


def about(description: str) -> Meta:
    """What a field means, for schemas and documentation."""
    return Meta(description=description)


ItemId = Annotated[str, Meta(min_length=1, max_length=512)]
Platform = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_PLATFORM_CODE_POINTS,
        pattern=_PLATFORM_PATTERN,
        examples=["twitter"],
    ),
]
#: As above and below, without the patterns.
PlatformText = Annotated[str, Meta(min_length=1, max_length=MAX_PLATFORM_CODE_POINTS)]
UserIdText = Annotated[str, Meta(min_length=1, max_length=MAX_USER_ID_CODE_POINTS)]
UserId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_USER_ID_CODE_POINTS,
        pattern=r"^[^\u0000-\u001f\u007f-\u009f]+(?!\n)$",
    ),
]
Text = Annotated[str, Meta(max_length=MAX_TEXT_CODE_POINTS)]
Label = Annotated[str, Meta(max_length=MAX_LABEL_CODE_POINTS)]
Language = Annotated[str, Meta(min_length=1, max_length=35)]
Topic = Annotated[str, Meta(min_length=1, max_length=MAX_TOPIC_CODE_POINTS)]
Topics = Annotated[tuple[Topic, ...], Meta(max_length=MAX_TOPICS)]
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
TimeText = Annotated[
    str,
    Meta(
        description="RFC 3339 with offset, years 1970..2100 in UTC.",
        examples=["2014-07-01T09:30:00.000Z"],
        extra_json_schema={"format": "date-time", "pattern": _TIME_PATTERN},
    ),
]
TimeMs = Annotated[int, Meta(ge=MIN_TIME_MS, le=MAX_TIME_MS, description="Epoch milliseconds.")]
Time = TimeText | TimeMs
