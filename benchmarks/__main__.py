"""All benchmarks, or some of them, with a table at the end.

    python -m benchmarks [NAME...] [--runs 5] [--json FILE] [--list] [--all]

Without names it runs all but the studies, which compare ways of doing something. A table shows
medians, quartiles, goals and whether they were met; the file has all that was measured, with
commit, versions and processor. The exit code is 1 if a goal was missed or a benchmark failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.environment import describe
from benchmarks.registry import BENCHMARKS, Benchmark
from benchmarks.runner import LEAST_RUNS, run
from tests.kafka.broker import KafkaUnavailable, jars

PACKAGES = (
    "faust-streaming",
    "aiokafka",
    "confluent-kafka",
    "msgspec",
    "rocksdict",
    "numpy",
    "torch",
    "transformers",
)


def chosen(names: Sequence[str], everything: bool) -> list[Benchmark]:
    """By name, in the order of the registry; exits with 2 where there is no such name."""
    known = {benchmark.name for benchmark in BENCHMARKS}
    if unknown := sorted(set(names) - known):
        sys.stderr.write(f"no benchmark {', '.join(unknown)}; --list shows those there are\n")
        raise SystemExit(2)
    return [
        benchmark
        for benchmark in BENCHMARKS
        if (benchmark.name in names if names else everything or not benchmark.study)
    ]


def why_no_kafka() -> str | None:
    """What is missing for a Kafka on this machine; None where all is there."""
    try:
        jars()
    except KafkaUnavailable as error:
        return str(error)
    return None


def rows(name: str, found: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Figure, median with quartiles, goal and verdict of each line of the table."""
    if found["failed"]:
        yield name, "", "", f"failed: {found['failed']}"
    for figure, of in found["figures"].items():
        numbers = f"{of['median']:,.4g}  [{of['low']:,.4g} .. {of['high']:,.4g}] {of['unit']}"
        goal = "".join(
            f"{'>=' if kind == 'at_least' else '<='} {limit:,g}"
            for kind, limit in (of["goal"] or {}).items()
        )
        yield f"{name}: {figure}", numbers, goal, _verdict(of["passed"])
    for gate, passed in found["gates"].items():
        yield f"{name}: gate", gate, "", _verdict(passed)


def _verdict(passed: bool | None) -> str:
    return "" if passed is None else "passed" if passed else "MISSED"


def table(results: dict[str, dict[str, Any]]) -> str:
    """For people."""
    lines = [row for name, found in results.items() for row in rows(name, found)]
    widths = [max((len(row[column]) for row in lines), default=0) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in lines
    )


def listing() -> str:
    """Names and what they measure."""
    return "\n".join(
        f"{one.name:18} {one.what}{' (study)' if one.study else ''}" for one in BENCHMARKS
    )


def measure(benchmarks: Sequence[Benchmark], runs: int) -> dict[str, Any]:
    """The whole report."""
    report: dict[str, Any] = {
        "environment": describe(PACKAGES),
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "runs": runs,
        "benchmarks": {},
        "skipped": {},
    }
    missing = why_no_kafka() if any(one.kafka for one in benchmarks) else None
    begun = time.perf_counter()
    for one in benchmarks:
        if one.kafka and missing is not None:
            report["skipped"][one.name] = missing
            continue
        sys.stderr.write(f"{one.name}: {one.what}\n")
        report["benchmarks"][one.name] = run(one, runs)
    report["seconds"] = round(time.perf_counter() - begun, 1)
    report["passed"] = all(found["passed"] for found in report["benchmarks"].values())
    return report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--runs", type=int, default=LEAST_RUNS, help="of each benchmark")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all that was measured")
    parser.add_argument("--list", action="store_true", help="the names")
    parser.add_argument("--all", action="store_true", help="the studies too")
    options = parser.parse_args()
    if options.list:
        print(listing())
        return 0
    if options.runs < LEAST_RUNS:
        sys.stderr.write(f"fewer than {LEAST_RUNS} runs: a look, not a figure\n")
    report = measure(chosen(options.names, options.all), options.runs)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    where = report["environment"]
    print(f"{where['processor']}, {where['cores']} cores; commit {where['commit']}")
    print(table(report["benchmarks"]))
    for name, why in report["skipped"].items():
        print(f"{name}: skipped, {why}")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
