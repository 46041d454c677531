"""Matrix products with weights of GPT-2, as quick as a processor does them, and its activation.

Imports torch: load this module only when needed.
"""

import logging
import math
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

import torch
import torch.nn.functional as F

log = logging.getLogger(__name__)

Activation = Callable[[torch.Tensor], torch.Tensor]
#: (weight (in, out), bias, activation) -> what multiplies with them
MakeLinear = Callable[[torch.Tensor, torch.Tensor, Activation], "Linear"]

#: names under which transformers knows GPT-2's tanh form of GELU
TANH_GELU: Final = frozenset({"gelu_new", "gelu_pytorch_tanh"})
_CUBIC: Final = 0.044715
_SCALE: Final = 2.0 * math.sqrt(2.0 / math.pi)
#: numbers that the activation treats at once: 1 MiB in fp32, which stays in the cache
_AT_ONCE: Final = 262_144


class Linear(Protocol):
    """x -> x W + b for rows x (tokens, in)."""

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """The product, (tokens, columns)."""
        ...

    def activated(self, rows: torch.Tensor) -> torch.Tensor:
        """The activation of the product."""
        ...

    def add_to(self, residual: torch.Tensor, rows: torch.Tensor) -> None:
        """Add the product to `residual` (tokens, columns), in place."""
        ...


class Room(threading.local):
    """Memory of each thread for one product after another; a fresh one costs page faults."""

    def __init__(self) -> None:
        self._memory = torch.empty(0)

    def __call__(self, rows: torch.Tensor, columns: int) -> torch.Tensor:
        """(tokens, columns), where `rows` lie; what was in it is lost."""
        size = len(rows) * columns
        if self._memory.numel() < size:
            self._memory = rows.new_empty(size)
        return self._memory[:size].view(len(rows), columns)


class Fp32Linear:
    """Bias and residual go into the product; the weight stays as GPT-2 keeps it, (in, out)."""

    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor, activation: Activation, room: Room
    ) -> None:
        """`room`: for products of this one and of others, of which one is in use at a time."""
        self._weight = weight
        self._bias = bias
        self._activation = activation
        self._room = room

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        out = self._room(rows, len(self._bias))
        return torch.addmm(self._bias, rows, self._weight, out=out)

    def activated(self, rows: torch.Tensor) -> torch.Tensor:
        return self._activation(self(rows))

    def add_to(self, residual: torch.Tensor, rows: torch.Tensor) -> None:
        residual.addmm_(rows, self._weight).add_(self._bias)


class Bf16Linear:
    """Product in bf16; what it is added to keeps its own precision."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, activation: Activation) -> None:
        self._weight = weight.t().contiguous().bfloat16()  # (out, in)
        self._bias = bias.bfloat16()
        self._activation = activation

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        return F.linear(rows, self._weight, self._bias)

    def activated(self, rows: torch.Tensor) -> torch.Tensor:
        return self._activation(self(rows))

    def add_to(self, residual: torch.Tensor, rows: torch.Tensor) -> None:
        residual.add_(self(rows))


class PrepackedLinear(Bf16Linear):
    """oneDNN on the processor: the weight laid out for its kernels once, GELU in the product.

    By the error function, see `erf_gelu`.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, activation: Activation) -> None:
        super().__init__(weight, bias, activation)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(self._weight)  # noqa: SLF001

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        return self._pointwise(rows, "none", None)

    def activated(self, rows: torch.Tensor) -> torch.Tensor:
        return self._pointwise(rows, "gelu", "none")

    def _pointwise(self, rows: torch.Tensor, then: str, how: str | None) -> torch.Tensor:
        multiply: Any = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001
        product: torch.Tensor = multiply(rows, self._weight, self._bias, then, [], how)
        return product


class CudaLinear(Bf16Linear):
    """cuBLASLt: GELU in the product."""

    def activated(self, rows: torch.Tensor) -> torch.Tensor:
        fused: Any = torch._addmm_activation  # noqa: SLF001
        product: torch.Tensor = fused(self._bias, rows, self._weight.t(), use_gelu=True)
        return product


def linear_for(device: torch.device, precision: str, activation_name: str) -> MakeLinear:
    """The quickest kind of `Linear` that gives right results here."""
    if precision == "fp32":
        return partial(Fp32Linear, room=Room())
    fused: type[Bf16Linear] | None = None
    if activation_name in TANH_GELU:
        if device.type == "cuda":
            fused = CudaLinear
        elif device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported():  # noqa: SLF001
            fused = PrepackedLinear
    return fused if fused is not None and _agrees(fused, device) else Bf16Linear


def _agrees(kind: type[Bf16Linear], device: torch.device) -> bool:
    """Whether a kind that rests on inner functions of torch does what the plain one does."""
    chance = torch.Generator().manual_seed(1)
    rows, weight = torch.randn(40, 64, generator=chance), torch.randn(64, 96, generator=chance)
    rows, weight = rows.bfloat16().to(device), (weight / 8.0).to(device)
    bias = weight[0].clone()
    sums = [torch.zeros(40, 96, device=device) for _ in range(2)]
    found = []
    kinds: tuple[type[Bf16Linear], ...] = (kind, Bf16Linear)
    for one, total in zip(kinds, sums, strict=True):
        linear = one(weight, bias, tanh_gelu)
        linear.add_to(total, rows)
        found.append([linear(rows).float(), linear.activated(rows).float(), total])
    agrees = all(
        torch.allclose(ours, plain, rtol=0.02, atol=0.02)
        for ours, plain in zip(*found, strict=True)
    )
    if not agrees:
        log.warning("%s differs from the plain product; it is left out", kind.__name__)
    return agrees


def tanh_gelu(rows: torch.Tensor) -> torch.Tensor:
    """GPT-2's GELU of numbers in any precision, by torch's own function."""
    return F.gelu(rows, approximate="tanh")


def erf_gelu(rows: torch.Tensor) -> torch.Tensor:
    """For a processor in bf16: the GELU that the tanh form stands for, in less than half its time.

    They differ by at most 5e-4, which is less than bf16 rounds away from values above 0.25, and
    features come no further from fp32's (docs/performance.md).
    """
    return F.gelu(rows)


class SigmoidGelu:
    """The same function on the processor, in place: x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)).

    The tanh in torch's form costs four times an exponential; in this form it is one.
    """

    def __init__(self) -> None:
        self._room = Room()

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """`rows` (tokens, columns), fp32, contiguous; changed in place and returned."""
        scale = torch.tensor(_SCALE)
        flat = rows.view(-1)
        for start in range(0, len(flat), _AT_ONCE):
            part = flat[start : start + _AT_ONCE]
            power = self._room(part, 1).view(-1)
            torch.addcmul(scale, part, part, value=_SCALE * _CUBIC, out=power)
            part.mul_(power.mul_(part).sigmoid_())
        return rows
