from typing import Final

import torch

from stream_app.encoder.packing import Packed

_ROWS: Final = 8_192


class LogitsNorm:
    """Frobenius norm of a language model's logits, without the logits.

    For hidden states H (tokens, dimensions) and the head's weight W (vocabulary, dimensions),
    ||H W^T||_F^2 = trace(H G H^T) with G = W^T W: the vocabulary is summed over once, when the
    model is loaded. Double precision, since the sum is over vocabulary x tokens squares.
    """

    def __init__(self, head: torch.Tensor) -> None:
        """`head`: weight of the head, (vocabulary, dimensions)."""
        if head.device.type == "mps":  # which has no double precision
            head = head.cpu()
        gram = torch.zeros(head.shape[1], head.shape[1], dtype=torch.float64, device=head.device)
        for first in range(0, head.shape[0], _ROWS):
            wide = head.detach()[first : first + _ROWS].double()
            gram += wide.T @ wide
        self._gram = gram

    @torch.inference_mode()
    def __call__(self, states: torch.Tensor, texts: Packed) -> torch.Tensor:
        """Norm of each text (texts,), of their last hidden states (tokens, dimensions)."""
        wide = states.to(self._gram.device).double()
        squares = torch.linalg.vecdot(wide @ self._gram, wide)
        sums = torch.cat([group.sum(dim=1) for group in texts.split(squares)])
        return sums.clamp_(min=0.0).sqrt_()
