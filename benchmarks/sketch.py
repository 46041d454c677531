"""The quantile sketch beside its rivals: `python -m benchmarks.sketch` prints JSON.

Gates are ratios of processor times taken in turns in one process, so that they mean about the same
on any machine, a busy one too: in each round every contender runs once, a ratio is the median over
the rounds. The exit code is 1 if a gate fails.

Numpy's default sort is vectorised on processors with AVX2 or better, which makes it nine times as
fast there; a scan and a rebuild are bound by memory and gain little. So the gates on them compare
with its stable sort, which is the same code everywhere; the ratios to the default one stand beside
them (`to_default_sort`).
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks import environment
from stream_app.core.columns import Columns
from stream_app.core.quantile_sketch import QuantileSketch

Floats = npt.NDArray[np.float64]
Rounds = dict[str, list[float]]  # contender -> ns per operation, one for each round

SEED = 20_240_501
USERS = 1_000_000
CALLS = 20_000  # scalar calls per round
QUANTILES = (0.9, 0.95, 0.99)
PACKAGES = ("numpy", "datasketches", "ddsketch", "fastdigest", "sortedcontainers")


class Contender(NamedTuple):
    """`run` does `operations` operations; `undo`, not timed, makes it possible to run again."""

    run: Callable[[], object]
    operations: int
    undo: Callable[[], object] | None = None


def model(rng: np.random.Generator, size: int) -> Floats:
    """ln of lognormal(1.5) x Pareto(1.2), what scores of influence look like."""
    return rng.normal(0, 1.5, size) + rng.exponential(1 / 1.2, size)


def measure(contenders: Mapping[str, Contender], warm_up: int, repeats: int) -> Rounds:
    """Processor time (ns) per operation of each contender in each round after the warm-up."""
    rounds: Rounds = {name: [] for name in contenders}
    for turn in range(warm_up + repeats):
        for name, contender in contenders.items():
            start = time.thread_time_ns()
            contender.run()
            elapsed = time.thread_time_ns() - start
            if contender.undo is not None:
                contender.undo()
            if turn >= warm_up:
                rounds[name].append(elapsed / contender.operations)
    return rounds


def calls(function: Callable[..., object], *columns: Floats) -> Callable[[], None]:
    """Calls the function once for each row of the columns, as Python numbers."""
    rows = list(zip(*(column.tolist() for column in columns), strict=True))

    def run() -> None:
        for row in rows:
            function(*row)

    return run


def replacing(old: Floats, new: Floats, function: Callable[..., object]) -> Contender:
    """One call per pair, and back again."""
    return Contender(calls(function, old, new), old.size, calls(function, new, old))


def scalar_contenders(users: Floats, old: Floats, new: Floats) -> dict[str, Contender]:
    """One value at a time; each rival with the operation that it has."""
    kll = import_module("datasketches").kll_doubles_sketch(200)
    dd = import_module("ddsketch").DDSketch(1e-3)
    digest = import_module("fastdigest").TDigest()
    ordered = import_module("sortedcontainers").SortedList(users.tolist())
    sketch = QuantileSketch()
    sketch.rebuild(users)

    def sorted_replace(was: float, now: float) -> None:
        ordered.remove(was)
        ordered.add(now)

    scores = np.exp(old)
    return {
        "kll_insert": Contender(calls(kll.update, old), old.size),
        "sketch_replace": replacing(old, new, sketch.replace),
        "sketch_insert": Contender(calls(sketch.insert, old), old.size, calls(sketch.delete, old)),
        "ddsketch_add": Contender(calls(dd.add, scores), old.size),
        "fastdigest_update": Contender(calls(digest.update, scores), old.size),
        "sortedlist_replace": replacing(old[:2_000], new[:2_000], sorted_replace),
    }


def batch_contenders(users: Floats, new: Floats) -> dict[str, Contender]:
    """Whole batches, per value, beside one insert of KLL."""
    sketch = QuantileSketch()
    sketch.rebuild(users)
    kll = import_module("datasketches").kll_doubles_sketch(200)
    digest = import_module("fastdigest").TDigest()
    scores = np.exp(users[:100_000])

    def batch(size: int) -> Contender:
        was, now = users[:size], new[:size]
        return Contender(
            lambda: sketch.replace_many(was, now), size, lambda: sketch.replace_many(now, was)
        )

    return {
        "kll_insert": Contender(calls(kll.update, users[:CALLS]), CALLS),
        "kll_batch_insert": Contender(lambda: kll.update(users[:100_000]), 100_000),
        "fastdigest_batch_update": Contender(lambda: digest.batch_update(scores), scores.size),
        **{f"sketch_replace_many_{size}": batch(size) for size in (100, 1_000, 10_000, 100_000)},
    }


def whole_contenders(users: Floats, columns: Columns) -> dict[str, Contender]:
    """What is done to all users or whole sketches at once; one operation = one run."""
    sketch = QuantileSketch()
    sketch.rebuild(users)
    serialized = sketch.serialize()
    parts = [QuantileSketch() for _ in range(64)]
    for number, part in enumerate(parts):
        part.rebuild(users[number::64])
    rebuilt = QuantileSketch()
    line, moved = sketch.get_quantile(0.9), sketch.get_quantile(0.9) * 1.02

    def ask_anew() -> None:
        sketch.store.known = None  # as after a change
        sketch.get_quantile(0.9)

    work: dict[str, Callable[[], object]] = {
        "numpy_sort": lambda: np.sort(users),
        "numpy_stable_sort": lambda: np.sort(users, kind="stable"),
        "sketch_rebuild": lambda: rebuilt.rebuild(users),
        "columns_scan": lambda: columns.crossings([moved], [line]),
        "columns_top_100": lambda: columns.top(100),
        "sketch_quantile": ask_anew,
        "sketch_serialize": sketch.serialize,
        "sketch_deserialize": lambda: QuantileSketch.deserialize(serialized),
        "sketch_merged_64": lambda: QuantileSketch.merged(parts),
    }
    return {name: Contender(run, 1) for name, run in work.items()}


def filled_columns(users: Floats) -> Columns:
    """All users at the tier that the line at q = 0.9 puts them in."""
    columns, line = Columns(), float(np.quantile(users, 0.9))
    for number, z in enumerate(users.tolist()):
        columns.update(b"x:%d" % number, z, 0, True, int(z >= line))
    return columns


def rank_errors(users: Floats) -> dict[str, float]:
    """Greatest distance of the share of users <= the answer from q, over QUANTILES."""
    sketch = QuantileSketch()
    sketch.rebuild(users)
    kll = import_module("datasketches").kll_doubles_sketch(200)
    kll.update(users)
    digest = import_module("fastdigest").TDigest.from_values(users)
    dd = import_module("ddsketch").DDSketch(1e-3)
    calls(dd.add, np.exp(users))()
    answers: dict[str, Callable[[float], float]] = {
        "sketch": sketch.get_quantile,
        "kll_200": kll.get_quantile,
        "fastdigest": digest.quantile,
        "ddsketch": lambda q: float(np.log(dd.get_quantile_value(q))),
    }
    ordered = np.sort(users)

    def error(answer: Callable[[float], float]) -> float:
        ranks = [np.searchsorted(ordered, answer(q), side="right") / users.size for q in QUANTILES]
        return max(abs(rank - q) for rank, q in zip(ranks, QUANTILES, strict=True))

    return {name: float(error(answer)) for name, answer in answers.items()}


def ratio(rounds: Rounds, one: str, other: str) -> float:
    """Median over the rounds of one contender's time by another's."""
    return median(a / b for a, b in zip(rounds[one], rounds[other], strict=True))


def gate(value: float, limit: float) -> dict[str, object]:
    return {"value": float(f"{value:.4g}"), "limit": limit, "passed": value <= limit}


def summary(rounds: Rounds) -> dict[str, dict[str, float]]:
    return {
        name: {
            "median_ns": round(median(times), 1),
            "p95_ns": round(float(np.quantile(times, 0.95)), 1),
        }
        for name, times in rounds.items()
    }


def report(warm_up: int, repeats: int) -> dict[str, Any]:
    """All measurements and gates."""
    rng = np.random.default_rng(SEED)
    users = model(rng, USERS)
    new = model(rng, USERS)
    scalar = measure(scalar_contenders(users, users[:CALLS], new[:CALLS]), warm_up, repeats)
    batch = measure(batch_contenders(users, new), warm_up, repeats)
    whole = measure(whole_contenders(users, filled_columns(users)), warm_up, repeats)
    errors = rank_errors(users)
    sketch = QuantileSketch()
    sketch.rebuild(users)
    size = len(sketch.serialize())
    to_sorted = ratio(scalar, "sketch_replace", "sortedlist_replace")
    return {
        "benchmark": "sketch",
        **environment.describe(PACKAGES),
        "seed": SEED,
        "warm_up": warm_up,
        "repeats": repeats,
        "users": USERS,
        "gates": {
            "replace / KLL insert": gate(ratio(scalar, "sketch_replace", "kll_insert"), 6),
            "replace / SortedList replace": gate(to_sorted, 0.15),
            "batch replace of 10,000, per value / KLL insert": gate(
                ratio(batch, "sketch_replace_many_10000", "kll_insert"), 0.4
            ),
            "rank error on the model": gate(errors["sketch"], 5e-5),
            "snapshot bytes at 1e6 users": gate(size, 12_000),
            "scan of 1e6 users / sort": gate(
                ratio(whole, "columns_scan", "numpy_stable_sort"), 0.05
            ),
            "rebuild of 1e6 users / sort": gate(
                ratio(whole, "sketch_rebuild", "numpy_stable_sort"), 0.3
            ),
        },
        "to_default_sort": {
            name: float(f"{ratio(whole, name, 'numpy_sort'):.4g}")
            for name in ("columns_scan", "sketch_rebuild", "numpy_stable_sort")
        },
        "rank_errors": errors,
        "one_by_one_per_value": summary(scalar),
        "in_batches_per_value": summary(batch),
        "per_run": summary(whole),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warm-up", type=int, default=3, help="rounds not counted")
    parser.add_argument("--repeats", type=int, default=15, help="rounds counted")
    options = parser.parse_args()
    result = report(options.warm_up, options.repeats)
    print(json.dumps(result, indent=2))
    return 0 if all(entry["passed"] for entry in result["gates"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
