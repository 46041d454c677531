"""The body on a graphics processor: as it is, compiled, and as a CUDA graph.

    python -m benchmarks.encoder.graphs [--device cuda] [--tokens 40,128]

A graph holds one shape: it shows what launching kernels costs, all that graphs could spare. On a
processor there is no graph to be had; the rest runs there too.
"""

import argparse
import json
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from transformers import GPT2Config, GPT2Model

from benchmarks import environment
from benchmarks.encoder import throwaway as tried
from benchmarks.encoder.clock import clock
from benchmarks.encoder.peak import by_kernel, synchronize
from benchmarks.encoder.subjects import SEED, Shape
from stream_app.encoder.body import PackedBody
from stream_app.encoder.device import resolve_device, resolve_precision, token_budget
from stream_app.encoder.packing import Packed, pack

Run = Callable[[], object]


def graph(body: Any, texts: Packed) -> Run:
    """One pass recorded, to be run again on the same memory."""
    cuda: Any = torch.cuda
    side = cuda.Stream()
    with torch.cuda.stream(side):
        body(texts)
    side.synchronize()
    recorded = cuda.CUDAGraph()
    with torch.cuda.graph(recorded):
        body(texts)
    replay: Run = recorded.replay
    return replay


def ways(body: PackedBody, compiled: Any, texts: Packed) -> dict[str, Run]:
    found: dict[str, Run] = {
        "as it is": lambda: body(texts),
        "torch.compile": lambda: compiled(texts),
    }
    if body.device.type == "cuda":
        found["CUDA graph"] = graph(body, texts)
    return found


def compilable(model: Any, body: PackedBody, precision: str) -> Any:
    """Compiled; in fp32 without what the product does by hand and a compiler does itself."""
    by_hand = precision == "fp32"
    return torch.compile(tried.left_to_a_compiler(model) if by_hand else body, dynamic=True)


def seconds(run: Run, device: str, rounds: int) -> float:
    took = []
    for _ in range(rounds + 2):
        synchronize(device)
        start = clock()
        run()
        synchronize(device)
        took.append(clock() - start)
    return median(took[2:])


def measure(model: Any, tokens: int, device: str, rounds: int, budget: int) -> dict[str, Any]:
    precision = resolve_precision("auto", device)
    body = PackedBody(model, precision=precision, device=device)
    texts = pack([[1] * tokens] * (budget // tokens), device)
    shape = Shape(len(model.h), model.config.n_embd)
    flop = shape.flop(len(texts.ids))
    peak = by_kernel(shape, len(texts.ids), precision, device)["best"]
    found: dict[str, Any] = {"peak_tflops": round(peak / 1e12, 3)}
    for name, run in ways(body, compilable(model, body, precision), texts).items():
        took = seconds(run, device, rounds)
        found[name] = {
            "posts_per_second": round(budget // tokens / took, 1),
            "tflops": round(flop / took / 1e12, 3),
            "share_of_peak": round(flop / took / peak, 3),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--tokens", default="40,128", help="tokens of a text, several with commas")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=0, help="tokens of a pass; 0: the product's")
    options = parser.parse_args()
    device = resolve_device(options.device)
    torch.manual_seed(SEED)
    build: Any = GPT2Model
    model = build(GPT2Config(n_layer=options.layers)).eval()
    budget = token_budget(options.budget, device)
    report = {
        "benchmark": "encoder as graphs",
        **environment.describe(("torch",)),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "tokens_of_a_pass": budget,
        **{
            f"{n} tokens": measure(model, n, device, options.rounds, budget)
            for n in map(int, options.tokens.split(","))
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
