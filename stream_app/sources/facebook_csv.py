"""Posts of Facebook pages as CSV with a header (RFC 4180, line feeds inside quotes)."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from stream_app.errors import UsageError
from stream_app.messages import BadInput, Post
from stream_app.messages.bad_input import shown
from stream_app.messages.decoding import checked_time
from stream_app.sources.events import checked_post
from stream_app.sources.lines import BadLine, whole_lines

PLATFORM: Final = "facebook"

_REQUIRED: Final = ("page_id", "post_id", "created_time")
_REACTION: Final = "react_"
_COUNT: Final = re.compile(r"[0-9]{1,20}")
_TIME: Final = re.compile(r"(.+\d\d:\d\d:\d\d(?:\.\d+)?)(?:([+-]\d\d):?(\d\d)|Z)?", re.ASCII)

_Record = list[str] | BadInput


def posts_of_files(paths: Sequence[str]) -> Iterator[Post | BadLine]:
    """Every record of the files; a bad one has the number of the line where it begins.

    Raises:
        UsageError: a file cannot be read, or its header lacks a column that posts need.
    """
    for path in paths:
        records = _records(path)
        header = _header(path, next(records, None))
        for number, record in records:
            try:
                yield _post(_fields(header, record))
            except BadInput as bad:
                yield BadLine.of(path, number, bad)


def _records(path: str) -> Iterator[tuple[int, _Record]]:
    """Records with the number of their first line, blank lines left out."""
    reader = csv.reader(_text_lines(path), strict=True)
    while True:
        number = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # the reader goes on with the line after it
            said = str(error).partition(" - ")[0]  # what follows is advice to programmers
            yield number, BadInput("invalid-field", f"value: no CSV record: {said}")
            continue
        if record:
            yield number, record


def _text_lines(path: str) -> Iterator[str]:
    """What is not UTF-8 comes as lone surrogates, so that only its own record is bad."""
    for number, line in enumerate(whole_lines(path), start=1):
        text = line.decode(errors="surrogateescape")
        yield text.removeprefix("\ufeff") if number == 1 else text


def _header(path: str, first: tuple[int, _Record] | None) -> list[str]:
    if first is None:
        return []
    _, names = first
    found = [] if isinstance(names, BadInput) else names
    absent = [name for name in _REQUIRED if name not in found]
    if absent:
        raise UsageError(
            f"{path}: no column {', '.join(absent)}; a facebook-csv file begins with the names of "
            "its columns"
        )
    return found


def _fields(header: list[str], record: _Record) -> Mapping[str, str]:
    if isinstance(record, BadInput):
        raise record
    if len(record) != len(header):
        raise BadInput("invalid-field", f"value: {len(record)} fields, {len(header)} in the header")
    fields = dict(zip(header, record, strict=True))
    for name, value in fields.items():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadInput("invalid-field", f"{name}: not UTF-8") from None
    return fields


def _post(fields: Mapping[str, str]) -> Post:
    created_at = _time_ms(fields, "created_time")
    seen_at = _time_ms(fields, "scrape_time") if fields.get("scrape_time") else created_at
    return checked_post(
        Post(
            id=fields["post_id"],
            platform=PLATFORM,
            user_id=fields["page_id"],
            text=_text(fields.get("message", "").strip(), fields.get("description", "").strip()),
            created_at=created_at,
            observed_at=max(created_at, seen_at),
            lang="en",
            like_count=_reactions(fields),
            repost_count=_count(fields, "shares"),
            handle=fields.get("page_name") or None,
            url=f"https://www.facebook.com/{fields['post_id']}",
        )
    )


def _text(message: str, description: str) -> str:
    """Both, unless one says what the other says."""
    if description in message:
        return message
    return description if message in description else f"{message}\n{description}"


def _reactions(fields: Mapping[str, str]) -> int | None:
    """All reactions together; unknown unless each is known."""
    found = [_count(fields, name) for name in fields if name.startswith(_REACTION)]
    known = [count for count in found if count is not None]
    return sum(known) if known and len(known) == len(found) else None


def _count(fields: Mapping[str, str], name: str) -> int | None:
    text = fields.get(name, "")
    if not text:
        return None
    if not _COUNT.fullmatch(text):
        raise BadInput("invalid-field", f"{name}: {shown(text)} is no count")
    return int(text)


def _time_ms(fields: Mapping[str, str], name: str) -> int:
    """Of a time with an offset like +0000, or in UTC where it has none."""
    text = fields[name]
    match = _TIME.fullmatch(text)
    if match is None:
        raise BadInput("invalid-field", f"{name}: {shown(text)} is no time of this format")
    moment, hours, minutes = match.groups()
    return checked_time(name, f"{moment}{hours}:{minutes}" if hours else f"{moment}Z")
