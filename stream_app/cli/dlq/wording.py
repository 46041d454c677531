"""How a dead letter reads on a terminal: one line, no text of a post, no control characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream_app.cli.wording import plural
from stream_app.messages import BadInput
from stream_app.messages.bad_input import shown
from stream_app.messages.decoding import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stream_app.cli.dlq.letter import Letter

#: Fields that tell which event it is; any other may hold what somebody has written.
_NAMING = (
    "id",
    "platform",
    "kind",
    "user_id",
    "actor_id",
    "target_user_id",
    "target_post_id",
    "created_at",
)
_KEY_CHARACTERS = 60
_GAP = "  "


def letter_line(letter: Letter) -> str:
    """When, why, where it was read, under which key, what was wrong, and which event it is."""
    at = escaped(letter.at or "-")[: len("2014-07-01T12:00:00")].replace("T", " ")
    reason = escaped(letter.reason or "-").ljust(len("wrong-partition"))
    parts = (at, reason, escaped(letter.source or "-"), f"key {key_text(letter.key)}")
    what = escaped(letter.detail or "no reason given: no worker has written it")
    return _GAP.join((*parts, what, f"[{excerpt(letter)}]"))


def excerpt(letter: Letter) -> str:
    """Ids and times in the value, else only how much there is: never what somebody wrote."""
    if letter.truncated is not None:
        return f"{plural(letter.truncated, 'byte')}, too many to be kept"
    if letter.value is None:
        return "null"
    size = plural(len(letter.value), "byte")
    if not letter.value:
        return size
    try:
        found = parse_object(letter.value)
    except BadInput:
        return f"no JSON object, {size}"
    named = [f"{name} {shown(found[name])}" for name in _NAMING if name in found]
    if isinstance(found.get("text"), str):
        named.append(f"text of {plural(len(found['text']), 'character')}")
    return ", ".join((*named, size))


def key_text(key: bytes | None) -> str:
    """A record's key, whatever bytes it is of, as one short word or several."""
    if key is None:
        return "null"
    text = escaped(key.decode(errors="backslashreplace")) or "''"
    return text if len(text) <= _KEY_CHARACTERS else text[:_KEY_CHARACTERS] + "…"


def escaped(text: str) -> str:
    """The text with an escape, backslash and number, for each character that does not print."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def tally(reasons: Mapping[str, int]) -> str:
    """`3 dead letters: 2 empty, 1 invalid-field`, the most frequent first."""
    if not reasons:
        return "no dead letters"
    by_number = sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    said = ", ".join(f"{number:,} {escaped(reason)}" for reason, number in by_number)
    return f"{plural(sum(reasons.values()), 'dead letter')}: {said}"
