"""Texts laid end to end for one pass through the model. Imports torch: load only when needed."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import numpy as np
import torch

#: tokens for which a thread reads all weights by itself rather than share the reading
_WORTH_A_PASS: Final = 256


class Packed(NamedTuple):
    """Texts laid end to end, without padding; those of one length stand beside each other."""

    ids: torch.Tensor  # (tokens,)
    positions: torch.Tensor  # (tokens,); each text's own begin at 0
    starts: torch.Tensor  # (texts + 1,) int32: where each text begins, and the end of the last
    groups: tuple[tuple[int, int], ...]  # texts beside each other and the length of each

    def split(self, states: torch.Tensor) -> Iterator[torch.Tensor]:
        """Views (texts, length, ...) of each group's rows of `states` (tokens, ...)."""
        start = 0
        for texts, length in self.groups:
            end = start + texts * length
            yield states[start:end].view(texts, length, *states.shape[1:])
            start = end


def pack(tokens: Sequence[Sequence[int]], device: torch.device | str = "cpu") -> Packed:
    """Texts, none of them empty, sorted by length, on the device; the copy is not waited for."""
    lengths = np.fromiter(map(len, tokens), dtype=np.int64, count=len(tokens))
    starts = np.zeros(len(tokens) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    total = int(starts[-1])
    # One array, so that one copy takes all of it to the device.
    whole = np.empty(2 * total + len(starts), dtype=np.int64)
    whole[:total] = np.fromiter((i for ids in tokens for i in ids), dtype=np.int64, count=total)
    whole[total : 2 * total] = np.arange(total) - np.repeat(starts[:-1], lengths)
    whole[2 * total :] = starts
    there = to_device(torch.from_numpy(whole), torch.device(device))
    return Packed(
        ids=there[:total],
        positions=there[total : 2 * total],
        starts=there[2 * total :].to(torch.int32),
        groups=tuple((len(list(same)), n) for n, same in groupby(lengths.tolist())),
    )


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """On the device; CUDA copies from pinned memory while this thread goes on."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def passes(lengths: Sequence[int], budget: int, lanes: int = 1) -> Iterator[list[int]]:
    """Indices of texts for one pass each: the longest first, at most `budget` tokens.

    Passes are about equally long, and as many as keep all lanes busy, unless that makes them so
    short that reading the weights would cost more than it saves. Texts without tokens are in none;
    one longer than the budget has a pass of its own.
    """
    share = _share(sum(lengths), budget, lanes)
    rows: list[int] = []
    taken = 0
    for row in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not lengths[row]:
            break
        if rows and (taken >= share or taken + lengths[row] > budget):
            yield rows
            rows, taken = [], 0
        rows.append(row)
        taken += lengths[row]
    if rows:
        yield rows


def _share(total: int, budget: int, lanes: int) -> int:
    """Tokens after which a pass ends, where texts allow."""
    least = max(1, -(-total // budget))
    even = -(-least // lanes) * lanes
    return -(-total // max(least, min(even, total // _WORTH_A_PASS)))
