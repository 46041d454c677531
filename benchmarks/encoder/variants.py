"""What was tried to make the encoder quicker, and what each is worth.

    python -m benchmarks.encoder.variants [--only NAMES] [--rounds 5] [--precision auto]

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
from stream_app.encoder.device import resolve_precision, token_budget
from stream_app.encoder.gpt2 import pool
from stream_app.encoder.lanes import Lanes
from stream_app.encoder.linear import Bf16Linear, Fp32Linear, Room, tanh_gelu
from stream_app.encoder.loading import load_model
from stream_app.encoder.packing import pack
from stream_app.encoder.plain_text import plain_text
from stream_app.encoder.reference import reference_texts

PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
TEXTS = 51  # 2,040 tokens: two passes for each of two threads
#: what takes long for each text gets fewer of them
FEW = 8
Tokens = list[list[int]]


class Variant(NamedTuple):
    group: str
    name: str
    run: tried.Run
    texts: int = TEXTS
    kind: str = "40 tokens"


class Subject:
    """The model, and how the product runs it here."""

    def __init__(self, model: Any, tokenizer: Any, precision: str) -> None:
        self.model, self.tokenizer, self.precision = model, tokenizer, precision
        self.body = model.transformer
        self.lanes = Lanes(torch.get_num_threads())

    def packed(self, body: Any, budget: int = 0) -> tried.Run:
        budget = token_budget(budget, "cpu")
        return tried.packed(body, budget, lanes=self.lanes)

    def product(self) -> tried.Run:
        return self.packed(PackedBody(self.body, precision=self.precision))

    def with_linears(self, make: Callable[..., Any], **changes: Any) -> tried.Run:
        return self.packed(tried.with_linears(self.body, make, self.precision, **changes))


def load(folder: Path) -> Any:
    model: Any = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


def of_transformers(subject: Subject) -> list[Variant]:
    model, body = subject.model, subject.body
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


def of_products(subject: Subject) -> list[Variant]:
    """Other matrix products and activations, in the product's own precision."""
    makers: dict[str, Callable[..., Any]] = {
        "weights turned, F.linear": tried.Outward,
        "oneDNN prepacked": partial(tried.Prepacked, kind="oneDNN"),
        "oneDNN prepacked, GELU in it": partial(tried.Prepacked, kind="oneDNN, GELU in it"),
        "MKL prepacked": partial(tried.Prepacked, kind="mkl"),
        "int8, dynamic": tried.Int8,
        "fresh memory for each product": partial(Fp32Linear, room=tried.FreshRoom()),
    }
    gelus: dict[str, Any] = {
        "torch's tanh": tried.torch_gelu,
        "transformers' in eight passes": tried.eight_passes,
    }
    plain: Callable[..., Any] = partial(Fp32Linear, room=Room())
    changed = "SigmoidGelu"
    if subject.precision == "bf16":
        makers = {
            "weights turned, F.linear": Bf16Linear,
            "oneDNN prepacked, GELU after it": tried.GeluApart,
            "oneDNN prepacked, tanh GELU in it": tried.TanhInIt,
        }
        plain, changed, gelus = tried.GeluApart, "erf_gelu", {"torch's tanh": tanh_gelu}
    return [
        *(Variant("products", name, subject.with_linears(make)) for name, make in makers.items()),
        *(
            Variant("GELU", name, subject.with_linears(plain, **{changed: gelu}))
            for name, gelu in gelus.items()
        ),
    ]


