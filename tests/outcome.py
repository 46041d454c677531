"""What a system of workers shows and has sent, held against what its events amount to."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from stream_app.messages import parse_time, rfc3339
from tests.kafka.clients import StoredRecord
from tests.stream_of_events import EXPONENTS, Truth, User

#: Sums of the same numbers in another order differ by this much at most.
REL = 1e-9
#: The contract's bound on a line's relative error.
LINE_REL = 1e-3


@dataclass
class Outcome:
    """How far the shown users are from the truth."""

    lost: int = 0
    twice: int = 0
    wrong: list[str] = field(default_factory=list)


def compare(shown: Mapping[str, Any], truth: Truth) -> Outcome:
    """Every user of the truth against what `GET /api/v1/users/{key}` said (None: unknown)."""
    outcome = Outcome()
    for key, user in truth.users.items():
        _count(outcome, shown[key], user)
        if shown[key] is None:
            if user.posts or user.interactions:
                outcome.wrong.append(f"{key} is unknown")
        else:
            outcome.wrong += _differences(shown[key], user, truth.high_mark)
    return outcome


def _count(outcome: Outcome, shown: Any, user: User) -> None:
    expected = user.raw()
    found: Any = shown["raw"] if shown is not None else {"posts": 0, "interactions": {}}
    pairs = [(expected["posts"], found["posts"])]
    pairs += [(n, found["interactions"].get(k, 0)) for k, n in expected["interactions"].items()]
    for due, got in pairs:
        outcome.lost += max(due - got, 0)
        outcome.twice += max(got - due, 0)


def _differences(shown: Any, user: User, at: int) -> list[str]:
    expected: dict[str, Any] = {"as_of": rfc3339(at), "raw": user.raw()}
    found = {"as_of": shown["as_of"], "raw": shown["raw"]}
    if user.posts:
        factors = user.factors(at)
        expected |= factors | {"score": user.score(at), "decayed": factors["attention"]}
        found |= {factor["name"]: factor["value"] for factor in shown["factors"]}
        found |= {"score": shown["score"], "decayed": shown["decayed"]["attention"]}
    else:
        expected["score"] = found["score"] = None
        assert shown["score"] is None
    return [
        f"{user.key} {name}: {found.get(name)!r} instead of {value!r}"
        for name, value in expected.items()
        if found.get(name) != _about(value)
    ]


def _about(value: Any) -> Any:
    return pytest.approx(value, rel=REL, abs=0) if isinstance(value, float) else value


def line_differences(
    threshold: Any, scores: Iterable[float], quantiles: Mapping[str, float]
) -> list[str]:
    """An answer of /api/v1/threshold against the percentiles of all current scores at its cut."""
    values = np.array(list(scores))
    wrong = []
    if threshold["population"] != len(values):
        wrong.append(f"population {threshold['population']} instead of {len(values)}")
    for tier in threshold["tiers"]:
        q = quantiles[tier["name"]]
        for name, quantile in (("enter", q), ("leave", q - 0.01)):
            due = float(np.percentile(values, 100 * quantile))
            if tier[name] != pytest.approx(due, rel=LINE_REL, abs=0):
                wrong.append(f"{tier['name']} {name} {tier[name]} instead of {due}")
    return wrong


# -- KOL events


@dataclass
class Chains:
    """KOL events by user, repeated ones left out, and what is wrong with them."""

    users: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    repeated: int = 0
    broken: list[str] = field(default_factory=list)


def chains(records: Iterable[StoredRecord]) -> tuple[dict[str, list[Any]], int]:
    """Each user's events without the repeated ones, and how many those were.

    Fails where `read_chains` finds anything broken, or headers do not tell what the value tells.
    """
    found = read_chains(records)
    assert found.broken == []
    return dict(found.users), found.repeated


def read_chains(records: Iterable[StoredRecord]) -> Chains:
    """Broken are a repeated event that differs in more than `emitted_at`, and a chain that breaks.

    In a chain each `from_tier` is the `tier` before, none at first.
    """
    found = Chains()
    first: dict[str, Any] = {}
    for record in records:
        assert record.value is not None
        event = json.loads(record.value)
        _check_headers(record, event)
        bare = {name: value for name, value in event.items() if name != "emitted_at"}
        if event["event_id"] in first:
            if first[event["event_id"]] != bare:
                found.broken.append(f"{event['event_id']} has changed when it was sent again")
            found.repeated += 1
            continue
        first[event["event_id"]] = bare
        found.users[event["user"]["key"]].append(event)
    for key, events in found.users.items():
        tiers = [None, *(event["tier"] for event in events)]
        befores = [event["from_tier"] for event in events]
        if befores != tiers[:-1] or any(a == b for a, b in pairwise(tiers)):
            found.broken.append(f"{key}: {[_short(event) for event in events]}")
    return found


def tier_differences(shown: Mapping[str, Any], chains: Mapping[str, list[Any]]) -> list[str]:
    """The tier in each user's row against the last of her KOL events: one of them is missing."""
    wrong = []
    for key in shown.keys() | chains.keys():
        row, events = shown.get(key), chains.get(key)
        tier = row["tier"] if row is not None else None
        said = {"name": events[-1]["tier"], "since": events[-1]["occurred_at"]} if events else None
        if said is not None and said["name"] is None:
            said = None
        if tier != said:
            wrong.append(f"{key}: {tier} in the row, {said} by the last event")
    return wrong


def _short(event: Any) -> tuple[Any, ...]:
    return (event["from_tier"], event["tier"], event["cause"], event["event_id"][:6])


def _check_headers(record: StoredRecord, event: Any) -> None:
    headers = {name: (value or b"").decode() for name, value in record.headers}
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": event["event_id"],
        "ce_source": "/kol-stream/app",
        "ce_type": f"kol.{event['kind']}.v1",
        "ce_time": event["occurred_at"],
        "ce_subject": event["user"]["key"],
        "content-type": "application/json",
    }
    assert record.key == event["user"]["key"].encode()
    parse_time(event["emitted_at"])


def check_event(event: Any) -> None:
    """An event explains itself: score and threshold agree with its kind, factors with the score."""
    assert (event["from_tier"], event["tier"]) in ((None, "kol"), ("kol", None))
    assert event["kind"] == ("promoted" if event["tier"] == "kol" else "demoted")
    if event["cause"]["type"] != "inactivity":
        above = event["score"] >= event["threshold"]
        assert above == (event["kind"] == "promoted"), event
    total = sum(factor["contribution"] for factor in event["factors"])
    assert np.log(event["score"]) == pytest.approx(total, rel=REL, abs=REL)
    assert {factor["name"]: factor["exponent"] for factor in event["factors"]} == EXPONENTS
