"""What the machine's matrix products reach in the shapes of a GPT-2, and by which kernel."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.encoder.clock import clock
from benchmarks.encoder.subjects import Shape

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


def peaks(shape: Shape, tokens: int, precision: str, device: str) -> Iterator[float]:
    """The best kernel for each shape, again and again."""
    while True:
        yield by_kernel(shape, tokens, precision, device)["best"]
