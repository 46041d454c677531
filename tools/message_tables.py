"""Tables of the public messages' fields, from their JSON Schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from stream_app.messages.fields import MAX_COUNT
from stream_app.messages.schemas import schema_texts

TIME: Final = "time"
_REFERENCE: Final = "#/$defs/"


def field_rows(message: str) -> Iterator[tuple[str, str, str, str]]:
    """Field, type, `yes` where it is required, meaning; fields of parts below their part."""
    schema = json.loads(schema_texts()[f"{message}.schema.json"])
    yield from _rows(schema, schema.get("$defs", {}), "")


def _rows(
    part: dict[str, Any], parts: dict[str, Any], above: str
) -> Iterator[tuple[str, str, str, str]]:
    for name, field in part["properties"].items():
        inner = _inner(field, parts)
        required = "yes" if name in part["required"] else ""
        meaning = field.get("description") or str(inner and inner["description"]).splitlines()[0]
        yield f"`{above}{name}`", type_text(field), required, meaning
        if inner is not None:
            list_sign = "[]" if "items" in field else ""
            yield from _rows(inner, parts, f"{above}{name}{list_sign}.")


def _inner(field: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any] | None:
    reference = field.get("$ref") or field.get("items", {}).get("$ref")
    found: dict[str, Any] | None = parts.get((reference or "").removeprefix(_REFERENCE))
    return found


def type_text(field: dict[str, Any]) -> str:
    """A field's type and limits in words."""
    if "anyOf" in field:
        texts = [type_text(choice) for choice in field["anyOf"]]
        if texts[0] == TIME:  # or milliseconds, which the page says of every time
            texts.pop(1)
        return " or ".join(texts)
    if "enum" in field:
        return " ".join(f"`{choice}`" for choice in field["enum"])
    if "$ref" in field:
        return "object"
    if field.get("format") == "date-time":
        return TIME
    return _plain(field)


def _plain(field: dict[str, Any]) -> str:
    kind: str = field["type"]
    if kind == "array":
        most = field.get("maxItems")
        items = type_text(field["items"])
        return f"list of {'' if most is None else f'at most {most}: '}{items}"
    if kind == "string":
        return kind + _range(field.get("minLength"), field.get("maxLength"))
    least = field.get("minimum")
    if "exclusiveMinimum" in field:
        return f"{kind}, between {field['exclusiveMinimum']} and {field['exclusiveMaximum']}"
    return kind + _range(least, field.get("maximum"))


def _range(least: int | None, most: int | None) -> str:
    if most is None:
        return ""
    said = "2^63 - 1" if most == MAX_COUNT else f"{most:,}"
    return f", at most {said}" if least is None else f", {least} to {said}"
