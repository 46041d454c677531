"""One line of a JSON Lines file as a struct, or the reason why not."""

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from stream_app.messages import BadInput
from stream_app.sources.lines import MAX_LINE_BYTES

T = TypeVar("T")

_ABSENT: Final = re.compile(r"Object missing required field `(\w+)`")


def line_decoder(wire: type[T]) -> Callable[[bytes], T]:
    """A function from a line to that struct; fields that it does not know are passed over.

    The function raises BadInput for a line that is no such object.
    """
    decode = msgspec.json.Decoder(wire).decode

    def decoded(line: bytes) -> T:
        if len(line) >= MAX_LINE_BYTES:
            raise BadInput("too-large", f"value: longer than {MAX_LINE_BYTES} bytes")
        try:
            line.decode()  # msgspec skips fields it does not need without looking at their bytes
            return decode(line)
        except msgspec.ValidationError as error:
            raise _blamed(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadInput("invalid-json", f"value: {error}") from None

    return decoded


def fields_of_line(*names: str) -> Callable[[bytes], frozenset[str]]:
    """A function from a line to which of these fields its object has.

    None of them for what is no object at all; the decoder that comes next says what is wrong.
    """
    fields: list[tuple[str, Any, Any]] = [
        (name, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for name in names
    ]
    decode = msgspec.json.Decoder(msgspec.defstruct("Fields", fields)).decode

    def found(line: bytes) -> frozenset[str]:
        try:
            line_fields = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return frozenset()
        return frozenset(n for n in names if getattr(line_fields, n) is not msgspec.UNSET)

    return found


def _blamed(message: str) -> BadInput:
    """The decoder's words with the field in front: `user.id_str: expected ...`."""
    said, _, path = message.partition(" - at `$")
    path = path.strip(".`")
    absent = _ABSENT.fullmatch(said)
    if absent:
        name = f"{path}.{absent[1]}" if path else absent[1]
        return BadInput("missing-field", f"{name}: required, but absent")
    return BadInput(
        "invalid-field", f"{path or 'value'}: {said.replace('Expected', 'expected', 1)}"
    )
