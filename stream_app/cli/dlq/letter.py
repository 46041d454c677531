"""One dead letter: the record as it was, why it was put aside, and where it was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

Headers = Sequence[tuple[str, bytes | None]]

#: What a worker's own headers of a dead letter begin with; it drops foreign ones that do.
OWN = "dlq-"


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A record of the dead-letter topic.

    What its headers say is None where they do not: anybody may write to the topic.
    """

    #: where the letter itself stands, `posts-dlq/0/12`
    letter: str
    time_ms: int
    reason: str | None
    detail: str | None
    #: when it was put aside, RFC 3339
    at: str | None
    #: where it was read
    topic: str | None
    partition: int | None
    offset: int | None
    #: bytes of the value where that was too large to be kept
    truncated: int | None
    key: bytes | None
    value: bytes | None
    #: those of the original record
    headers: Headers

    @classmethod
    def of(
        cls, letter: str, time_ms: int, key: bytes | None, value: bytes | None, headers: Headers
    ) -> Self:
        """The letter that this record is."""
        own = {name: content for name, content in headers if name.startswith(OWN)}
        return cls(
            letter=letter,
            time_ms=time_ms,
            reason=_text(own, "reason"),
            detail=_text(own, "detail"),
            at=_text(own, "at"),
            topic=_text(own, "topic"),
            partition=_number(own, "partition"),
            offset=_number(own, "offset"),
            truncated=_number(own, "truncated"),
            key=key,
            value=value,
            headers=[(name, content) for name, content in headers if not name.startswith(OWN)],
        )

    @property
    def source(self) -> str | None:
        """Where it was read, `posts/3/42`; None where its headers do not say."""
        if self.topic is None or self.partition is None or self.offset is None:
            return None
        return f"{self.topic}/{self.partition}/{self.offset}"


def _text(own: Mapping[str, bytes | None], name: str) -> str | None:
    content = own.get(OWN + name)
    return None if content is None else content.decode(errors="backslashreplace")


def _number(own: Mapping[str, bytes | None], name: str) -> int | None:
    text = _text(own, name) or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
