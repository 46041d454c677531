"""JSON Schemas (2020-12) of what crosses the public topics, generated from the message types."""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from stream_app.messages.examples import EXAMPLES
from stream_app.messages.interaction import InteractionMessage
from stream_app.messages.kol_event import KolEvent
from stream_app.messages.post import PostMessage

_TYPES: Final[Mapping[str, type[msgspec.Struct]]] = {
    "post": PostMessage,
    "interaction": InteractionMessage,
    "kol-event": KolEvent,
}


def schema_texts() -> dict[str, str]:
    """File name and content of every schema."""
    return {
        f"{name}.schema.json": json.dumps(_schema(name, wire), indent=2, ensure_ascii=False) + "\n"
        for name, wire in _TYPES.items()
    }


def write_schemas(folder: Path) -> list[Path]:
    """Write every schema into `folder`, which is made if need be; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in schema_texts().items():
        paths.append(folder / name)
        paths[-1].write_text(text, encoding="utf-8")
    return paths


def check_schemas(folder: Path) -> list[str]:
    """One line for each schema in `folder` that is not as the message types are now."""
    texts = schema_texts()
    found = {path.name for path in folder.glob("*.json")}
    complaints = [f"{name}: no such message" for name in sorted(found - texts.keys())]
    for name, text in texts.items():
        if name not in found:
            complaints.append(f"{name}: missing")
        elif (folder / name).read_text(encoding="utf-8") != text:
            complaints.append(f"{name}: not as the message types are; run `kol schemas`")
    return complaints


def _schema(name: str, wire: type[msgspec.Struct]) -> dict[str, Any]:
    (_, definitions) = msgspec.json.schema_components([wire], ref_template="#/$defs/{name}")
    for definition in definitions.values():
        definition["description"] = inspect.cleandoc(definition["description"])
    root: dict[str, Any] = definitions.pop(wire.__name__)
    head: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:kol-stream:schema:{name}:v1",
    }
    tail: dict[str, Any] = {"examples": EXAMPLES[name]}
    return head | root | {"title": name} | tail | ({"$defs": definitions} if definitions else {})
