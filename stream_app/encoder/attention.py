"""Causal attention of texts laid end to end. Imports torch: load only when needed."""

import logging
from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch.nn.attention.varlen import varlen_attn

from stream_app.encoder.packing import Packed, pack

log = logging.getLogger(__name__)

#: queries, keys and values (tokens, 3, heads, head), texts, scale -> (tokens, heads x head)
Attention = Callable[[torch.Tensor, Packed, float], torch.Tensor]

_VECTOR: Final = 16  # fp32 numbers that AVX-512 treats at once; twice those of AVX2
#: from here on whole vectors are quicker, in spite of the rows read for nothing
_LONG_END: Final = 8
_AMPERE: Final = (8, 0)  # the oldest processors of graphics that have torch's flash kernels


def by_length(qkv: torch.Tensor, texts: Packed, scale: float) -> torch.Tensor:
    """Texts of one length together: nothing to mask but what comes later in the same text."""
    attended = [_causal(group, scale) for group in texts.split(qkv)]
    return attended[0] if len(attended) == 1 else torch.cat(attended)


def by_length_in_vectors(qkv: torch.Tensor, texts: Packed, scale: float) -> torch.Tensor:
    """The same on a processor, where softmax takes the odd end of a row number by number.

    A text with a long odd end is read on into the rows after it. They come later, so that what is
    kept attends to none of them, and what they attend to is dropped. Only a value that is no number
    would show, 0 times it being none either; a model that gives such is of no use.
    """
    out = qkv.new_empty(len(qkv), qkv.shape[2] * qkv.shape[3])
    start = 0
    for count, length in texts.groups:
        odd = length % _VECTOR
        wide = length - odd + _VECTOR if odd >= _LONG_END else length
        # Those near the end have too few rows after them.
        room = max(0, (len(qkv) - start - wide) // length + 1)
        for some, read in ((min(count, room), wide), (max(0, count - room), length)):
            end = start + some * length
            if some:
                rows = qkv[start:].as_strided(
                    (some, read, *qkv.shape[1:]), (length * qkv.stride(0), *qkv.stride())
                )
                kept = _causal(rows, scale).view(some, read, -1)[:, :length]
                out[start:end].view(some, length, -1).copy_(kept)
            start = end
    return out


def _causal(group: torch.Tensor, scale: float) -> torch.Tensor:
    """(texts, length, 3, heads, head) -> (texts x length, heads x head)."""
    query, key, value = group.permute(2, 0, 3, 1, 4).unbind(0)
    mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)
    return mixed.transpose(1, 2).reshape(-1, group.shape[3] * group.shape[4])


def all_at_once(qkv: torch.Tensor, texts: Packed, scale: float) -> torch.Tensor:
    """One kernel for texts of all lengths: CUDA, bf16."""
    longest = max(length for _, length in texts.groups)
    query, key, value = qkv.unbind(1)
    mixed = varlen_attn(
        query, key, value, texts.starts, texts.starts, longest, longest,
        scale=scale, window_size=(-1, 0),
    )  # fmt: skip
    assert isinstance(mixed, torch.Tensor)  # noqa: S101 - for the type: nothing else was asked for
    return mixed.reshape(len(qkv), -1)


def attention_for(device: torch.device, precision: str, head: int) -> Attention:
    """The quickest one that gives right results here."""
    if device.type == "cpu":
        return by_length_in_vectors
    if device.type != "cuda" or precision != "bf16":
        return by_length
    if torch.cuda.get_device_capability(device) < _AMPERE or head % 8:
        return by_length
    texts = pack([[0] * n for n in (9, 9, 5, 1)], device)
    qkv = torch.randn(24, 3, 2, head, generator=torch.Generator().manual_seed(1))
    qkv = qkv.to(device, torch.bfloat16)
    ours, plain = (one(qkv, texts, head**-0.5).float() for one in (all_at_once, by_length))
    if torch.allclose(ours, plain, rtol=0.02, atol=0.02):
        return all_at_once
    log.warning("attention over all lengths at once differs from the plain one; it is left out")
    return by_length
