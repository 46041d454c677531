"""Parameters of requests: read strictly, described once for the reader and for OpenAPI."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from stream_app.web.problems import ProblemError

# Nine digits fit any sensible number; int() alone would take "+5", " 5", "1_000" and "٣" too.
_DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A text in the path, the query or a header."""

    name: str
    place: Literal["path", "query", "header"] = "query"
    description: str

    def read(self, request: web.Request) -> str | None:
        """The text in the query, None where it is missing; 400 for one given twice."""
        given = request.query.getall(self.name, [])
        if len(given) > 1:
            raise ProblemError(400, f"parameter {self.name!r} is given {len(given)} times")
        return given[0] if given else None

    def schema(self) -> dict[str, object]:
        """Its JSON schema."""
        return {"type": "string"}


@dataclass(frozen=True, kw_only=True)
class IntegerParameter(Parameter):
    """A whole number in the query, in decimal digits."""

    default: int
    least: int
    most: int | None = None

    def number(self, request: web.Request) -> int:
        """The number, its default where it is missing; 400 outside its range."""
        text = self.read(request)
        if text is None:
            return self.default
        if _DIGITS.fullmatch(text) is None or not self._contains(int(text)):
            raise ProblemError(400, f"parameter {self.name!r} must be {self._range()}")
        return int(text)

    def schema(self) -> dict[str, object]:
        """Its JSON schema."""
        schema: dict[str, object] = {
            "type": "integer",
            "minimum": self.least,
            "default": self.default,
        }
        return schema if self.most is None else schema | {"maximum": self.most}

    def _contains(self, number: int) -> bool:
        return self.least <= number and (self.most is None or number <= self.most)

    def _range(self) -> str:
        most = "" if self.most is None else f" and at most {self.most}"
        return f"an integer of at least {self.least}{most}"


LIMIT = IntegerParameter(name="limit", description="most items", default=50, least=1, most=500)
PEER_LIMIT = IntegerParameter(name="limit", description="most items", default=50, least=1, most=501)
OFFSET = IntegerParameter(
    name="offset",
    description="how many of the first to leave out",
    default=0,
    least=0,
    most=999_999_999,
)
TIER = Parameter(name="tier", description="name of a tier; the lowest one when it is left out")
CURSOR = Parameter(name="cursor", description="`next` of the page before, opaque")
KEY = Parameter(
    name="key", place="path", description="user key `platform:user_id`, percent-encoded"
)
LAST_EVENT_ID = Parameter(
    name="last_event_id",
    description="as the header Last-Event-ID, which goes before it; 0 replays all that is kept",
)
LAST_EVENT_ID_HEADER = Parameter(
    name="Last-Event-ID",
    place="header",
    description="id of the last event seen; unknown: all that is kept follows",
)


def refuse_unknown(request: web.Request, known: Sequence[Parameter]) -> None:
    """400 for a query parameter that nothing here reads: most likely a misspelt one."""
    names = [parameter.name for parameter in known if parameter.place == "query"]
    for name in request.query:
        if name not in names:
            takes = f"it takes {', '.join(names)}" if names else "it takes none"
            raise ProblemError(400, f"unknown parameter {name!r}; {takes}")
