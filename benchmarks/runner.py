"""Runs a benchmark as often as is asked for and takes from its reports what counts."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import spread
from benchmarks.registry import Benchmark, Figure

ROOT = Path(__file__).parents[1]
#: fewer runs than these are a look, not a figure
LEAST_RUNS = 5


def run(benchmark: Benchmark, runs: int) -> dict[str, Any]:
    """Its figures with their goals, its own gates, and all that it said."""
    command = ["-m", benchmark.module, *benchmark.arguments]
    times = runs
    if benchmark.repeats is not None:
        command += [benchmark.repeats, str(runs)]
        times = 1
    begun = time.perf_counter()
    reports: list[dict[str, Any]] = []
    failed: str | None = None
    for _ in range(times):
        report, failed = _once(command)
        if report is None:
            break
        reports.append(report)
    figures: dict[str, dict[str, Any]] = {}
    for figure in benchmark.figures:
        found = dict(measured(figure, reports))
        if not found:
            failed = failed or f"no figure {figure.name} in the report"
        figures |= found
    return {
        "command": f"python {shlex.join(command)}",
        "runs": runs,
        "seconds": round(time.perf_counter() - begun, 1),
        "failed": failed,
        "figures": figures,
        "gates": gates(reports),
        "passed": failed is None
        and all(found["passed"] is not False for found in figures.values())
        and all(gates(reports).values()),
        "reports": reports,
    }


def measured(figure: Figure, reports: Sequence[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A figure over all reports; several where its path has a "*" for names."""
    found: dict[str, list[float]] = {}
    for report in reports:
        for label, values in _values(report, figure.path):
            found.setdefault(" ".join(filter(None, [figure.name, label])), []).extend(values)
    for name, values in found.items():
        middle = spread(values)
        yield name, {**middle, "unit": figure.unit, **_judged(figure, middle["median"])}


def gates(reports: Sequence[dict[str, Any]]) -> dict[str, bool]:
    """Those that the benchmark has itself; passed if they are in every report."""
    found: dict[str, bool] = {}
    for report in reports:
        for name, gate in report.get("gates", {}).items():
            passed = gate["passed"] if isinstance(gate, dict) else gate
            found[name] = found.get(name, True) and bool(passed)
    return found


def _judged(figure: Figure, value: float) -> dict[str, Any]:
    goal = {
        name: limit
        for name, limit in (("at_least", figure.at_least), ("at_most", figure.at_most))
        if limit is not None
    }
    if not goal:
        return {"goal": None, "passed": None}
    passed = value >= goal.get("at_least", value) and value <= goal.get("at_most", value)
    return {"goal": goal, "passed": passed}


def _values(found: Any, path: Sequence[str | int]) -> Iterator[tuple[str, list[float]]]:
    """What a path leads to, with the names that stood for a "*"; nothing where there is nothing."""
    if not path:
        yield from _numbers(found)
        return
    step, *rest = path
    if step == "*" and isinstance(found, dict):
        for name, value in found.items():
            for label, values in _values(value, rest):
                yield f"{name} {label}".strip(), values
    elif step == "*" and isinstance(found, list):
        yield from _items(found, rest)
    else:
        with contextlib.suppress(LookupError, TypeError):
            yield from _values(found[step], rest)


def _numbers(found: Any) -> Iterator[tuple[str, list[float]]]:
    if isinstance(found, dict):
        found = found.get("all", found.get("median"))
    if isinstance(found, int | float):
        yield "", [float(found)]
    elif isinstance(found, list):
        yield "", list(map(float, found))


def _items(found: Sequence[Any], rest: Sequence[str | int]) -> Iterator[tuple[str, list[float]]]:
    """Those of a list: by what they call themselves, or all as one figure's values."""
    merged: dict[str, list[float]] = {}
    for item in found:
        called = item.get("variant", "") if isinstance(item, dict) else ""
        for label, values in _values(item, rest):
            merged.setdefault(f"{called} {label}".strip(), []).extend(values)
    yield from merged.items()


def _once(command: Sequence[str]) -> tuple[dict[str, Any] | None, str | None]:
    """The report, and None; or None, and why there is none."""
    environ = dict(os.environ) | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    report = last_object(done.stdout)
    if report is not None:  # 1 is said where a gate is missed
        return report, None
    said = done.stderr.strip().splitlines() or ["nothing"]
    return None, f"exit code {done.returncode}: {said[-1][:300]}"


def last_object(text: str) -> dict[str, Any] | None:
    """The last indented JSON object of an output; before it a benchmark may tell how it goes."""
    lines = text.splitlines()
    for number in range(len(lines) - 1, -1, -1):
        if lines[number] == "{":
            try:
                found: dict[str, Any] = json.loads("\n".join(lines[number:]))
            except ValueError:
                return None
            return found
    return None
