"""The example messages, the schemas and the program's own decoders agree with one another."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from stream_app.messages import (
    BadInput,
    Cause,
    Interaction,
    KolEvent,
    Post,
    encode_event,
    encode_interaction,
    encode_post,
    parse_time,
)
from stream_app.messages.examples import ACCEPTED, DECODERS, EXAMPLES, check_examples
from stream_app.messages.interaction import InteractionMessage
from stream_app.messages.post import PostMessage
from tests.builders import make_event, make_interaction, make_post
from tests.contract.from_schema import values
from tests.unit.messages.test_codec_laws import interactions, junk, posts

SCHEMAS = Path(__file__).parents[2] / "schemas"
FILES = sorted((SCHEMAS / "examples").glob("*/*/*.json"))
ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "post": encode_post,
    "interaction": encode_interaction,
    "kol-event": encode_event,
}
# How the program refuses a time that has the form, but is on no calendar of ours.
CALENDAR = re.compile(r"\w+: (no such date|no leap second there|outside the years)")


def load_schema(message: str) -> dict[str, Any]:
    path = SCHEMAS / f"{message}.schema.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return schema


SCHEMA = {message: load_schema(message) for message in DECODERS}
VALIDATOR = {message: Draft202012Validator(schema) for message, schema in SCHEMA.items()}


def refusal(message: str, value: bytes) -> BadInput | None:
    try:
        DECODERS[message](value)
    except BadInput as bad:
        return bad
    return None


def parsed(value: bytes) -> Any:
    """The JSON in `value`, None where it is none by RFC 8259; NaN is none, half a character is."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(value.decode(), parse_constant=refuse)
    except ValueError:
        return None


def named(path: Path) -> tuple[str, str, str]:
    return path.parts[-3], path.parts[-2], path.stem


def in_folder(*kinds: str) -> list[Any]:
    chosen = [path for path in FILES if named(path)[1] in kinds]
    return [pytest.param(path, id="/".join(named(path))) for path in chosen]


@pytest.mark.parametrize("message", DECODERS)
@pytest.mark.parametrize("kind", [*ACCEPTED, "invalid"])
def test_there_are_examples_of_every_kind(message: str, kind: str) -> None:
    assert any(named(path)[:2] == (message, kind) for path in FILES)


@pytest.mark.parametrize("path", in_folder("valid", "older"))
def test_an_example_that_is_valid_passes_schema_and_program(path: Path) -> None:
    message = named(path)[0]
    VALIDATOR[message].validate(parsed(path.read_bytes()))
    assert refusal(message, path.read_bytes()) is None


@pytest.mark.parametrize("path", in_folder("invalid"))
def test_an_invalid_example_is_refused_for_the_reason_in_its_name(path: Path) -> None:
    message, _, name = named(path)
    reason, field, _ = name.split(".")
    refused = refusal(message, path.read_bytes())
    assert refused is not None
    assert (refused.reason, refused.detail.partition(":")[0]) == (reason, field)


def beyond_schemas() -> Iterator[str]:
    """Invalid examples that no schema refuses: it is not asked, or it takes them."""
    for path in FILES:
        message, kind, name = named(path)
        value = parsed(path.read_bytes())
        if kind == "invalid" and (value is None or VALIDATOR[message].is_valid(value)):
            yield name


def test_the_rules_that_no_schema_says_are_those_in_the_readme() -> None:
    page = (SCHEMAS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"`((?:empty|missing-field|invalid-\w+)\.[^`]+)`", page)
    assert len(listed) == len(set(listed))
    assert set(listed) == set(beyond_schemas())


def test_what_an_older_version_wrote_is_read_to_the_last_field() -> None:
    for path in FILES:
        message, kind, _ = named(path)
        if kind == "older":
            value = path.read_bytes()
            again = json.loads(ENCODERS[message](DECODERS[message](value)))
            assert json.loads(value).items() <= again.items()


