"""transformers' `pipeline("feature-extraction")`, batched; tensors back, as lists cost more.

It pads the texts of a batch and gives the padding's vectors back with the others, so means of texts
of unlike lengths are not those of a text alone.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.rivals.programs.models import MAX_TOKENS, PASS, dtype_of
from benchmarks.rivals.programs.turns import serve


def create(folder: str, precision: str) -> Callable[[list[str]], list[float]]:
    """The mean over a text's tokens, of which the norm."""
    import torch
    from transformers import pipeline

    build: Any = pipeline
    extract = build("feature-extraction", model=folder, dtype=dtype_of(precision), device="cpu")
    extract.tokenizer.pad_token = extract.tokenizer.eos_token
    cut = {"truncation": True, "max_length": MAX_TOKENS}

    def encode(texts: list[str]) -> list[float]:
        found = extract(texts, batch_size=PASS, return_tensors=True, tokenize_kwargs=cut)
        return [float(torch.linalg.norm(one[0].float().mean(0))) for one in found]

    return encode


if __name__ == "__main__":
    serve(create)
