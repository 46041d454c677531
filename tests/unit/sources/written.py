"""Small files for tests of formats."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stream_app.sources import BadLine, Event, read_events


def json_lines(path: Path, *lines: dict[str, Any] | bytes) -> str:
    """A JSON Lines file; bytes are lines as they stand."""
    written = (
        line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode()
        for line in lines
    )
    path.write_bytes(b"".join(line + b"\n" for line in written))
    return str(path)


def read(format_name: str, *paths: str) -> tuple[list[Event], list[str]]:
    """Events, and what is said of the bad lines with the folder left out."""
    found = list(read_events(paths, format_name))
    bad = [item for item in found if isinstance(item, BadLine)]
    return [item for item in found if not isinstance(item, BadLine)], list(_said(bad))


def _said(bad: Iterable[BadLine]) -> Iterable[str]:
    return (f"{Path(line.path).name}{str(line).removeprefix(line.path)}" for line in bad)
