"""The reports of `python -m benchmarks.rivals` as a table for people.

    python -m benchmarks.rivals.table FILE...

Several files are taken together, as parts may be run one after another. A cell has posts/s and, in
brackets, how many times as many are ours, the median of the rounds; bold where that is below 1.
Where a rival cannot do something, the cell says so.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rivals.rivals import OURS, RIVALS, Rival

COLUMNS = ("40 tokens", "128 tokens", "lengths of tweets", "stream", "whole")


def columns(reports: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """By column, what was found of each contender."""
    found: dict[str, Mapping[str, Any]] = {}
    for report in reports:
        found |= report.get("encoder", {})
        found |= {part: report[part] for part in ("stream", "whole") if part in report}
    return {name: found[name] for name in COLUMNS if name in found}


def lines(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of a table in Markdown."""
    found = columns(reports)
    rows = ["| | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    for rival in RIVALS:
        for precision in rival.precisions:
            several = len(rival.precisions) > 1
            name = f"{rival.name}, {precision}" if several else rival.name
            cells = [_cell(found[column], column, rival, precision) for column in found]
            rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return rows


def _cell(found: Mapping[str, Any], column: str, rival: Rival, precision: str) -> str:
    if column in ("stream", "whole"):
        if rival.name != OURS and rival.stream is None:
            return "no stream"
        one = found.get(rival.name) if precision == rival.precisions[0] else None
    else:
        if rival.encoder is None:
            return "no encoder"
        one = found.get(f"{rival.name}, {precision}")
    if one is None:
        return ""
    rate, ratio = one["posts_per_s"]["median"], one["ours_to_theirs"]["median"]
    shown = f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"
    if rival.name == OURS and precision == "auto":
        return shown
    return f"{shown} (**{ratio:.2f}**)" if ratio < 1 else f"{shown} ({ratio:.2f})"


def main() -> None:
    """Read and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    print("\n".join(lines([json.loads(path.read_text()) for path in options.files])))


if __name__ == "__main__":
    main()
