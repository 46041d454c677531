"""Posts per second of the encoder beside the article's own loop: `python -m benchmarks.encoder`.

GPT-2 small's shape (12 x 768) with random weights, texts of 40 tokens of the bundled vocabulary.
The article's loop runs the model with its head on one text at a time in fp32 and takes the norm of
the logits. Contenders take turns in one process; a figure is the median over the rounds.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from benchmarks import environment
from stream_app.encoder import create_encoder
from stream_app.encoder.device import resolve_precision
from stream_app.encoder.loading import model_folder
from stream_app.settings import load_settings

SEED = 20_240_501
TOKENS = 40  # of a text
POSTS = 128  # texts of a round, all different
ARTICLE_POSTS = 12  # the article's loop is slow: fewer say as much
PACKAGES = ("torch", "transformers", "numpy")


def texts(tokenizer: Any, count: int, seed: int) -> list[str]:
    """`count` texts of exactly TOKENS tokens: whole words of the vocabulary by chance."""
    words = [
        piece[1:]
        for piece in sorted(tokenizer.get_vocab())
        if piece.startswith("Ġ") and piece[1:].isascii() and piece[1:].isalpha()
    ]
    chance = random.Random(seed)
    found: list[str] = []
    while len(found) < count:
        text = " ".join(chance.choices(words, k=TOKENS))
        ids = tokenizer(text)["input_ids"][:TOKENS]
        text = tokenizer.decode(ids)
        if len(tokenizer(text)["input_ids"]) == TOKENS:
            found.append(text)
    return found


def write_small_shape(folder: Path) -> Path:
    """GPT-2 small with its full vocabulary size, random weights, the bundled tokenizer."""
    torch.manual_seed(SEED)
    build: Any = GPT2LMHeadModel
    build(GPT2Config()).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model_folder("bundled", None)).save_pretrained(folder)
    return folder


def article_loop(folder: Path) -> Callable[[list[str]], list[float]]:
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    model.eval()

    def run(posts: list[str]) -> list[float]:
        norms = []
        for post in posts:
            with torch.no_grad():
                logits = model(**tokenizer(post, return_tensors="pt")).logits
            norms.append(float(torch.linalg.norm(logits)))
        return norms

    return run


def contenders(folder: Path) -> dict[str, tuple[Callable[[list[str]], object], int]]:
    """Name -> (what encodes a list of texts, how many texts it is given)."""

    def ours(name: str, **options: Any) -> Callable[[list[str]], object]:
        logits_norm = options.pop("logits_norm", False)
        settings = load_settings(encoder=name, text_cache=0, **options)
        return create_encoder(settings, logits_norm=logits_norm).encode

    return {
        "article loop": (article_loop(folder), ARTICLE_POSTS),
        "kol-stream auto": (ours(str(folder)), POSTS),
        "kol-stream fp32": (ours(str(folder), precision="fp32"), POSTS // 2),
        "kol-stream article preset": (ours(str(folder), logits_norm=True), POSTS // 2),
        "kol-stream bundled": (ours("bundled"), POSTS),
    }


def measure(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Posts per second of each contender in each round."""
    some = texts(AutoTokenizer.from_pretrained(folder), POSTS, SEED)
    subjects = contenders(folder)
    for run, _ in subjects.values():
        run(some[:16])
    rates: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, (run, count) in subjects.items():
            start = time.perf_counter()
            run(some[:count])
            rates[name].append(count / (time.perf_counter() - start))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="0: torch's own choice")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        rates = measure(write_small_shape(Path(folder)), options.rounds)
    base = rates["article loop"]
    precision = resolve_precision("auto")
    ratios = [ours / theirs for ours, theirs in zip(rates["kol-stream auto"], base, strict=True)]
    least = 4.0 if precision == "bf16" else 2.5
    report = {
        "benchmark": "encoder",
        **environment.describe(PACKAGES),
        "threads": torch.get_num_threads(),
        "seed": SEED,
        "tokens": TOKENS,
        "precision": precision,
        "posts_per_second": {name: round(median(found), 1) for name, found in rates.items()},
        "rounds": {name: [round(rate, 1) for rate in found] for name, found in rates.items()},
        "ratio": round(median(ratios), 2),
        "at_least": least,
        "passed": median(ratios) >= least,
    }
    print(json.dumps(report, indent=2))
    raise SystemExit(0 if report["passed"] else 1)


if __name__ == "__main__":
    main()
