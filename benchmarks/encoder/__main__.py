"""Posts per second of the encoder beside the article's own loop, and its share of the peak.

    python -m benchmarks.encoder [--device cuda] [--tokens 40,128] [--share-only]

GPT-2 small's shape (12 x 768) with random weights, texts of so many tokens of the bundled
vocabulary. The article's loop runs the model with its head on one text at a time in fp32 and takes
the norm of the logits. The peak is what plain matrix products of the very shapes reach, as many as
a pass has, by the best kernel for each, at the tokens of a pass and more, just before the encoder;
the encoder's FLOP are those products alone, its time is all of `encode`: tokens, passes, pooling,
signatures. Contenders take turns in one process; a figure is the median over the rounds, with its
quartiles beside it.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import AutoTokenizer

from benchmarks import environment
from benchmarks.encoder.clock import clock
from benchmarks.encoder.peak import Peak
from benchmarks.encoder.subjects import SEED, Shape, article_loop, texts, write_small_shape
from benchmarks.figures import spread
from stream_app.encoder import create_encoder
from stream_app.encoder.device import resolve_device, resolve_precision, token_budget
from stream_app.settings import load_settings

PACKAGES = ("torch", "transformers", "numpy")
Run = Callable[[Sequence[str]], object]
#: texts of a round at least; longer passes get as many as two of them hold
POSTS, ARTICLE_POSTS = 102, 12
#: the peak and the encoder in turn, so often a round: a machine's speed changes within seconds
PAIRS = 3
#: rows of the peak's products beside the encoder's own number: on a quiet machine a tenth quicker
QUICKEST_ROWS = 2_048
MOST_BUNDLED = 16  # times as many texts for the small model

GOAL = {"fp32": 2.5, "bf16": 4.0}  # times the article's loop
GOAL_SHARE = 0.85


class Contender:
    def __init__(self, run: Run, posts: Sequence[str]) -> None:
        self._run, self._posts = run, posts
        self.rates: list[float] = []

    def warm_up(self) -> None:
        self._run(self._posts[: max(4, len(self._posts) // 4)])

    def measure(self) -> None:
        start = clock()
        self._run(self._posts)
        self.rates.append(len(self._posts) / (clock() - start))


def ours(folder: Path | str, device: str, *, logits_norm: bool = False, **options: Any) -> Run:
    settings = load_settings(encoder=str(folder), text_cache=0, device=device, **options)
    return create_encoder(settings, logits_norm=logits_norm).encode


def contenders(
    folder: Path, posts: Sequence[str], device: str, *, alone: bool
) -> dict[str, Contender]:
    if alone:
        return {"kol-stream auto": Contender(ours(folder, device), posts)}
    bundled = posts if device != "cpu" else list(posts) * MOST_BUNDLED
    found = {
        "article loop": Contender(article_loop(folder, device), posts[:ARTICLE_POSTS]),
        "kol-stream auto": Contender(ours(folder, device), posts),
        "kol-stream article preset": Contender(ours(folder, device, logits_norm=True), posts),
        # Repeats would be found: each text is made another by a number before it.
        "kol-stream bundled": Contender(
            ours("bundled", device, max_tokens=128),
            [f"{number} {text}" for number, text in enumerate(bundled)],
        ),
    }
    if resolve_precision("auto", device) == "bf16":
        found["kol-stream fp32"] = Contender(ours(folder, device, precision="fp32"), posts)
    return found


def measure(folder: Path, tokens: int, rounds: int, device: str, *, alone: bool) -> dict[str, Any]:
    precision = resolve_precision("auto", device)
    budget = token_budget(0, device)
    count = max(POSTS, 2 * max(budget, QUICKEST_ROWS) // tokens)
    posts = texts(AutoTokenizer.from_pretrained(folder), [tokens] * count)
    subjects = contenders(folder, posts, device, alone=alone)
    shape = Shape.of(folder)
    for one in subjects.values():
        one.warm_up()
    auto = subjects["kol-stream auto"]
    rows = {least // tokens * tokens for least in (budget, max(budget, QUICKEST_ROWS))}
    products = Peak(shape, sorted(rows), precision, device)
    peaks: list[float] = []
    for _ in range(rounds):
        for one in subjects.values():
            if one is not auto:
                one.measure()
        for _ in range(PAIRS):
            peaks.append(products.rate())
            auto.measure()
    return report(subjects, peaks, shape.flop(tokens), precision)


def report(
    subjects: dict[str, Contender], peaks: Sequence[float], flop: int, precision: str
) -> dict[str, Any]:
    auto = subjects["kol-stream auto"].rates
    shares = [rate * flop / peak for rate, peak in zip(auto, peaks, strict=True)]
    found: dict[str, Any] = {
        "precision": precision,
        "posts_per_second": {name: spread(one.rates, 1) for name, one in subjects.items()},
        "peak_gflops": spread([peak / 1e9 for peak in peaks], 1),
        "encoder_gflops": spread([rate * flop / 1e9 for rate in auto], 1),
        "share_of_peak": spread(shares, 3),
        "best_of_best_peak": round(max(auto) * flop / max(peaks), 3),
        "goals": {"ratio": GOAL[precision], "share_of_peak": GOAL_SHARE},
        "passed": median(shares) >= GOAL_SHARE,
    }
    if "article loop" in subjects:
        base = subjects["article loop"].rates
        preset = subjects["kol-stream article preset"].rates
        ratios = [rate / loop for rate, loop in zip(auto[::PAIRS], base, strict=True)]
        found["ratio"] = spread(ratios, 2)
        found["article_ratio"] = spread([a / b for a, b in zip(preset, base, strict=True)], 2)
        found["passed"] &= median(ratios) >= GOAL[precision]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="0: torch's own choice")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--tokens", default="40", help="tokens of a text, several with commas")
    parser.add_argument("--share-only", action="store_true", help="the encoder and its peak")
    parser.add_argument("--one-core", action="store_true", help="one thread; its time at work")
    options = parser.parse_args()
    if options.one_core:
        clock.count_one_core()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = resolve_device(options.device)
    lengths = [int(length) for length in options.tokens.split(",")]
    with tempfile.TemporaryDirectory() as made:
        folder = write_small_shape(Path(made))
        found = {
            f"{n} tokens": measure(folder, n, options.rounds, device, alone=options.share_only)
            for n in lengths
        }
    whole = {
        "benchmark": "encoder",
        **environment.describe(PACKAGES),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "threads": torch.get_num_threads(),
        "seed": SEED,
        **found,
        "passed": all(one["passed"] for one in found.values()),
    }
    print(json.dumps(whole, indent=2))
    raise SystemExit(0 if whole["passed"] else 1)


if __name__ == "__main__":
    main()