def test_an_example_judged_otherwise_than_its_place_says_is_told(tmp_path: Path) -> None:
    wrong = {
        "post/valid/text-is-missing.json": b'{"id":"1"}',
        "post/invalid/invalid-field.id.good.json": json.dumps(EXAMPLES["post"][1]).encode(),
        "post/maybe/unsure.json": b"",
        "letter/valid/a.json": b"{}",
    }
    for name, value in wrong.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(value)
    told = {line.partition(":")[0]: line.partition(": ")[2] for line in check_examples(tmp_path)}
    assert told.keys() == wrong.keys()
    assert told["post/valid/text-is-missing.json"] == (
        "missing-field of platform where a valid message is expected"
    )
    assert check_examples(SCHEMAS / "examples") == []


@pytest.mark.parametrize("message", DECODERS)
def test_every_schema_is_named_described_and_has_examples(message: str) -> None:
    schema = SCHEMA[message]
    assert schema["$id"] == f"urn:kol-stream:schema:{message}:v1"
    assert schema["title"] == message
    for part in (schema, *schema.get("$defs", {}).values()):
        assert part["title"]
        assert part["description"]
        for name, field in part["properties"].items():
            assert "$ref" in field or field.get("description"), f"{part['title']}.{name}"
    assert schema["examples"]
    for example in schema["examples"]:
        VALIDATOR[message].validate(example)
        assert refusal(message, json.dumps(example).encode()) is None


@pytest.mark.parametrize("message", DECODERS)
@given(data=st.data())
def test_what_keeps_the_schema_is_taken(message: str, data: st.DataObject) -> None:
    value = data.draw(values(SCHEMA[message]))
    VALIDATOR[message].validate(value)
    refused = refusal(message, json.dumps(value).encode())
    assert refused is None or CALENDAR.match(refused.detail)


events = st.builds(
    make_event,
    kind=st.sampled_from(["promoted", "demoted"]),
    score=st.floats(0, 1e12),
    threshold=st.none() | st.floats(0, 1e12),
    population=st.integers(0, 2**40),
    percentile=st.none() | st.floats(0, 100),
    cause=st.builds(Cause, type=st.just("inactivity"), threshold_version=st.integers(0, 2**40)),
)


@given(posts() | interactions | events)
def test_what_the_program_writes_keeps_the_schema(item: Post | Interaction | KolEvent) -> None:
    message = {Post: "post", Interaction: "interaction", KolEvent: "kol-event"}[type(item)]
    VALIDATOR[message].validate(json.loads(ENCODERS[message](item)))


FIELDS = {
    "post": PostMessage.__struct_encode_fields__,
    "interaction": InteractionMessage.__struct_encode_fields__,
    "kol-event": KolEvent.__struct_encode_fields__,
}
GOOD = {
    "post": json.loads(encode_post(make_post())),
    "interaction": json.loads(encode_interaction(make_interaction())),
    "kol-event": json.loads(encode_event(make_event())),
}


@pytest.mark.parametrize("message", DECODERS)
@given(data=st.data())
def test_schema_and_program_judge_changed_fields_alike(message: str, data: st.DataObject) -> None:
    names = st.sampled_from([*FIELDS[message], "unknown"])
    changes = data.draw(st.dictionaries(names, junk, min_size=1, max_size=2))
    value = GOOD[message] | changes
    assume(not any(is_beyond_schemas(change) for change in changes.values()))
    refused = refusal(message, json.dumps(value).encode())
    assert VALIDATOR[message].is_valid(value) == (refused is None)


def is_beyond_schemas(value: Any) -> bool:
    """Whether README says that schemas see the value otherwise: in itself or in what it holds."""
    if isinstance(value, float):
        return value.is_integer() or value != value or abs(value) == float("inf")
    if isinstance(value, str):
        return any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        return any(is_beyond_schemas(item) for pair in value.items() for item in pair)
    return isinstance(value, list) and any(is_beyond_schemas(item) for item in value)


def test_the_forms_of_a_time_are_those_of_the_program() -> None:
    day = {"id": "1", "platform": "x", "user_id": "1", "text": ""}
    for text in ("2014-07-01T12:00:00Z", "2014-07-01 12:00:00.5+05:30", "२०१४-07-01T12:00:00Z"):
        is_time = True
        try:
            parse_time(text)
        except ValueError:
            is_time = False
        assert VALIDATOR["post"].is_valid(day | {"created_at": text}) == is_time
