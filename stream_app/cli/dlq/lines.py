"""Dead letters as lines of JSON, and such a line, corrected, as the record to send."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from stream_app.messages import BadInput
from stream_app.sources.json_lines import line_decoder

if TYPE_CHECKING:
    from stream_app.cli.dlq.letter import Headers, Letter

_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


def letter_json(letter: Letter, *, bytes_only: bool = False) -> bytes:
    """The letter in one line, without its end.

    Key, value and values of headers are text where they are UTF-8; where they are not, and in any
    case with `bytes_only`, they are base64 under the same name with `_base64` behind it.
    """
    fields = {
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "reason": letter.reason,
        "detail": letter.detail,
        "at": letter.at,
        "letter": letter.letter,
        **({} if letter.truncated is None else {"truncated": letter.truncated}),
        **_content("key", letter.key, bytes_only),
        "headers": [
            {"name": name, **_content("value", content, bytes_only)}
            for name, content in letter.headers
        ],
        **_content("value", letter.value, bytes_only),
    }
    # In ASCII where a terminal may show it: names of headers are a stranger's too.
    return json.dumps(fields, ensure_ascii=bytes_only, separators=(",", ":")).encode()


def _content(name: str, content: bytes | None, bytes_only: bool) -> dict[str, str | None]:
    if not bytes_only:
        try:
            return {name: None if content is None else content.decode()}
        except UnicodeDecodeError:
            pass  # not text: as base64 below
    encoded = None if content is None else base64.b64encode(content).decode("ascii")
    return {f"{name}_base64": encoded}


class _Header(msgspec.Struct, frozen=True):
    name: str
    value: str | None = None
    value_base64: str | None = None


class _Line(msgspec.Struct, frozen=True):
    topic: str
    partition: _Number
    offset: _Number
    to: str | None = None
    headers: list[_Header] = msgspec.field(default_factory=list)
    value: msgspec.Raw = msgspec.Raw(b"null")
    value_base64: str | None = None


_decode = line_decoder(_Line)


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """What a line says: the record to send, where to, and where it was read at first."""

    topic: str
    source: str
    value: bytes | None
    headers: Headers


def corrected(line: bytes) -> Corrected:
    """What the line says; its value may also be the JSON object itself instead of its text.

    Raises:
        BadInput: it is no line of a dead letter.
    """
    found = _decode(line)
    return Corrected(
        topic=found.topic if found.to is None else found.to,
        source=f"{found.topic}/{found.partition}/{found.offset}",
        value=_either(_written(bytes(found.value)), found.value_base64),
        headers=[
            (header.name, _either(_encoded(header.value), header.value_base64))
            for header in found.headers
        ],
    )


def _written(raw: bytes) -> bytes | None:
    if raw.startswith(b"{"):
        return raw
    if raw.startswith(b'"'):
        return msgspec.json.decode(raw, type=str).encode()
    if raw == b"null":
        return None
    raise BadInput("invalid-field", "value: expected an object, or one as a string")


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _either(written: bytes | None, in_base64: str | None) -> bytes | None:
    if in_base64 is None:
        return written
    if written is not None:
        raise BadInput("invalid-field", "value: there is value_base64 too; keep one of them")
    try:
        return base64.b64decode(in_base64, validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("invalid-field", "value_base64: not base64") from None
