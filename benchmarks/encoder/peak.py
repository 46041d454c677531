"""What the machine's matrix products reach in the shapes of a GPT-2, and by which kernel."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.encoder.clock import clock
from benchmarks.encoder.subjects import Shape
from stream_app.encoder.lanes import Lanes

SECONDS = 0.25  # for each kernel and shape
Product = Callable[[], object]


def kernels(k: int, n: int, tokens: int, precision: str, device: str) -> dict[str, Product]:
    """Every way to multiply (tokens, k) by (k, n) that is at hand."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    x = torch.randn(tokens, k, device=device).to(dtype)
    inward = torch.randn(k, n, device=device).to(dtype)
    outward, bias = inward.t().contiguous(), inward[0].clone()
    out = torch.empty(tokens, n, device=device, dtype=dtype)
    found: dict[str, Product] = {
        "mm": lambda: torch.mm(x, inward, out=out),
        "addmm": lambda: torch.addmm(bias, x, inward, out=out),
        "linear": lambda: F.linear(x, outward, bias),
    }
    if device == "cpu":
        found |= _prepacked(x, outward, bias, precision)
    return found


def _prepacked(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, precision: str
) -> dict[str, Product]:
    dnn: Any = torch.ops.mkldnn
    found: dict[str, Product] = {}
    if precision == "fp32" or dnn._is_mkldnn_bf16_supported():  # noqa: SLF001
        laid = dnn._reorder_linear_weight(weight)  # noqa: SLF001
        multiply = dnn._linear_pointwise  # noqa: SLF001
        found["oneDNN prepacked"] = lambda: multiply(x, laid, bias, "none", [], None)
        found["oneDNN prepacked, GELU"] = lambda: multiply(x, laid, bias, "gelu", [], "tanh")
    mkl: Any = torch.ops.mkl
    if precision == "fp32" and hasattr(mkl, "_mkl_linear"):
        rows = len(x)
        packed = mkl._mkl_reorder_linear_weight(weight, rows)  # noqa: SLF001
        found["MKL prepacked"] = lambda: mkl._mkl_linear(x, packed, weight, bias, rows)  # noqa: SLF001
    return found


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


def seconds(run: Product, device: str, least: float = SECONDS) -> float:
    """Of one call, the quickest of as many as fit."""
    best = float("inf")
    for _ in range(2):
        run()
    end = clock() + least
    while best == float("inf") or clock() < end:
        synchronize(device)
        start = clock()
        run()
        synchronize(device)
        best = min(best, clock() - start)
    return best


@torch.inference_mode()
def by_kernel(shape: Shape, tokens: int, precision: str, device: str) -> dict[str, float]:
    """FLOP/s over the four products of a layer, by kernel; "best" takes the best for each."""
    spent: dict[str, float] = {}
    best = 0.0
    for k, n in shape.products():
        took = {
            name: seconds(run, device)
            for name, run in kernels(k, n, tokens, precision, device).items()
        }
        best += min(time for name, time in took.items() if "GELU" not in name)
        for name, time_s in took.items():
            spent[name] = spent.get(name, 0.0) + time_s
    flop = shape.flop(tokens) / shape.layers
    return {name: flop / time_s for name, time_s in [*spent.items(), ("best", best)]}


class Peak:
    """The products of a pass and nothing else, by the kernel that was quickest for each shape.

    With each number of rows, with all threads at one product, and with a pass for each thread, as
    the encoder does on a processor; the best of these counts. A product has the same weights in
    every layer, so that they are in the cache, where a model must read those of each layer.
    """

    def __init__(self, shape: Shape, rows: Sequence[int], precision: str, device: str) -> None:
        """`rows`: tokens of a pass."""
        self._device = device
        self._lanes = Lanes(torch.get_num_threads() if device == "cpu" else 1)
        self._ways = [
            (shape.flop(tokens), passes)
            for tokens in rows
            for passes in self._passes(shape, tokens, precision)
        ]

    def _passes(self, shape: Shape, tokens: int, precision: str) -> list[list[list[Product]]]:
        """One pass, and one for each thread."""
        one = (tokens, precision, self._device)
        chosen = {(k, n): quickest(k, n, *one) for k, n in shape.products()}
        passes = [
            [
                product
                for (k, n), name in chosen.items()
                for product in [kernels(k, n, *one)[name]] * shape.layers
            ]
            for _ in range(self._lanes.count)
        ]
        return [passes[:1], passes] if len(passes) > 1 else [passes]

    def rate(self) -> float:
        """FLOP/s, now."""
        return max(self._timed(flop, passes) for flop, passes in self._ways)

    def _timed(self, flop: int, passes: list[list[Product]]) -> float:
        synchronize(self._device)
        start = clock()
        self._lanes.map(_run, passes)
        synchronize(self._device)
        return len(passes) * flop / (clock() - start)


@torch.inference_mode()
def _run(products: list[Product]) -> None:
    for product in products:
        product()


@torch.inference_mode()
def quickest(k: int, n: int, tokens: int, precision: str, device: str) -> str:
    """The kernel to multiply (tokens, k) by (k, n) with."""
    found = kernels(k, n, tokens, precision, device)
    took = {name: seconds(run, device) for name, run in found.items() if "GELU" not in name}
    return min(took, key=lambda name: took[name])
