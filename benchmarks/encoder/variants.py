"""What was tried to make the encoder quicker, and what each is worth.

    python -m benchmarks.encoder.variants [--only NAMES] [--rounds 5] [--json]

Each variant runs in turn with the product in every round, on the same tokens: GPT-2 small's shape,
texts of 40 tokens, and of the lengths that tweets have ("mixed"). A figure is the median of the
ratio to the product in the same round: below 1, the product is quicker than the variant.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from transformers import AutoTokenizer, GPT2LMHeadModel

from benchmarks import environment
from benchmarks.encoder import throwaway as tried
from benchmarks.encoder.clock import clock
from benchmarks.encoder.subjects import MIXED, SEED, TOKENS, texts, write_small_shape
from stream_app.encoder.body import PackedBody
from stream_app.encoder.gpt2 import pool
from stream_app.encoder.linear import Fp32Linear, Room
from stream_app.encoder.loading import load_model
from stream_app.encoder.packing import pack
from stream_app.encoder.plain_text import plain_text
from stream_app.encoder.reference import reference_texts

PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
TEXTS = 25  # one pass of 1,000 tokens
#: what takes long for each text gets fewer of them
FEW = 8
Tokens = list[list[int]]


class Variant(NamedTuple):
    group: str
    name: str
    run: tried.Run
    texts: int = TEXTS
    kind: str = "40 tokens"


def load(folder: Path) -> Any:
    model: Any = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


def of_transformers(model: Any) -> list[Variant]:
    body = model.transformer
    return [
        Variant("one text at a time", "with the head", tried.one_by_one(model, torch.no_grad), FEW),
        Variant("one text at a time", "no head", tried.one_by_one(body, torch.no_grad), FEW),
        Variant(
            "one text at a time",
            "no head, inference mode",
            tried.one_by_one(body, torch.inference_mode),
            FEW,
        ),
        *(
            Variant("batches", f"{name}, {kind}", run, TEXTS, kind)
            for kind in ("40 tokens", "mixed")
            for name, run in (
                ("padded as they come", tried.padded(body, by_length=False)),
                ("padded, sorted by length", tried.padded(body, by_length=True)),
                ("end to end, block-diagonal mask, 2,048 a row", tried.block_diagonal(body, 2_048)),
                ("end to end, block-diagonal mask, 256 a row", tried.block_diagonal(body, 256)),
                ("end to end, transformers' model", tried.transformers_by_length(body)),
            )
        ),
    ]


def of_parts(model: Any) -> list[Variant]:
    body = model.transformer
    plain = partial(Fp32Linear, room=Room())
    makers: dict[str, Callable[..., Any]] = {
        "weights turned, F.linear": tried.Outward,
        "oneDNN prepacked": partial(tried.Prepacked, kind="oneDNN"),
        "oneDNN prepacked, GELU in it": partial(tried.Prepacked, kind="oneDNN, GELU in it"),
        "MKL prepacked": partial(tried.Prepacked, kind="mkl"),
        "int8, dynamic": tried.Int8,
        "fresh memory for each product": partial(Fp32Linear, room=tried.FreshRoom()),
    }
    found = [
        Variant("products", name, tried.packed(tried.with_linears(body, make)))
        for name, make in makers.items()
    ]
    for name, gelu in (
        ("torch's tanh", tried.torch_gelu),
        ("transformers' in eight passes", tried.eight_passes),
    ):
        changed = tried.with_linears(body, plain, SigmoidGelu=gelu)
        found.append(Variant("GELU", name, tried.packed(changed)))
    for kind in ("40 tokens", "mixed"):
        eager = tried.with_linears(body, plain, attention_for=lambda *_: tried.eager_attention)
        found.append(Variant("attention", f"not fused, {kind}", tried.packed(eager), TEXTS, kind))
    found.append(
        Variant("precision", "bf16", tried.packed(PackedBody(body, precision="bf16")), FEW)
    )
    found.append(Variant("layers", "6 of 12", tried.packed(PackedBody(body, layers=6))))
    return found


def of_budgets(model: Any) -> list[Variant]:
    body = PackedBody(model.transformer)
    return [
        Variant("tokens of a pass", f"{budget}", tried.packed(body, budget), 204)
        for budget in (128, 256, 512, 1_024, 4_096, 8_192)
    ]


def of_compiler(model: Any) -> list[Variant]:
    """`torch.compile` with dynamic shapes; needs a C++ compiler on the machine."""
    compiled: Any = torch.compile(tried.left_to_a_compiler(model.transformer), dynamic=True)
    run = tried.packed(compiled)
    found = [Variant("torch.compile", "dynamic", run)]
    found.append(Variant("torch.compile", "dynamic, mixed", run, TEXTS, "mixed"))
    return found


FAMILIES: dict[str, Callable[[Any], list[Variant]]] = {
    "transformers": of_transformers,
    "parts": of_parts,
    "budgets": of_budgets,
    "compiler": of_compiler,
}


def rate(run: tried.Run, tokens: Sequence[Sequence[int]]) -> float:
    start = clock()
    run(tokens)
    return len(tokens) / (clock() - start)


def measure(
    model: Any, families: Sequence[str], posts: dict[str, Tokens], rounds: int
) -> list[dict[str, Any]]:
    base = tried.packed(PackedBody(model.transformer))
    base(posts["40 tokens"][:TEXTS])
    rows = []
    for family in families:
        for one in FAMILIES[family](model):
            tokens = posts[one.kind][: one.texts]
            start = clock()
            one.run(tokens)
            warm_up = clock() - start
            theirs, ratios = [], []
            for _ in range(rounds):
                ours = rate(base, posts[one.kind][: max(one.texts, TEXTS)])
                theirs.append(rate(one.run, tokens))
                ratios.append(theirs[-1] / ours)
            rows.append(
                {
                    "group": one.group,
                    "variant": one.name,
                    "posts_per_second": round(median(theirs), 1),
                    "ratio_to_product": round(median(ratios), 3),
                    "first_run_s": round(warm_up, 1),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    return rows


@torch.inference_mode()
def errors() -> dict[str, dict[str, float]]:
    """Of pooled vectors of the bundled model against fp32, the largest over the reference texts."""
    loaded = load_model("bundled", None)
    body = loaded.model.transformer
    tokens = loaded.tokenizer(sorted(map(plain_text, reference_texts()), key=len))["input_ids"]
    some = pack(sorted(tokens, key=len))
    exact = pool(PackedBody(body)(some), some)
    found = {}
    for name, other in (
        ("int8, dynamic", tried.with_linears(body, tried.Int8)),
        ("bf16", PackedBody(body, precision="bf16")),
    ):
        pooled = pool(other(some), some)
        cosine = torch.nn.functional.cosine_similarity(exact, pooled)
        apart = (exact - pooled).norm(dim=1) / exact.norm(dim=1)
        found[name] = {
            "1 - cosine": round(float(1 - cosine.min()), 6),
            "relative": round(float(apart.max()), 4),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(FAMILIES), help="families, with commas")
    parser.add_argument("--one-core", action="store_true", help="one thread; its time at work")
    options = parser.parse_args()
    if options.one_core:
        clock.count_one_core()
    families = options.only.split(",")
    with tempfile.TemporaryDirectory() as made:
        folder = write_small_shape(Path(made))
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        model = load(folder)
        lengths = {"40 tokens": [TOKENS] * 204, "mixed": list(MIXED) * 9}
        posts = {
            kind: tokenizer(texts(tokenizer, some))["input_ids"] for kind, some in lengths.items()
        }
        report = {
            "benchmark": "encoder variants",
            **environment.describe(PACKAGES),
            "threads": torch.get_num_threads(),
            "seed": SEED,
            "errors": errors(),
            "variants": measure(model, families, posts, options.rounds),
        }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
