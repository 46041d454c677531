"""A GPT-2 of a few thousand random weights in a folder, and its own byte-level vocabulary."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

END = "<|endoftext|>"
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())


def write_tiny_gpt2(folder: Path, **changes: Any) -> Path:
    """One token per byte; 3 layers x 32, 64 positions unless told otherwise."""
    vocabulary = {END: 0} | {piece: i for i, piece in enumerate(ALPHABET, 1)}
    bytes_only = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    wrap: Any = PreTrainedTokenizerFast
    wrap(tokenizer_object=bytes_only, **{"eos_token": END}).save_pretrained(folder)
    shape = {"n_positions": 64, "n_embd": 32, "n_layer": 3, "n_head": 4} | changes
    build: Any = GPT2LMHeadModel
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build(
            GPT2Config(vocab_size=len(vocabulary), bos_token_id=0, eos_token_id=0, **shape)
        )
        for weight in model.parameters():  # far enough from zero that every token matters
            torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(folder)
    return folder
