"""Why a record cannot be used, in words that go into the headers of its dead letter."""

from types import MappingProxyType
from typing import Final

REASONS: Final = MappingProxyType(
    {
        "empty": "the record has no value: null or zero bytes",
        "too-large": "the value is longer than any valid message can be",
        "invalid-json": "not one JSON object in UTF-8 (RFC 8259), or nested too deep",
        "missing-field": "a required field is absent",
        "invalid-field": "a field has the wrong type, is out of range or over its length limit",
        "wrong-partition": "forwarded once already and still not in its user's partition",
    }
)
"""Every value of the header `dlq-reason`, with its meaning. A reason is never retyped or reused."""

_SHOWN_CHARACTERS = 60  # enough to recognise a value, short enough for a header and a log line


class BadInput(Exception):
    """A post or interaction that breaks its contract; it goes to the dead-letter topic.

    Attributes:
        reason: one of `REASONS`.
        detail: one line that begins with the field's name, or with `value` where no field is
            to blame, then a colon and what is wrong. ASCII; never post text.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def shown(value: object) -> str:
    """A value as one short ASCII token, safe for headers and logs even with lone surrogates."""
    if isinstance(value, str):
        head = ascii(value[:_SHOWN_CHARACTERS])
        return head if len(value) <= _SHOWN_CHARACTERS else f"{head}... ({len(value)} characters)"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return ascii(value)[:_SHOWN_CHARACTERS]
