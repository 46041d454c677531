"""The schemas are those of the types, and judge examples as the program does."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from stream_app.messages import (
    Cause,
    decode_interaction,
    decode_post,
    encode_event,
    encode_interaction,
    encode_post,
)
from stream_app.messages.bad_input import BadInput
from stream_app.messages.schemas import check_schemas, schema_texts, write_schemas
from stream_app.sample import sample_path
from stream_app.sources.lines import numbered_lines
from tests.builders import make_event, make_interaction, make_post
from tests.unit.messages.test_decoding import BAD_FIELDS, GOOD, INTERACTION

SCHEMAS = Path(__file__).parents[2] / "schemas"


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


POST, INTERACTIONS, EVENT = (validator(name) for name in ("post", "interaction", "kol-event"))


def test_the_schemas_are_as_the_types_are() -> None:
    assert check_schemas(SCHEMAS) == []


def test_a_difference_a_gap_and_a_leftover_are_told(tmp_path: Path) -> None:
    write_schemas(tmp_path)
    (tmp_path / "post.schema.json").write_text("{}")
    (tmp_path / "interaction.schema.json").unlink()
    (tmp_path / "old.schema.json").write_text("{}")
    told = [line.split(":")[0] for line in check_schemas(tmp_path)]
    assert told == ["old.schema.json", "post.schema.json", "interaction.schema.json"]
    write_schemas(tmp_path)
    assert [line.split(":")[0] for line in check_schemas(tmp_path)] == ["old.schema.json"]


def test_every_description_is_one_paragraph_without_indentation() -> None:
    assert not any("\\n    " in text for text in schema_texts().values())


def test_what_we_encode_is_valid() -> None:
    full = make_post(observed_at=make_post().created_at + 1, like_count=2**63 - 1, topics=("a",))
    POST.validate(json.loads(encode_post(full)))
    INTERACTIONS.validate(json.loads(encode_interaction(make_interaction())))
    EVENT.validate(json.loads(encode_event(make_event())))
    line = Cause(type="inactivity", threshold_version=4)
    gone = make_event(kind="demoted", tier=None, from_tier="kol", threshold=None, cause=line)
    EVENT.validate(json.loads(encode_event(gone)))


def test_real_posts_are_valid() -> None:
    for number, line in numbered_lines(str(sample_path())):
        if number % 50 == 0:
            POST.validate(json.loads(line))


# JSON Schema takes 1.0 for an integer, as JavaScript does; the program does not.
SEEN_BY_SCHEMA = [
    (field, bad) for field, bad in BAD_FIELDS if not (isinstance(bad, float) and bad.is_integer())
]


@pytest.mark.parametrize(("field", "bad"), SEEN_BY_SCHEMA)
def test_a_bad_field_of_a_post_is_invalid(field: str, bad: object) -> None:
    in_edge_year = isinstance(bad, str) and bad[:4] in ("1969", "2101")
    assert in_edge_year or not POST.is_valid(GOOD | {field: bad})


@pytest.mark.parametrize("field", list(GOOD))
def test_a_post_without_a_required_field_is_invalid(field: str) -> None:
    assert not POST.is_valid({name: value for name, value in GOOD.items() if name != field})


@pytest.mark.parametrize(
    "changes",
    [
        {"created_at": 0},
        {"created_at": "2016-12-31 23:59:60.5+00:00"},
        {"created_at": "2014-07-01t12:00:00z"},
        {"like_count": None, "topics": None, "observed_at": None},
        {"topics": ["😀" * 128] * 64},
        {"user_id": "a:b 界", "id": " "},
        {"unknown": {"fields": ["are", "ignored"]}},
    ],
)
def test_a_good_post_is_valid_and_decodes(changes: dict[str, Any]) -> None:
    POST.validate(GOOD | changes)
    decode_post(json.dumps(GOOD | changes).encode())


@pytest.mark.parametrize("change", [{"kind": "love"}, {"actor_id": ""}, {"target_post_id": ""}])
def test_a_bad_interaction_is_invalid(change: dict[str, Any]) -> None:
    assert not INTERACTIONS.is_valid(INTERACTION | change)
    with pytest.raises(BadInput):
        decode_interaction(json.dumps(INTERACTION | change).encode())


@pytest.mark.parametrize(
    "change", [{"kind": "born"}, {"quantile": 1.5}, {"percentile": 101}, {"occurred_at": "now"}]
)
def test_a_bad_event_is_invalid(change: dict[str, Any]) -> None:
    assert not EVENT.is_valid(json.loads(encode_event(make_event())) | change)