def of_parts(subject: Subject) -> list[Variant]:
    body, precision = subject.body, subject.precision
    eager = tried.with_parts(body, precision, attention_for=lambda *_: tried.eager_attention)
    half = PackedBody(body, precision=precision, layers=len(body.h) // 2)
    found = [
        Variant("attention", f"not fused, {kind}", subject.packed(eager), TEXTS, kind)
        for kind in ("40 tokens", "mixed")
    ]
    found.append(Variant("layers", "half of them", subject.packed(half)))
    other = "fp32" if precision == "bf16" else "bf16"
    found.append(
        Variant("precision", other, subject.packed(PackedBody(body, precision=other)), TEXTS)
    )
    if precision == "bf16":
        sums = tried.Bf16Sums(body, precision=precision)
        found.append(Variant("precision", "bf16, sums of layers too", subject.packed(sums)))
        int8 = subject.packed(tried.with_linears(body, tried.Int8))
        found.append(Variant("precision", "int8, dynamic", int8))
    return found


def of_threads(subject: Subject) -> list[Variant]:
    """All threads at each product, one pass after another."""
    body = PackedBody(subject.body, precision=subject.precision)
    return [
        Variant("threads", f"together at each product, {kind}", tried.packed(body), 102, kind)
        for kind in ("40 tokens", "mixed")
    ]


def of_tokenizer(subject: Subject) -> list[Variant]:
    """Tokenizing alone: at most its share of the time is won by doing it ahead of the encoder."""

    def run(tokens: tried.Tokens) -> object:
        found: object = subject.tokenizer(subject.tokenizer.batch_decode(tokens))
        return found

    return [Variant("tokenizer", "decode and encode, no model", run, 204)]


def of_budgets(subject: Subject) -> list[Variant]:
    body = PackedBody(subject.body, precision=subject.precision)
    return [
        Variant("tokens of a pass", f"{budget}", subject.packed(body, budget), 204)
        for budget in (128, 256, 1_024, 2_048, 4_096)
    ]


def of_compiler(subject: Subject) -> list[Variant]:
    """`torch.compile` with dynamic shapes; needs a C++ compiler on the machine."""
    body = subject.body
    plain = PackedBody(body, precision="bf16") if subject.precision == "bf16" else None
    compiled: Any = torch.compile(plain or tried.left_to_a_compiler(body), dynamic=True)
    run = tried.packed(compiled)
    found = [Variant("torch.compile", "dynamic", run)]
    found.append(Variant("torch.compile", "dynamic, mixed", run, TEXTS, "mixed"))
    return found


FAMILIES: dict[str, Callable[[Subject], list[Variant]]] = {
    "transformers": of_transformers,
    "products": of_products,
    "parts": of_parts,
    "threads": of_threads,
    "tokenizer": of_tokenizer,
    "budgets": of_budgets,
    "compiler": of_compiler,
}


def rate(run: tried.Run, tokens: Sequence[Sequence[int]]) -> float:
    start = clock()
    run(tokens)
    return len(tokens) / (clock() - start)


def measure(
    subject: Subject, families: Sequence[str], posts: dict[str, Tokens], rounds: int
) -> list[dict[str, Any]]:
    base = subject.product()
    base(posts["40 tokens"][:TEXTS])
    rows = []
    for family in families:
        for one in FAMILIES[family](subject):
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
        ("bf16, tanh GELU", tried.with_linears(body, tried.TanhInIt, "bf16")),
        ("bf16, sums of layers too", tried.Bf16Sums(body, precision="bf16")),
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
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    parser.add_argument("--one-core", action="store_true", help="one thread; its time at work")
    options = parser.parse_args()
    if options.one_core:
        clock.count_one_core()
    families = options.only.split(",")
    with tempfile.TemporaryDirectory() as made:
        folder = write_small_shape(Path(made))
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        precision = resolve_precision(options.precision)
        subject = Subject(load(folder), tokenizer, precision)
        lengths = {"40 tokens": [TOKENS] * 204, "mixed": list(MIXED) * 18}
        posts = {
            kind: tokenizer(texts(tokenizer, some))["input_ids"] for kind, some in lengths.items()
        }
        report = {
            "benchmark": "encoder variants",
            **environment.describe(PACKAGES),
            "threads": torch.get_num_threads(),
            "precision": precision,
            "seed": SEED,
            "errors": errors(),
            "variants": measure(subject, families, posts, options.rounds),
        }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
