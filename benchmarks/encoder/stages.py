"""Where the time of a pass goes: `python -m benchmarks.encoder.stages [--tokens 40,128]`.

One thread, as in the encoder on a processor, by torch's profiler: milliseconds of a pass and shares
of it, by what is done. The GELU's part is what the products take longer than without it.
"""

import argparse
import json
from statistics import median
from typing import Any, Final

import torch
from torch.profiler import ProfilerActivity, profile
from transformers import GPT2Config, GPT2Model

from benchmarks import environment
from benchmarks.encoder import throwaway as tried
from benchmarks.encoder.subjects import SEED
from stream_app.encoder.body import PackedBody
from stream_app.encoder.device import resolve_precision, token_budget
from stream_app.encoder.linear import PrepackedLinear
from stream_app.encoder.packing import Packed, pack

#: what torch's kernels are for; the first name that fits counts
STAGES: Final = {
    "linear_pointwise": "products",
    "addmm": "products",
    "aten::linear": "products",
    "attention": "attention",
    "layer_norm": "norms",
    "copy_": "conversions and copies",
    "add_": "sums",
}


class NoGelu(PrepackedLinear):
    """What the products would take if the activation cost nothing."""

    def activated(self, rows: torch.Tensor) -> torch.Tensor:
        return self(rows)


def stages(body: PackedBody, texts: Packed) -> dict[str, float]:
    """Milliseconds of a pass."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        body(texts)
    found: dict[str, float] = {}
    events: Any = seen.key_averages()
    for event in events:
        stage = next((stage for name, stage in STAGES.items() if name in event.key), "the rest")
        found[stage] = found.get(stage, 0.0) + event.self_cpu_time_total / 1e3
    return found


def in_turn(
    bodies: dict[str, PackedBody], texts: Packed, rounds: int
) -> dict[str, dict[str, float]]:
    """The median of each stage, of each body."""
    for body in bodies.values():
        body(texts)
    took: dict[str, list[dict[str, float]]] = {name: [] for name in bodies}
    for _ in range(rounds):
        for name, body in bodies.items():
            took[name].append(stages(body, texts))
    return {
        name: {stage: median(one.get(stage, 0.0) for one in some) for stage in some[0]}
        for name, some in took.items()
    }


def measure(model: Any, tokens: int, precision: str, rounds: int) -> dict[str, Any]:
    texts = pack([[1] * tokens] * (token_budget(0, "cpu") // tokens))
    bodies = {"product": PackedBody(model, precision=precision)}
    if precision == "bf16":
        bodies["bare"] = tried.with_linears(model, NoGelu, precision)
    took = in_turn(bodies, texts, rounds)
    found = took["product"]
    if "bare" in took:
        found["GELU in the products"] = max(0.0, found["products"] - took["bare"]["products"])
        found["products"] -= found["GELU in the products"]
    whole = sum(found.values())
    shares = {stage: round(ms / whole, 3) for stage, ms in found.items()}
    return {
        "tokens_of_a_pass": len(texts.ids),
        "ms": round(whole, 1),
        "shares": dict(sorted(shares.items(), key=lambda one: -one[1])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", default="40,128", help="tokens of a text, several with commas")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    build: Any = GPT2Model
    model = build(GPT2Config()).eval()
    precision = resolve_precision(options.precision)
    report = {
        "benchmark": "stages of the encoder",
        **environment.describe(("torch",)),
        "precision": precision,
        **{
            f"{n} tokens": measure(model, n, precision, options.rounds)
            for n in map(int, options.tokens.split(","))
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
