"""From bytes to a checked wire struct: msgspec where the value is good, names and reasons else.

One pass of msgspec accepts nearly everything that is valid. What it refuses is looked at again,
field by field: the value may yet be valid (an earlier duplicate of a field was not, a field we
ignore holds a lone surrogate), and if not, the dead letter says which field is wrong and why.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from stream_app.messages.bad_input import BadInput, shown
from stream_app.messages.times import parse_time

MAX_VALUE_BYTES: Final = 2 * 1024 * 1024
"""No valid message needs more: 100,000 code points escaped as surrogate pairs are 1.2 MB, all
other fields together 0.2 MB."""

MAX_NESTING: Final = 200
"""Objects and arrays inside one another; far below any parser's own limit, so that every worker
judges the same value alike."""

# Possessive, and content with a string that never ends: linear in whatever it is given.
_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_EXACT_DIGITS: Final = 25  # 2^63 has 19
# A detail goes into a header: a name that the sender has made up may be long, or no text at all.
_PLAIN_NAME: Final = re.compile(r"[a-z_]{1,40}")

W = TypeVar("W", bound=msgspec.Struct)


class WireDecoder(Generic[W]):
    """Decodes JSON bytes to one struct type, or says why not.

    Unknown fields are ignored, the last of duplicate fields wins, null in an optional field is
    as good as absent.
    """

    def __init__(self, wire: type[W]) -> None:
        self._wire = wire
        self._fields = msgspec.structs.fields(wire)
        self._decode = msgspec.json.Decoder(wire).decode

    def __call__(self, value: bytes | None) -> W:
        """The checked struct.

        Raises:
            BadInput: with a reason of `REASONS`; its detail begins with the field's name.
        """
        found = quickly(self._decode, value)
        return self._decode_field_by_field(value) if found is None else found

    def _decode_field_by_field(self, value: bytes | None) -> W:
        if not value:
            raise BadInput("empty", f"value: {'null' if value is None else 'zero bytes'}")
        if len(value) > MAX_VALUE_BYTES:
            raise BadInput("too-large", f"value: {len(value)} bytes, at most {MAX_VALUE_BYTES}")
        found = parse_object(value)
        checked: dict[str, Any] = {}
        for field in self._fields:
            name = field.encode_name
            if name in found:
                checked[field.name] = _check_field(name, found[name], field.type)
            elif field.required:
                raise BadInput("missing-field", f"{name}: required, but absent")
        return self._wire(**checked)


def quickly(decode: Callable[[bytes], W], value: bytes | None) -> W | None:
    """What msgspec makes of a value at once; None for one that must be looked at again."""
    if not value or len(value) > MAX_VALUE_BYTES:
        return None
    # Fewer brackets than the limit cannot nest deeper than it.
    if value.count(b"[") + value.count(b"{") > MAX_NESTING:
        return None
    try:
        if not value.isascii():
            value.decode()  # msgspec skips ignored fields without looking at their bytes
        return decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def checked_time(name: str, value: str | int) -> int:
    """Epoch milliseconds of a time field, or BadInput in that field's name."""
    try:
        return parse_time(value)
    except ValueError as error:
        raise BadInput("invalid-field", f"{name}: {error} (value: {shown(value)})") from None


def _check_field(name: str, value: object, kind: Any) -> object:
    if _has_lone_surrogate(value):
        raise BadInput("invalid-field", f"{name}: a lone surrogate, which is no character")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        said = str(error).replace("Expected", "expected", 1)
        # Post text stays out of headers and logs.
        what = f"{len(value)} characters" if name == "text" and isinstance(value, str) else None
        raise BadInput("invalid-field", f"{name}: {said} (value: {what or shown(value)})") from None


def _has_lone_surrogate(value: object) -> bool:
    if isinstance(value, list):
        return any(_has_lone_surrogate(item) for item in value)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return True
    return False


def parse_object(value: bytes) -> dict[str, Any]:
    """The JSON object in `value`, read strictly as RFC 8259 says; the last of duplicates wins.

    Integers longer than 25 digits keep their sign and first 25: out of any range either way,
    and Python refuses to convert thousands of digits.

    Raises:
        BadInput: reason `invalid-json`.
    """
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise BadInput("invalid-json", f"value: byte {error.start} is not UTF-8") from None
    if _is_too_deep(text):
        raise BadInput("invalid-json", f"value: nested deeper than {MAX_NESTING}")
    constants: list[_Constant] = []

    def note_constant(name: str) -> _Constant:
        constants.append(_Constant(name))
        return constants[-1]

    found = _loads(text, note_constant)
    if not isinstance(found, dict):
        raise BadInput("invalid-json", f"value: {shown(found)} where an object is required")
    if constants:
        names = (n for n, v in found.items() if isinstance(v, _Constant))
        name = next((n for n in names if _PLAIN_NAME.fullmatch(n)), "value")
        raise BadInput("invalid-json", f"{name}: {constants[0].name} is not JSON")
    return found


class _Constant:
    """NaN and the infinities, which Python's parser takes and JSON does not have."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


def _loads(text: str, note_constant: Callable[[str], object]) -> Any:
    try:
        return json.loads(
            text,
            parse_constant=note_constant,
            parse_int=lambda digits: int(digits[:_EXACT_DIGITS]),
        )
    except json.JSONDecodeError as error:
        said = "byte order mark" if text.startswith("\ufeff") else error.msg
        raise BadInput("invalid-json", f"value: {said} at character {error.pos}") from None


def _is_too_deep(text: str) -> bool:
    """Whether more than MAX_NESTING brackets are open at once; garbage is the parser's to find."""
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        bracket = match[0]
        if bracket in "[{":
            depth += 1
            if depth > MAX_NESTING:
                return True
        elif bracket in "]}":
            depth -= 1
    return False
