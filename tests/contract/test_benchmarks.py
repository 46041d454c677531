"""Every benchmark is registered and explained, every rival is pinned, every report is whole."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as program
from benchmarks import runner
from benchmarks.registry import BENCHMARKS, PARTS, Benchmark, Figure
from benchmarks.rivals.environments import REQUIREMENTS, pins, requirements
from benchmarks.rivals.rivals import OURS, RIVALS

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "benchmarks"
README = (BENCH / "README.md").read_text(encoding="utf-8")
PROGRAMS = BENCH / "rivals" / "programs"


def runnable() -> Iterator[str]:
    """Modules of benchmarks/ that can be run."""
    for path in sorted(BENCH.rglob("*.py")):
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8"):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")


def a_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Benchmark:
    """A module of a test's own that does what `body` says."""
    (tmp_path / "made_up.py").write_text(body)
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    return Benchmark(
        name="made up",
        module="made_up",
        what="nothing",
        kafka=False,
        figures=(Figure(name="speed", path=("speed",), unit="posts/s", at_least=10),),
    )


def test_every_module_that_can_be_run_is_a_benchmark_or_a_part_of_one() -> None:
    of_rivals = {module for rival in RIVALS for module in (rival.encoder, rival.stream) if module}
    assert set(runnable()) == {one.module for one in BENCHMARKS} | set(PARTS) | of_rivals


def test_names_are_those_of_modules_and_unlike_each_other() -> None:
    names = [one.name for one in BENCHMARKS]
    assert names == [one.module.removeprefix("benchmarks.") for one in BENCHMARKS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("one", BENCHMARKS, ids=lambda one: str(one.name))
def test_every_benchmark_is_explained_and_can_be_found(one: Benchmark) -> None:
    assert re.search(rf"^\| `{re.escape(one.name)}` \|", README, re.MULTILINE)
    assert importlib.util.find_spec(one.module) is not None
    assert one.figures


@pytest.mark.parametrize("one", BENCHMARKS, ids=lambda one: str(one.name))
def test_a_benchmark_takes_the_option_by_which_it_is_told_how_often_to_measure(
    one: Benchmark,
) -> None:
    spec = importlib.util.find_spec(one.module)
    assert spec is not None
    origin = Path(str(spec.origin))
    path = origin.with_name("__main__.py") if origin.name == "__init__.py" else origin
    assert one.repeats is None or f'"{one.repeats}"' in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(REQUIREMENTS.glob("*.txt")), ids=lambda path: path.stem)
def test_every_requirement_of_a_rival_is_pinned(path: Path) -> None:
    found = list(pins(path))
    assert found
    assert [pin for pin in found if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []
    assert path.stem in {rival.requirements for rival in RIVALS}


@pytest.mark.parametrize("rival", RIVALS, ids=lambda rival: str(rival.name))
def test_every_rival_has_a_program_and_says_what_it_cannot_do(rival: Any) -> None:
    for module in filter(None, (rival.encoder, rival.stream)):
        assert (ROOT / Path(*module.split("."))).with_suffix(".py").is_file()
    assert rival.encoder or rival.stream
    assert rival.name == OURS or rival.cannot or (rival.encoder and rival.stream)
    assert f"| {rival.name} |" in README
    if rival.requirements is not None:
        assert requirements(rival.requirements).is_file()


def test_the_product_and_its_rivals_do_not_import_each_other() -> None:
    for path in PROGRAMS.glob("*.py"):
        assert "stream_app" not in path.read_text(encoding="utf-8"), path.name
    for path in (ROOT / "stream_app").rglob("*.py"):
        assert "benchmarks" not in re.findall(
            r"^(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE
        )


def test_a_report_has_all_its_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = 'print("{"); print(\'"speed": 12, "gates": {"sound": true}}\')'
    one = a_benchmark(tmp_path, monkeypatch, body)
    report = json.loads(json.dumps(program.measure([one], 5)))
    assert set(report) == {
        *("environment", "begun", "seconds", "runs", "benchmarks", "skipped", "passed")
    }
    assert set(report["environment"]) == {"commit", "python", "versions", "processor", "cores"}
    found = report["benchmarks"]["made up"]
    assert set(found) == {
        *("command", "runs", "seconds", "failed", "figures", "gates", "passed", "reports")
    }
    assert found["figures"] == {
        "speed": {
            "median": 12.0,
            "low": 12.0,
            "high": 12.0,
            "all": [12.0] * 5,
            "unit": "posts/s",
            "goal": {"at_least": 10},
            "passed": True,
        }
    }
    assert found["gates"] == {"sound": True}
    assert report["passed"] is True
    assert len(found["reports"]) == 5
    line = program.table(report["benchmarks"]).splitlines()[0]
    assert " ".join(line.split()) == "made up: speed 12 [12 .. 12] posts/s >= 10 passed"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ('print("{"); print(\'"speed": 9}\')', "MISSED"),
        ('print("{"); print(\'"speed": 12, "gates": {"sound": {"passed": false}}}\')', "MISSED"),
        ('raise SystemExit("no such machine")', "failed: exit code 1: no such machine"),
        ('print("{"); print(\'"other": 12}\')', "failed: no figure speed"),
    ],
    ids=["a goal", "a gate", "an error", "a figure that is not there"],
)
def test_what_is_missed_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, shown: str
) -> None:
    one = a_benchmark(tmp_path, monkeypatch, body)
    report = program.measure([one], 1)
    assert report["passed"] is False
    assert shown in program.table(report["benchmarks"])


def test_a_star_stands_for_every_name_and_for_every_item() -> None:
    report = {"rates": {"a": {"all": [1, 3]}, "b": 5}, "kills": [{"s": 2}, {"s": 4}]}
    by_name = dict(runner.measured(Figure(name="x", path=("rates", "*"), unit=""), [report]))
    assert {name: one["all"] for name, one in by_name.items()} == {"x a": [1, 3], "x b": [5]}
    by_item = dict(runner.measured(Figure(name="x", path=("kills", "*", "s"), unit=""), [report]))
    assert {name: one["all"] for name, one in by_item.items()} == {"x": [2, 4]}


def test_without_kafka_the_others_are_still_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = a_benchmark(tmp_path, monkeypatch, 'print("{"); print(\'"speed": 12}\')')
    needy = Benchmark(name="needy", module="made_up", what="", kafka=True, figures=one.figures)
    monkeypatch.setattr(program, "why_no_kafka", lambda: "Java is not installed")
    report = program.measure([needy, one], 1)
    assert report["skipped"] == {"needy": "Java is not installed"}
    assert list(report["benchmarks"]) == ["made up"]


def test_studies_are_run_when_asked_for() -> None:
    studies = {one.name for one in BENCHMARKS if one.study}
    assert studies
    assert not studies & {one.name for one in program.chosen([], everything=False)}
    assert studies <= {one.name for one in program.chosen([], everything=True)}
    assert {one.name for one in program.chosen(sorted(studies), everything=False)} == studies
