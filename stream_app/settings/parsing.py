"""Settings as people write them: `30d`, `like=1,reply=2`, `kol=0.90,top=0.99`, `host:9092`.

Every function takes the text of a setting, or a value of the type it returns, and raises
ValueError with what is allowed; loading.py puts the variable's name and the bad value around it.
"""

import ipaddress
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from stream_app.messages import COUNT_FIELDS, KINDS

_UNIT_SECONDS: Final = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3_600),
    "d": Decimal(86_400),
    "w": Decimal(7 * 86_400),
}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])", re.ASCII)
_MAX_SESSION_S: Final = 60  # below the time that any request may take
_MAX_DURATION_S: Final = 36_525 * 86_400.0  # a century
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?|\.\d+", re.ASCII)
_TIER_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_HOST_PORT: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?", re.ASCII)
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")

WEIGHT_NAMES: Final = tuple(dict.fromkeys((*COUNT_FIELDS, *KINDS)))
EXPONENT_NAMES: Final = ("reach", "attention", "resonance", "text")
DEFAULT_WEIGHTS: Final = MappingProxyType(
    {"like": 1.0, "reply": 2.0, "repost": 3.0, "quote": 3.0}
    | {"save": 2.0, "view": 0.0, "mention": 1.0, "follow": 2.0}
)

LEAST_MEMBERS: Final = 10
"""A line is drawn only where this many users can be expected at or above it."""


class Quantile(float):
    """A quantile that remembers the decimal it was written as: 0.9 is not exactly 9/10."""

    exact: Fraction

    def __new__(cls, text: str) -> "Quantile":
        """Of a plain decimal like `0.95`."""
        self = super().__new__(cls, text)
        self.exact = Fraction(text)
        return self


def least_population(quantile: float) -> int:
    """Smallest n with n (1 - q) >= 10, in exact decimals: 100 for 0.90."""
    exact = quantile.exact if isinstance(quantile, Quantile) else Fraction(repr(quantile))
    return math.ceil(LEAST_MEMBERS / (1 - exact))


def duration(value: object) -> float:
    """Seconds, above 0 and at most a century; a plain number counts as seconds only in code."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        match = _DURATION.fullmatch(str(value).strip())
        if match is None:
            raise ValueError("a number with a unit: 500ms, 30s, 5m, 12h, 7d or 2w")
        seconds = float(Decimal(match[1]) * _UNIT_SECONDS[match[2]])
    if not 0 < seconds <= _MAX_DURATION_S:
        raise ValueError("a duration above 0 and at most 36525d")
    return seconds


def session_timeout(value: object) -> float:
    """Seconds that Kafka takes for a session, and that a client's own limits leave room for."""
    seconds = duration(value)
    if not 1 <= seconds <= _MAX_SESSION_S:
        raise ValueError(f"a duration from 1s to {_MAX_SESSION_S}s")
    return seconds


def window(value: object) -> float | None:
    """Seconds, or None for no limit."""
    return None if value is None else duration(value)


def weights(value: object) -> dict[str, float]:
    """Weight of each count and interaction; names left out keep their defaults."""
    return dict(DEFAULT_WEIGHTS) | _numbers(value, WEIGHT_NAMES)


def exponents(value: object) -> dict[str, float] | None:
    """Exponent of each factor named; names left out keep the preset's."""
    if value is None:
        return None
    found = _numbers(value, EXPONENT_NAMES)
    if found.get("attention") == 0:
        raise ValueError("an exponent of attention above 0, without which no score would decay")
    return found


def _numbers(value: object, names: tuple[str, ...]) -> dict[str, float]:
    allowed = f"name=number pairs with commas, numbers from 0 up, names of {' '.join(names)}"
    found: dict[str, float] = {}
    for name, number in _pairs(value, allowed):
        if name not in names or name in found or _NUMBER.fullmatch(number) is None:
            raise ValueError(allowed)
        found[name] = float(number)
        if math.isinf(found[name]):
            raise ValueError(allowed)
    return found


def tiers(value: object) -> dict[str, float]:
    """Quantile of each tier, ascending; the values are `Quantile`s."""
    allowed = "name=quantile pairs like kol=0.90,top=0.99, quantiles between 0 and 1, ascending"
    found: dict[str, float] = {}
    highest = Fraction(0)
    for name, number in _pairs(value, allowed):
        if _TIER_NAME.fullmatch(name) is None or name in found:
            raise ValueError(f"{allowed}; names once each, of a-z 0-9 _ - and a letter first")
        if _NUMBER.fullmatch(number) is None:
            raise ValueError(allowed)
        quantile = Quantile(number)
        # As floats too: 0.99999999999999999 would be a maximum, not a quantile.
        if not (highest < quantile.exact < 1 and float(highest) < quantile < 1.0):
            raise ValueError(allowed)
        highest = quantile.exact
        found[name] = quantile
    return found


def _pairs(value: object, allowed: str) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [(str(name), str(number)) for name, number in value.items()]
    pairs = []
    for part in str(value).split(","):
        name, equals, number = part.partition("=")
        if not equals:
            raise ValueError(allowed)
        pairs.append((name.strip(), number.strip()))
    return pairs


def brokers(value: object) -> str:
    """`host:port`, several with commas; the port may be left out and is then 9092."""
    return ",".join(
        ":".join(_host_port(part.strip(), default_port=9092)) for part in str(value).split(",")
    )


def address(value: object) -> str | None:
    """`host:port` of a worker, or None."""
    if value is None:
        return None
    host, port = _host_port(str(value), default_port=None)
    return f"{host}:{port}"


def _host_port(text: str, *, default_port: int | None) -> tuple[str, str]:
    match = _HOST_PORT.fullmatch(text)
    port = (match[2] or default_port) if match else None
    if match is None or port is None or not 1 <= int(port) <= 65_535:
        raise ValueError("host:port" + ("" if default_port is None else ", several with commas"))
    return match[1], str(port)


def token(value: object) -> object:
    """What an Authorization header can carry (RFC 6750)."""
    if isinstance(value, str) and _TOKEN.fullmatch(value) is None:
        raise ValueError("letters, digits and -._~+/ with = at the end only")
    return value


def one_line(value: object) -> object:
    """A name or a password as Kafka's clients can send it."""
    if isinstance(value, str) and not all(c.isprintable() for c in value):
        raise ValueError("characters that can be seen, in one line")
    return value


def is_loopback(host: str) -> bool:
    """Whether nobody outside this machine can reach what is bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False  # a name we do not resolve: better to ask for a token once too often


def pairs_text(value: Mapping[str, float]) -> str:
    """The mapping as it is written in a setting, `a=1,b=0.5`."""
    return ",".join(
        f"{name}={float(number)!r}".removesuffix(".0") for name, number in value.items()
    )


def duration_text(seconds: float) -> str:
    """The duration as it is written in a setting, in the largest unit that keeps it whole."""
    ms = round(seconds * 1_000)
    for unit in ("d", "h", "m", "s"):
        unit_ms = int(_UNIT_SECONDS[unit] * 1_000)
        if ms % unit_ms == 0:
            return f"{ms // unit_ms}{unit}"
    return f"{ms}ms"
