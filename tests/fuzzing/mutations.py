"""Ways to spoil a message, or to make it odd and leave it good; the judge says which it was."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from tests.fuzzing.judge import RULES

Content = dict[str, Any]

#: Lengths in code points up to which each field is good.
_LIMITS = {
    "id": 512, "platform": 32, "user_id": 256, "actor_id": 256, "target_user_id": 256,
    "target_post_id": 512, "text": 100_000, "lang": 35, "handle": 2_048, "display_name": 2_048,
    "url": 2_048,
}  # fmt: skip
_OWN_NAMES = ("id", "user_id", "target_user_id")
_CHARACTERS = ("x", "好", "\U0001f600", "e\u0301", "\u2028", "\x7f", "\x85", "\x00", "\n", "\u202e")
_TIMES = (
    "2014-07-02T00:00:00Z", "2014-07-02t00:00:00z", "2014-07-02 00:00:00Z", "2014-07-02T00:00:00",
    "2014-07-02", "2014-07-02T00:00Z", "2014-07-02T24:00:00Z", "2014-07-02T23:59:60Z",
    "2014-06-30T23:59:60Z", "2014-07-01T01:59:60+02:00", "2014-02-29T00:00:00Z",
    "2012-02-29T00:00:00Z", "2014-13-01T00:00:00Z", "2014-07-02T00:00:00.Z",
    "2014-07-02T00:00:00.1Z", "2014-07-02T00:00:00,123Z", "2014-07-02T00:00:00.123456789Z",
    "2014-07-02T00:00:00+0200", "2014-07-02T00:00:00+02", "2014-07-02T00:00:00+02:00",
    "2014-07-02T00:00:00-00:00", "2014-07-02T00:00:00+24:00", "2014-07-02T00:00:00-23:59",
    "2014-07-02T00:00:00Z ", " 2014-07-02T00:00:00Z", "2014-07-02T00:00:00Z\n", "20140702T000000Z",
    "2014-W27-3T00:00:00Z", "2014-183T00:00:00Z", "٢٠١٤-07-02T00:00:00Z",
    "1969-12-31T23:59:59.999Z",
    "1970-01-01T00:00:00Z", "1970-01-01T00:30:00+01:00", "1969-12-31T23:30:00-01:00",
    "2100-12-31T23:59:59.999Z", "2101-01-01T00:00:00Z", "2101-01-01T00:30:00+01:00",
    "2100-12-31T23:30:00-01:00", "2100-12-31T23:59:60Z", "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z", "-2014-07-02T00:00:00Z", "+002014-07-02T00:00:00Z", "Wed Jul 02 2014",
    "now", "", 0, -1, 1, 1_404_259_200_000, 1_404_259_200, 4_133_980_799_999, 4_133_980_800_000,
    1_404_259_200_000_000, 1.4e12, 1404259200000.0, "1404259200000",
)  # fmt: skip
_ANYTHING: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, -0.0, 1.0, 0.5, 1e300, 2**31, 2**53 + 1, 2**63 - 1, 2**63,
    2**64, 10**30, "", "0", "5", "-1", "1.0", "null", [], {}, [[]], [None], {"a": 1}, ["a"],
    float("nan"), float("inf"), float("-inf"), "\ud800", "a\udfffb", "\udc00\ud800", ["\ud800"],
)  # fmt: skip


class Mutations:
    """Mutations of one seed; each message gets one to three."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._of_content: tuple[Callable[[str, Content, int], None], ...] = (
            self._anything, self._anything, self._length, self._length, self._time, self._time,
            self._absent, self._null, self._unknown, self._character, self._topics, self._count,
        )  # fmt: skip
        self._of_bytes: tuple[Callable[[bytes], bytes | None], ...] = (
            self._cut, self._flip, self._flip, self._insert, self._remove, self._around,
            self._duplicate, self._utf8, self._number, self._nested, self._instead, self._syntax,
        )  # fmt: skip

    def apply(self, topic: str, content: Mapping[str, Any], number: int) -> bytes | None:
        """The message, changed; `number` makes names of people and posts that nobody else has."""
        changed: Content = dict(content)
        kind = self._chance.random()
        for _ in range(self._chance.choice((1, 1, 1, 2, 3)) if kind < 0.6 else 0):
            self._chance.choice(self._of_content)(topic, changed, number)
        value: bytes | None = encoded(changed, ascii_only=self._chance.random() < 0.3)
        for _ in range(self._chance.choice((1, 1, 2)) if kind > 0.55 else 0):
            if value:
                value = self._chance.choice(self._of_bytes)(value)
        return value

    def _field(self, topic: str, among: tuple[str, ...] = ()) -> str:
        return self._chance.choice(among or tuple(RULES[topic]))

    # -- of the content

    def _anything(self, topic: str, content: Content, number: int) -> None:
        name, value = self._field(topic), self._chance.choice(_ANYTHING)
        if name in _OWN_NAMES and isinstance(value, str):
            value = f"{number:x}-{value}"
        content[name] = value

    def _length(self, topic: str, content: Content, number: int) -> None:
        name = self._field(topic, tuple(n for n in _LIMITS if n in RULES[topic]))
        own = f"{number:x}-" if name in _OWN_NAMES else ""
        length = _LIMITS[name] + self._chance.choice((-1, 0, 0, 1, 1, 2))
        if name == "text" and self._chance.random() < 0.9:
            length = self._chance.randrange(3)  # the long ones are large: a few will do
        character = self._chance.choice(_CHARACTERS)
        content[name] = (own + character * length)[:length]

    def _time(self, topic: str, content: Content, number: int) -> None:
        names = ("created_at", "observed_at") if topic == "posts" else ("created_at",)
        content[self._field(topic, names)] = self._chance.choice(_TIMES)

    def _absent(self, topic: str, content: Content, number: int) -> None:
        content.pop(self._field(topic), None)

    def _null(self, topic: str, content: Content, number: int) -> None:
        content[self._field(topic)] = None

    def _unknown(self, topic: str, content: Content, number: int) -> None:
        name = self._chance.choice(("extra", "", "Text", "text ", "\ud800", "\x00", "__class__"))
        draw = self._chance.random()
        if draw < 0.5:
            content[name] = self._chance.choice(_ANYTHING)
        else:
            content[name] = ["unknown " * 4] * self._chance.randrange(300)

    def _character(self, topic: str, content: Content, number: int) -> None:
        name = self._field(topic, tuple(n for n in _LIMITS if n in RULES[topic]))
        if isinstance(content.get(name), str):
            at = self._chance.randrange(len(content[name]) + 1)
            character = self._chance.choice((*_CHARACTERS, "\ud83d", "/", "%", "?", "#", "\\", '"'))
            content[name] = content[name][:at] + character + content[name][at:]

    def _topics(self, topic: str, content: Content, number: int) -> None:
        count, length = self._chance.choice((0, 1, 64, 65)), self._chance.choice((1, 128, 129))
        content["topics"] = [self._chance.choice(_CHARACTERS) * length] * count

    def _count(self, topic: str, content: Content, number: int) -> None:
        name = self._chance.choice(("follower_count", "like_count", "view_count", "quote_count"))
        content[name] = self._chance.choice((0, -1, 2**63 - 1, 2**63, "7", 7.0, True, 10**400))

    # -- of the bytes

    def _cut(self, value: bytes) -> bytes:
        return value[: self._chance.randrange(len(value))]

    def _flip(self, value: bytes) -> bytes:
        changed = bytearray(value)
        for _ in range(self._chance.choice((1, 1, 2, 8))):
            changed[self._chance.randrange(len(changed))] ^= 1 << self._chance.randrange(8)
        return bytes(changed)

    def _insert(self, value: bytes) -> bytes:
        at = self._chance.randrange(len(value) + 1)
        return value[:at] + self._chance.randbytes(self._chance.randrange(1, 5)) + value[at:]

    def _remove(self, value: bytes) -> bytes:
        at = self._chance.randrange(len(value))
        return value[:at] + value[at + self._chance.randrange(1, 5) :]

    def _around(self, value: bytes) -> bytes:
        before, behind = (
            self._chance.choice(
                (b"", b" ", b"\t\r\n", b"\xef\xbb\xbf", b"\x0b", b"\x0c", b"\xc2\xa0", b"\x00")
            )
            for _ in range(2)
        )
        return before + value + behind

    def _duplicate(self, value: bytes) -> bytes:
        name = self._chance.choice(("id", "text", "created_at", "platform", "like_count", "kind"))
        other = self._chance.choice((b"5", b'"5"', b"null", b"1.0", b'"\\ud800"', b"[]", b"0"))
        field = b'"%s":%s' % (name.encode(), other)
        if self._chance.random() < 0.5:
            return value.replace(b"{", b"{" + field + b",", 1)
        return value[:-1] + b"," + field + b"}"

    def _utf8(self, value: bytes) -> bytes:
        wrong = self._chance.choice(
            (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe5\xa5", b"\x80")
        )
        if self._chance.random() < 0.5:
            return value[:-1] + b',"unknown":"' + wrong + b'"}'
        at = self._chance.randrange(len(value))
        return value[:at] + wrong + value[at:]

    def _number(self, value: bytes) -> bytes:
        number = self._chance.choice(
            (b"01", b"+1", b".5", b"1.", b"-0", b"-", b"1e2", b"1E400", b"0x10", b"1_000", b"NaN",
             b"-Infinity", b"1" * 5_000, b"-" + b"9" * 400, b"9" * 19, b"1.0", b"0e0", b"-0.0")
        )  # fmt: skip
        name = self._chance.choice((b"like_count", b"unknown", b"created_at"))
        return value[:-1] + b',"%s":%s}' % (name, number)

    def _nested(self, value: bytes) -> bytes:
        depth = self._chance.choice((150, 198, 199, 200, 201, 5_000))
        opening, closing = self._chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
        inside = b"1" if opening != b"[" else b""
        nested = opening * depth + inside + closing * depth
        if self._chance.random() < 0.2:
            nested = b'"' + b"[{" * depth + b'"'  # no nesting: it only looks like it
        return value[:-1] + b',"unknown":' + nested + b"}"

    def _instead(self, value: bytes) -> bytes | None:
        return self._chance.choice(
            (
                None, None, b"", b"", b" ", b"null", b"5", b'"text"', b"[]", b"{}", b"true",
                b"[" + value + b"]", value + value, gzip.compress(value, mtime=0), b"{" * 300_000,
                value.decode(errors="replace").encode("utf-16"), b"[" * 5_000, b"\x00" * 100, b'"',
                value.decode(errors="replace").encode("utf-32-le"), b"\xef\xbb\xbf",
            )
        )  # fmt: skip

    def _syntax(self, value: bytes) -> bytes:
        old, new = self._chance.choice(
            (
                (b'"', b"'"), (b"}", b",}"), (b":", b"="), (b",", b";"), (b",", b",,"),
                (b" ", b"\t"),
                (b" ", b"\x01"), (b"{", b"{/**/"), (b'"', b'\\"'), (b"a", b"\\u0061"),
                (b"a", b"\\x61"), (b"a", b"\\ud83d\\ude00"), (b"a", b"\\ud83d"), (b"a", b"\\u00"),
                (b":", b" : "), (b"}", b"}}"), (b"n", b"\\n"), (b"e", b"\\e"),
            )
        )  # fmt: skip
        return value.replace(old, new, self._chance.choice((1, 1, -1)))


def encoded(content: Mapping[str, Any], *, ascii_only: bool = False) -> bytes:
    """Lone surrogates stand as bytes of their own, which is no UTF-8, unless written as escapes."""
    return json.dumps(content, ensure_ascii=ascii_only, separators=(",", ":")).encode(
        errors="surrogatepass"
    )
