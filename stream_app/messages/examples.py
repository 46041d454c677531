"""Examples of the public messages: those inside the schemas, and the judging of those in files.

A file of `<folder>/<message>/<kind>/` is a record's value, byte for byte. Kind `valid`: as people
write them; `older`: as an earlier version wrote them; `invalid`: refused for the reason and the
field that stand in its name, `<reason>.<field>.<what is wrong>.json`.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from stream_app.messages.bad_input import BadInput
from stream_app.messages.interaction import decode_interaction
from stream_app.messages.kol_event import decode_event
from stream_app.messages.post import decode_post

DECODERS: Final[Mapping[str, Callable[[bytes | None], object]]] = MappingProxyType(
    {"post": decode_post, "interaction": decode_interaction, "kol-event": decode_event}
)
"""How the program reads each message."""

ACCEPTED: Final = ("valid", "older")

EXAMPLES: Final[Mapping[str, tuple[Mapping[str, Any], ...]]] = MappingProxyType(
    {
        "post": (
            {
                "id": "486238246234755073",
                "platform": "twitter",
                "user_id": "3108351",
                "text": "How Apple changed after the death of Steve Jobs: http://t.co/nAB8aDO4r0",
                "created_at": "2014-07-07T20:00:06.000Z",
                "observed_at": "2014-07-07T20:01:50.000Z",
                "lang": "en",
                "follower_count": 4_661_092,
                "like_count": 5,
                "repost_count": 11,
                "handle": "WSJ",
                "url": "https://twitter.com/WSJ/status/486238246234755073",
                "topics": ["$AAPL"],
            },
            {"id": "1", "platform": "forum", "user_id": "7", "text": "", "created_at": 0},
        ),
        "interaction": (
            {
                "id": "r-1",
                "platform": "twitter",
                "kind": "repost",
                "actor_id": "18548136",
                "target_user_id": "3108351",
                "target_post_id": "486238246234755073",
                "created_at": "2014-07-07T20:02:11.000Z",
            },
            {
                "id": "f-1",
                "platform": "twitter",
                "kind": "follow",
                "actor_id": "18548136",
                "target_user_id": "3108351",
                "created_at": 1_404_763_331_000,
            },
        ),
        "kol-event": (
            {
                "event_id": "14b8a22397d8104b69fff179b7b8d173",
                "kind": "promoted",
                "tier": "kol",
                "from_tier": None,
                "user": {
                    "key": "twitter:15281391",
                    "platform": "twitter",
                    "user_id": "15281391",
                    "handle": "TheStreet",
                    "display_name": None,
                    "follower_count": 112009,
                },
                "score": 95.44677353747873,
                "threshold": 28.58766094503797,
                "quantile": 0.9,
                "population": 311,
                "percentile": 95.17684887459808,
                "factors": [
                    {
                        "name": "reach",
                        "value": 112010.0,
                        "exponent": 0.3,
                        "contribution": 3.487903029601735,
                        "known": True,
                    },
                    {
                        "name": "attention",
                        "value": 3.2539612453386333,
                        "exponent": 0.3,
                        "contribution": 0.35396192966190415,
                        "known": True,
                    },
                    {
                        "name": "resonance",
                        "value": 6.0,
                        "exponent": 0.4,
                        "contribution": 0.716703787691222,
                        "known": True,
                    },
                    {
                        "name": "text",
                        "value": 1.0,
                        "exponent": 0.1,
                        "contribution": 0.0,
                        "known": True,
                    },
                ],
                "cause": {
                    "type": "post",
                    "topic": "posts",
                    "partition": 7,
                    "offset": 102,
                    "post_id": "485392421459877888",
                },
                "occurred_at": "2014-07-31T23:34:34.000Z",
                "emitted_at": "2026-11-24T20:28:42.651Z",
            },
        ),
    }
)
"""What stands under `examples` in each schema."""


def check_examples(folder: Path) -> list[str]:
    """One line for each example in `folder` that the program judges otherwise than it is named.

    No line where there is no such folder: only a checkout has one.
    """
    return list(_complaints(folder)) if folder.is_dir() else []


def _complaints(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*/*/*")):
        message, kind, name = path.relative_to(folder).parts
        if message not in DECODERS or kind not in (*ACCEPTED, "invalid"):
            yield f"{message}/{kind}/{name}: no such kind of example"
            continue
        expected = None if kind in ACCEPTED else name.split(".")[:2]
        found = _refusal(message, path.read_bytes())
        if found != expected:
            yield f"{message}/{kind}/{name}: {_said(found)} where {_said(expected)} is expected"


def _refusal(message: str, value: bytes) -> list[str] | None:
    """Reason and field of the program's refusal; None where it takes the value."""
    try:
        DECODERS[message](value)
    except BadInput as bad:
        return [bad.reason, bad.detail.partition(":")[0]]
    return None


def _said(refusal: list[str] | None) -> str:
    return "a valid message" if refusal is None else " of ".join(refusal)
