"""What the contract says of a record's value: a second reading, slow and obvious.

Nothing of the program's decoder is used: limits are written out once more, so that a slip in one of
the two shows as a disagreement.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

MOST_BYTES = 2 * 1024 * 1024
DEEPEST = 200
MOST = 2**63 - 1
LAST_MS = 4_133_980_800_000 - 1  # 2100-12-31T23:59:59.999Z
ANY_FIELD = "*"

Fault = tuple[str, str]
Rule = Callable[[Any], bool]


@dataclass(frozen=True)
class Judgement:
    """`content` of a good value, times in milliseconds and nulls left out; else what is wrong.

    Where several things are wrong, each is a reason that a dead letter may give.
    """

    content: dict[str, Any] | None
    faults: frozenset[Fault] = frozenset()


def judge(topic: str, value: bytes | None) -> Judgement:
    """A value of `posts` or `interactions`."""
    if value is None or value == b"":
        return _bad("empty", "value")
    if len(value) > MOST_BYTES:
        return _bad("too-large", "value")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return _bad("invalid-json", "value")
    if _depth(text) > DEEPEST:
        return _bad("invalid-json", "value")
    try:
        found = json.loads(text, parse_constant=_refuse, parse_int=_integer)
    except _NotJsonError:
        # Which field holds it, if any at the top does, is the program's to say.
        return _bad("invalid-json", ANY_FIELD)
    except ValueError:
        return _bad("invalid-json", "value")
    if not isinstance(found, dict):
        return _bad("invalid-json", "value")
    faults = set(_faults(found, RULES[topic], OPTIONAL[topic]))
    if faults:
        return Judgement(None, frozenset(faults))
    known = {name: found[name] for name in RULES[topic] if found.get(name) is not None}
    for name in known.keys() & {"created_at", "observed_at"}:
        known[name] = milliseconds(known[name])
    return Judgement(known)


def milliseconds(value: Any) -> int | None:
    """A time field's instant; None where it is no time, or outside 1970..2100."""
    if isinstance(value, str):
        value = _rfc3339(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= LAST_MS else None


_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def _rfc3339(text: str) -> int | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day_of_it, hour, minute, second = (int(part) for part in match.groups()[:6])
    try:
        day = datetime(year, month, day_of_it)  # noqa: DTZ001 - offsets are reckoned with below
    except ValueError:
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    moment = timedelta(hours=hour, minutes=minute, seconds=second)
    zone = match[8]
    if zone not in "Zz":
        ahead_h, ahead_min = int(zone[1:3]), int(zone[4:6])
        if ahead_h > 23 or ahead_min > 59:
            return None
        ahead = timedelta(hours=ahead_h, minutes=ahead_min)
        moment -= ahead if zone[0] == "+" else -ahead
    since_1970 = day - datetime(1970, 1, 1) + moment  # noqa: DTZ001
    if second == 60 and not _begins_a_month(since_1970):
        return None
    whole = since_1970 // timedelta(milliseconds=1)
    return whole + int((match[7] or "").ljust(3, "0")[:3])


def _begins_a_month(since_1970: timedelta) -> bool:
    """A leap second is the last of a month in UTC, so that what follows it is a month's first."""
    if not timedelta(0) <= since_1970 <= timedelta(milliseconds=LAST_MS):
        return False
    moment = datetime(1970, 1, 1) + since_1970  # noqa: DTZ001
    return (moment.day, moment.hour, moment.minute, moment.second) == (1, 0, 0, 0)


# -- fields


def _text(least: int, most: int, allowed: Rule = lambda _: True) -> Rule:
    def rule(value: Any) -> bool:
        if not isinstance(value, str) or not least <= len(value) <= most:
            return False
        return not any("\ud800" <= c <= "\udfff" for c in value) and allowed(value)

    return rule


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST


def _is_time(value: Any) -> bool:
    return milliseconds(value) is not None


def _are_topics(value: Any) -> bool:
    one = _text(1, 128)
    return isinstance(value, list) and len(value) <= 64 and all(one(topic) for topic in value)


def _no_control(value: str) -> bool:
    return all(unicodedata.category(c) != "Cc" for c in value)


_id = _text(1, 512)
_platform = _text(1, 32, lambda v: re.fullmatch(r"[a-z0-9_-]+", v) is not None)
_user = _text(1, 256, _no_control)
_label = _text(0, 2_048)
_COUNTS = ("follower", "like", "reply", "repost", "quote", "save", "view")
KINDS = ("like", "reply", "repost", "quote", "mention", "follow")

RULES: Mapping[str, Mapping[str, Rule]] = {
    "posts": {
        "id": _id,
        "platform": _platform,
        "user_id": _user,
        "text": _text(0, 100_000),
        "created_at": _is_time,
        "observed_at": _is_time,
        "lang": _text(1, 35),
        **{f"{name}_count": _is_count for name in _COUNTS},
        "handle": _label,
        "display_name": _label,
        "url": _label,
        "topics": _are_topics,
    },
    "interactions": {
        "id": _id,
        "platform": _platform,
        "kind": lambda value: isinstance(value, str) and value in KINDS,
        "actor_id": _user,
        "target_user_id": _user,
        "target_post_id": _id,
        "created_at": _is_time,
    },
}
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "posts": ("id", "platform", "user_id", "text", "created_at"),
    "interactions": ("id", "platform", "kind", "actor_id", "target_user_id", "created_at"),
}
OPTIONAL: Mapping[str, frozenset[str]] = {
    topic: frozenset(RULES[topic]) - frozenset(REQUIRED[topic]) for topic in RULES
}


def _faults(
    found: Mapping[str, Any], rules: Mapping[str, Rule], optional: frozenset[str]
) -> list[Fault]:
    faults = []
    for name, rule in rules.items():
        if name not in found:
            if name not in optional:
                faults.append(("missing-field", name))
        elif found[name] is None and name in optional:
            continue
        elif not rule(found[name]):
            faults.append(("invalid-field", name))
    return faults


# -- JSON


class _NotJsonError(Exception):
    """NaN and the infinities, which Python's parser takes for numbers."""


def _refuse(name: str) -> Any:
    raise _NotJsonError(name)


def _integer(digits: str) -> int:
    return int(digits) if len(digits) < 100 else 10**99 * (-1 if digits[0] == "-" else 1)


def _depth(text: str) -> int:
    """The most objects and arrays that are open at once, looked at character by character."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return 0  # too few to matter, and most values are such
    depth = deepest = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _bad(reason: str, field: str) -> Judgement:
    return Judgement(None, frozenset({(reason, field)}))
