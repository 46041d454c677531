import math
from typing import Final

import torch

_ROWS: Final = 8_192


class LogitsNorm:
    """Frobenius norm of a language model's logits, without the logits.

    For hidden states H (tokens, dimensions) and the head's weight W (vocabulary, dimensions),
    ||H W^T||_F^2 = trace(H G H^T) with G = W^T W: the vocabulary is summed over once, when the
    model is loaded. Double precision, since the sum is over vocabulary x tokens squares.
    """

    def __init__(self, head: torch.Tensor) -> None:
        """`head`: weight of the head, (vocabulary, dimensions)."""
        gram = torch.zeros(head.shape[1], head.shape[1], dtype=torch.float64)
        for first in range(0, head.shape[0], _ROWS):
            wide = head.detach()[first : first + _ROWS].double()
            gram += wide.T @ wide
        self._gram = gram

    def __call__(self, states: torch.Tensor) -> float:
        """Norm for the last hidden states (tokens, dimensions) of one text; 0 without tokens."""
        wide = states.double()
        squares = float(((wide @ self._gram) * wide).sum())
        return math.sqrt(max(squares, 0.0))
