r"""The contract's field types: each limit is stated here, once, for checks and schemas alike.

Lengths count Unicode code points. `(?!\n)` stands before every `$`, which in Python would
also match before a final line feed.
"""

from typing import Annotated, Final

from msgspec import Meta

from stream_app.messages.times import MAX_TIME_MS, MIN_TIME_MS

COUNT_FIELDS: Final = ("like", "reply", "repost", "quote", "save", "view")
"""The engagement counts a post carries; in JSON each name ends in `_count`."""

MAX_TEXT_CODE_POINTS: Final = 100_000
MAX_COUNT: Final = 2**63 - 1
MAX_TOPICS: Final = 64
MAX_TOPIC_CODE_POINTS: Final = 128
MAX_LABEL_CODE_POINTS: Final = 2_048

# Of the local time: an offset can shift the year. No `\d`, which to Python means any script's.
_YEARS = r"(?:1969|19[7-9][0-9]|20[0-9][0-9]|210[01])"
_TIME_PATTERN = (
    rf"^{_YEARS}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[Tt ]"
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])(?!\n)$"
)


def about(description: str) -> Meta:
    """What a field means, for schemas and documentation."""
    return Meta(description=description)


ItemId = Annotated[str, Meta(min_length=1, max_length=512)]
Platform = Annotated[
    str, Meta(min_length=1, max_length=32, pattern=r"^[a-z0-9_-]+(?!\n)$", examples=["twitter"])
]
UserId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
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
