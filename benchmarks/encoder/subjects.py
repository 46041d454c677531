"""What is measured: a model of GPT-2 small's shape, texts, the article's loop."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from stream_app.encoder.loading import model_folder

SEED = 20_240_501
TOKENS = 40  # of a text, unless told otherwise
#: tokens of a text where lengths differ: those of tweets (stocknet), one in ten each
MIXED = (7, 12, 15, 18, 21, 24, 27, 30, 34, 43)


class Shape(NamedTuple):
    """What of a GPT-2 decides about the cost of a token."""

    layers: int
    dimensions: int

    @classmethod
    def of(cls, folder: Path) -> "Shape":
        config = GPT2Config.from_pretrained(folder)
        return cls(config.n_layer, config.n_embd)

    def products(self) -> list[tuple[int, int]]:
        """(in, out) of the four matrices of a layer."""
        d = self.dimensions
        return [(d, 3 * d), (d, d), (d, 4 * d), (4 * d, d)]

    def flop(self, tokens: int) -> int:
        """Of all matrix products with weights; attention, norms and activations not counted."""
        return self.layers * sum(2 * tokens * k * n for k, n in self.products())


def words(tokenizer: Any) -> list[str]:
    return [
        piece[1:]
        for piece in sorted(tokenizer.get_vocab())
        if piece.startswith("Ġ") and piece[1:].isascii() and piece[1:].isalpha()
    ]


def texts(tokenizer: Any, lengths: Sequence[int], seed: int = SEED) -> list[str]:
    """Texts of exactly so many tokens: whole words of the vocabulary by chance, all different."""
    some = words(tokenizer)
    chance = random.Random(seed)
    found: list[str] = []
    while len(found) < len(lengths):
        length = lengths[len(found)]
        ids = tokenizer(" ".join(chance.choices(some, k=length)))["input_ids"][:length]
        text = tokenizer.decode(ids)
        if len(tokenizer(text)["input_ids"]) == length:
            found.append(text)
    return found


def write_small_shape(folder: Path) -> Path:
    """GPT-2 small with its full vocabulary size, random weights, the bundled tokenizer."""
    torch.manual_seed(SEED)
    build: Any = GPT2LMHeadModel
    build(GPT2Config()).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model_folder("bundled", None)).save_pretrained(folder)
    return folder


def article_loop(folder: Path, device: str = "cpu") -> Callable[[Sequence[str]], list[float]]:
    """Model with its head, one text at a time, fp32, the norm of the logits."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    model.eval().to(device)

    def run(posts: Sequence[str]) -> list[float]:
        norms = []
        for post in posts:
            with torch.no_grad():
                logits = model(**tokenizer(post, return_tensors="pt").to(device)).logits
            norms.append(float(torch.linalg.norm(logits)))
        return norms

    return run
