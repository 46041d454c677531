"""GPT-2 by transformers alone, one text at a time in fp32, as anyone would write it."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from transformers import AutoTokenizer, GPT2LMHeadModel


@cache
def _loaded(folder: str) -> tuple[Any, Any]:
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    return tokenizer, model.eval()


@dataclass(frozen=True)
class PlainStates:
    """What the model gives for one text, (tokens, ...)."""

    states: torch.Tensor
    logits: torch.Tensor


def plain_states(folder: str, text: str, limit: int, layers: int = 0) -> PlainStates:
    """Last hidden states after `layers` layers (0: all) and the final norm, and the logits."""
    tokenizer, model = _loaded(folder)
    ids = tokenizer(text, return_tensors="pt")["input_ids"][:, :limit].long()
    if not ids.numel():
        nothing = torch.zeros(0, model.config.n_embd)
        return PlainStates(nothing, torch.zeros(0, model.config.vocab_size))
    with torch.inference_mode():
        out = model(ids, output_hidden_states=True)
        states = out.hidden_states[-1]
        if layers not in (0, model.config.n_layer):
            states = model.transformer.ln_f(out.hidden_states[layers])
    return PlainStates(states[0], out.logits[0])
