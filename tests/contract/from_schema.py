"""Values that keep a JSON Schema, made from the schema alone: of the keywords our schemas use."""

from typing import Any

from hypothesis import strategies as st

KEYWORDS = {
    *("$schema", "$id", "$ref", "$defs", "title", "description", "examples", "default"),
    *("type", "enum", "anyOf", "properties", "required", "items", "maxItems", "format", "pattern"),
    *("minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}

_CHARACTERS = st.characters(exclude_categories=["Cs"])
_FEW = 3


def values(schema: dict[str, Any], root: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """Whatever keeps `schema`; `root` is where its references lead."""
    root = schema if root is None else root
    unknown = schema.keys() - KEYWORDS
    assert not unknown, f"teach this module {unknown}"
    if "$ref" in schema:
        return values(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    if "anyOf" in schema:
        return st.one_of([values(choice, root) for choice in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return _of_type(schema, root)


def _of_type(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
    match schema["type"]:
        case "string":
            return _strings(schema)
        case "integer":
            return st.integers(schema["minimum"], schema["maximum"])
        case "number":
            return _numbers(schema)
        case "array":
            most = min(schema.get("maxItems", _FEW), _FEW)
            return st.lists(values(schema["items"], root), max_size=most)
        case "object":
            return _objects(schema, root)
        case "boolean":
            return st.booleans()
    assert schema["type"] == "null"
    return st.none()


def _strings(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    least, most = schema.get("minLength", 0), schema.get("maxLength", 100)
    if "pattern" not in schema:
        return st.text(_CHARACTERS, min_size=least, max_size=min(most, 100))
    made = st.from_regex(schema["pattern"], alphabet=_CHARACTERS)
    return made.filter(lambda text: least <= len(text) <= most)


def _numbers(schema: dict[str, Any]) -> st.SearchStrategy[float]:
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    return st.floats(
        least,
        most,
        exclude_min="exclusiveMinimum" in schema,
        exclude_max="exclusiveMaximum" in schema,
        allow_nan=False,
        allow_infinity=False,
    )


def _objects(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {name: values(field, root) for name, field in schema["properties"].items()}
    required = {name: fields.pop(name) for name in schema["required"]}
    return st.fixed_dictionaries(required, optional=fields)
