"""Whether two JSON values have the same shape: the same fields, whatever their values."""

from __future__ import annotations

import json
from typing import Any


def parsed(text: str) -> Any:
    """The JSON in the text; None where it is something else."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def difference(shown: Any, found: Any, where: str = "the reply") -> str | None:
    """One line that says where `found` has other fields than `shown`; None where it has not.

    Null stands for anything. Of a list every item counts, all together; numbers as names of
    fields (partitions, say) are as good as one another.
    """
    if shown is None or found is None:
        return None
    if isinstance(shown, dict) and isinstance(found, dict):
        return _fields_differ(_unnumbered(shown), _unnumbered(found), where)
    if isinstance(shown, list) and isinstance(found, list):
        if not shown or not found:
            return None if not shown else f"{where} is empty"
        return difference(_together(shown), _together(found), f"{where}[]")
    if _kind(shown) != _kind(found):
        return f"{where} is {_kind(found)}, the page shows {_kind(shown)}"
    return None


def _fields_differ(shown: dict[str, Any], found: dict[str, Any], where: str) -> str | None:
    if shown.keys() != found.keys():
        lacks = ", ".join(sorted(shown.keys() - found.keys())) or "nothing"
        more = ", ".join(sorted(found.keys() - shown.keys())) or "nothing"
        return f"{where} lacks {lacks} of what the page shows, and has {more} that it does not"
    differences = (difference(shown[name], found[name], f"{where}.{name}") for name in shown)
    return next((line for line in differences if line is not None), None)


def _unnumbered(value: dict[str, Any]) -> dict[str, Any]:
    return {"0" if name.isdigit() else name: item for name, item in value.items()}


def _together(items: list[Any]) -> Any:
    """One item with the fields of all."""
    if not all(isinstance(item, dict) for item in items):
        return items[0]
    together: dict[str, Any] = {}
    for item in items:
        together |= {
            name: value for name, value in item.items() if value is not None or name not in together
        }
    return together


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "a text" if isinstance(value, str) else f"a {type(value).__name__}"
