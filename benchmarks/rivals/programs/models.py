"""Plain transformers: a GPT-2 on one text at a time, and on padded batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

MAX_TOKENS = 128
#: texts that share a forward pass; sizes from 8 to 64 differ little on a processor
PASS = 32

Norms = Callable[[Sequence[str]], list[float]]


def free(_: str = "") -> Norms:
    """Costs nothing: what is left is the stream's own cost."""
    return lambda texts: [1.0] * len(texts)


def one_by_one(folder: str, precision: str = "fp32") -> Norms:
    """The article's way: the model with its head, a text at a time, the norm of the logits."""
    import torch
    from transformers import AutoTokenizer, GPT2LMHeadModel

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = GPT2LMHeadModel.from_pretrained(folder, dtype=dtype_of(precision))
    model.eval()

    def norm(text: str) -> float:
        given = tokenizer(text, return_tensors="pt", truncation=True, max_length=MAX_TOKENS)
        with torch.no_grad():
            return float(torch.linalg.norm(model(**given).logits.float()))

    # GPT-2 reads no text of no token; a space is the least it reads.
    return lambda texts: [norm(text or " ") for text in texts]


def in_batches(folder: str, precision: str = "fp32") -> Norms:
    """As the manual has it: no head, padded batches, the mean over the tokens of each text."""
    import torch
    from transformers import AutoTokenizer, GPT2Model

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    model: Any = GPT2Model.from_pretrained(folder, dtype=dtype_of(precision))
    model.eval()

    def of_pass(texts: Sequence[str]) -> list[float]:
        given = tokenizer(
            list(texts), return_tensors="pt", padding=True, truncation=True, max_length=MAX_TOKENS
        )
        with torch.inference_mode():
            hidden = model(**given).last_hidden_state.float()
            mask = given["attention_mask"].unsqueeze(-1)  # (texts, tokens, 1)
            pooled = (hidden * mask).sum(1) / mask.sum(1)
            found: list[float] = torch.linalg.norm(pooled, dim=1).tolist()
        return found

    def norms(texts: Sequence[str]) -> list[float]:
        return [
            norm
            for start in range(0, len(texts), PASS)
            for norm in of_pass([text or " " for text in texts[start : start + PASS]])
        ]

    return norms


def dtype_of(precision: str) -> Any:
    import torch

    return torch.bfloat16 if precision == "bf16" else torch.float32
