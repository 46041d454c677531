"""The program's decoder against a second reading of the contract, on spoilt messages by thousands.

`python -m tests.kafka.fuzz` sends such records, far more of them, through Kafka and a worker.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.messages import BadInput, decode_interaction, decode_post
from tests.fuzzing.judge import ANY_FIELD, RULES, Judgement, judge
from tests.fuzzing.mutations import encoded
from tests.fuzzing.records import Fuzzer

RECORDS = 3_000
SCHEMAS = Path(__file__).parents[3] / "schemas"
DECODERS: dict[str, Any] = {"posts": decode_post, "interactions": decode_interaction}


def disagreement(topic: str, value: bytes | None) -> str | None:
    """In one line, where program and judge differ over a value."""
    judged = judge(topic, value)
    try:
        found = DECODERS[topic](value)
    except BadInput as bad:
        field = bad.detail.partition(":")[0]
        if judged.faults & {(bad.reason, field), (bad.reason, ANY_FIELD)}:
            return None
        return f"{topic} {(value or b'')[:300]!r}: {bad} where the contract says {judged}"
    if judged.content is None:
        return f"{topic} {(value or b'')[:300]!r} is taken: {sorted(judged.faults)}"
    return _content_difference(found, judged)


def _content_difference(found: Any, judged: Judgement) -> str | None:
    content = dict(judged.content or {})
    content["observed_at"] = max(content["created_at"], content.get("observed_at", 0))
    for name, due in content.items():
        got = getattr(found, name, due)
        if got != (tuple(due) if isinstance(due, list) else due):
            return f"{name}: {got!r} where {due!r} was sent"
    return None


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_spoilt_messages_are_judged_as_the_contract_reads(seed: int) -> None:
    fuzzed = list(Fuzzer(seed, RECORDS, 4).records())
    differing = [disagreement(one.topic, one.record.value) for one in fuzzed]
    assert [one for one in differing if one is not None] == []
    broken = sum(not one.is_good for one in fuzzed)
    assert 0.25 < broken / len(fuzzed) < 0.45, "about a third"


@given(st.sampled_from(sorted(DECODERS)), st.binary(max_size=300))
def test_any_bytes_are_judged_as_the_contract_reads(topic: str, value: bytes) -> None:
    assert disagreement(topic, value) is None


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@given(st.data(), st.sampled_from(sorted(DECODERS)))
def test_any_json_in_any_field_is_judged_as_the_contract_reads(
    data: st.DataObject, topic: str
) -> None:
    meant = next(one.meant for one in SOME if one.topic == topic)
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(RULES[topic])), ANY_JSON))
    gone = data.draw(st.sets(st.sampled_from(sorted(RULES[topic])), max_size=1))
    content = {name: value for name, value in (meant | changes).items() if name not in gone}
    for ascii_only in (True, False):
        assert disagreement(topic, encoded(content, ascii_only=ascii_only)) is None


@pytest.mark.parametrize("topic", sorted(DECODERS))
def test_the_schemas_say_the_same_where_json_schema_can(topic: str) -> None:
    name = {"posts": "post", "interactions": "interaction"}[topic]
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    good = bad = 0
    for one in (one for one in SOME if one.topic == topic):
        judged = judge(topic, one.record.value)
        if judged.content is not None:
            good += 1
            assert validator.is_valid(_loaded(one.record.value))
        elif _is_for_json_schema(judged, one.record.value):
            bad += 1
            assert not validator.is_valid(_loaded(one.record.value))
    assert min(good, bad) > 20, (good, bad)


def _loaded(value: bytes | None) -> Any:
    # Python refuses to read integers of thousands of digits.
    return json.loads(value or b"", parse_int=lambda digits: int(digits[:100]))


def _is_for_json_schema(judged: Judgement, value: bytes | None) -> bool:
    """Whether it can see what is wrong.

    It sees no bytes, takes 1.0 for an integer and a lone surrogate for a character, and knows a
    time's form, but not which dates there are.
    """
    reasons, fields = zip(*judged.faults, strict=True)
    if not {"missing-field", "invalid-field"} >= set(reasons):
        return False
    found = _loaded(value)
    return (
        not {"created_at", "observed_at"} & set(fields)
        and not any(isinstance(content, float) for content in found.values())
        and "\\ud" not in json.dumps(found).lower()
    )


SOME = list(Fuzzer(4, 1_500, 4).records())
