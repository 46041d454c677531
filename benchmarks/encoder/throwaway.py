"""Ways to run a GPT-2 that were tried and are not in the product, each a function of tokens."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from torch.ao.nn.quantized import dynamic
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from stream_app.encoder import body as product
from stream_app.encoder.body import PackedBody
from stream_app.encoder.lanes import Lanes
from stream_app.encoder.linear import (
    Activation,
    Bf16Linear,
    Fp32Linear,
    Linear,
    PrepackedLinear,
    Room,
    tanh_gelu,
)
from stream_app.encoder.packing import Packed, pack, passes

Tokens = Sequence[Sequence[int]]
Run = Callable[[Tokens], object]
BUDGET = 2_048


def packed(body: Any, budget: int = BUDGET, *, lanes: Lanes | None = None) -> Run:
    """As the product: passes of texts end to end, side by side where there are lanes."""
    lanes = lanes or Lanes(1)

    def run(tokens: Tokens) -> list[torch.Tensor]:
        lengths = [len(ids) for ids in tokens]
        some = [[tokens[i] for i in rows] for rows in passes(lengths, budget, lanes.count)]
        return lanes.map(lambda one: as_tensor(body(pack(one))), some)

    return run


def one_by_one(model: Any, guard: Callable[[], AbstractContextManager[Any]]) -> Run:
    def run(tokens: Tokens) -> None:
        with guard():
            for ids in tokens:
                model(torch.tensor([ids]), use_cache=False)

    return run


def padded(model: Any, *, by_length: bool, budget: int = BUDGET) -> Run:
    """Rows filled up to the longest of their batch; `budget` counts the filling."""

    def run(tokens: Tokens) -> None:
        order = sorted(range(len(tokens)), key=lambda i: -len(tokens[i]))
        rest = order if by_length else list(range(len(tokens)))
        while rest:
            longest = max(len(tokens[i]) for i in rest)
            rows, rest = rest[: max(1, budget // longest)], rest[max(1, budget // longest) :]
            filled = np.zeros((len(rows), max(len(tokens[i]) for i in rows)), dtype=np.int64)
            for row, i in zip(filled, rows, strict=True):
                row[: len(tokens[i])] = tokens[i]
            with torch.inference_mode():
                model(torch.from_numpy(filled), use_cache=False)

    return run


def block_diagonal(model: Any, row: int) -> Run:
    """Texts end to end in rows of `row` tokens, a mask keeping them apart."""

    def run(tokens: Tokens) -> None:
        for rows in passes([len(ids) for ids in tokens], row):
            texts = pack([tokens[i] for i in rows])
            number = torch.repeat_interleave(
                torch.arange(len(rows)), torch.diff(texts.starts.to(torch.int64))
            )
            same = (number[:, None] == number[None, :]).tril()[None, None]
            with torch.inference_mode():
                model(
                    texts.ids[None],
                    attention_mask=same,
                    position_ids=texts.positions[None],
                    use_cache=False,
                )

    return run


def transformers_by_length(model: Any, budget: int = BUDGET) -> Run:
    """transformers' model over one row of texts end to end, our attention registered with it."""
    current: list[Packed] = []

    def attention(
        _module: Any, query: Any, key: Any, value: Any, _mask: Any, scaling: float, **_: Any
    ) -> tuple[torch.Tensor, None]:
        parts = []
        start = 0
        for count, length in current[0].groups:
            end = start + count * length
            q, k, v = (
                x[0, :, start:end].unflatten(1, (count, length)).transpose(0, 1)
                for x in (query, key, value)
            )
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling)
            parts.append(mixed.transpose(1, 2).flatten(0, 1))
            start = end
        return torch.cat(parts)[None], None

    def run(tokens: Tokens) -> None:
        ALL_ATTENTION_FUNCTIONS.register("kol_by_length", attention)
        model.set_attn_implementation("kol_by_length")
        for rows in passes([len(ids) for ids in tokens], budget):
            current[:] = [pack([tokens[i] for i in rows])]
            with torch.inference_mode():
                texts = current[0]
                model(texts.ids[None], position_ids=texts.positions[None], use_cache=False)
        model.set_attn_implementation("sdpa")

    return run


def with_linears(
    model: Any, make: Callable[..., Linear], precision: str = "fp32", **changes: Any
) -> PackedBody:
    """The product's forward pass with other matrix products, and other parts of its module."""
    return with_parts(model, precision, linear_for=lambda *_: make, **changes)


def with_parts(model: Any, precision: str, **changes: Any) -> PackedBody:
    """The product's forward pass with other parts of its module."""
    with patch.multiple(product, **changes):
        return PackedBody(model, precision=precision)


def as_tensor(found: Any) -> torch.Tensor:
    assert isinstance(found, torch.Tensor)
    return found


class Prepacked:
    """oneDNN or MKL, weights laid out beforehand; GELU apart or in oneDNN's product."""

    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor, activation: Activation, *, kind: str
    ) -> None:
        outward = weight.t().contiguous()
        dnn: Any = torch.ops.mkldnn
        mkl: Any = torch.ops.mkl
        self._bias, self._outward, self._kind = bias, outward, kind
        self._activation = activation
        reorder = mkl._mkl_reorder_linear_weight if kind == "mkl" else None  # noqa: SLF001
        self._laid = (
            reorder(outward, BUDGET) if reorder else dnn._reorder_linear_weight(outward)  # noqa: SLF001
        )

    def _product(self, rows: torch.Tensor, then: str = "none", how: Any = None) -> torch.Tensor:
        if self._kind == "mkl":
            multiply: Any = torch.ops.mkl._mkl_linear  # noqa: SLF001
            return as_tensor(multiply(rows, self._laid, self._outward, self._bias, len(rows)))
        multiply = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001
        return as_tensor(multiply(rows, self._laid, self._bias, then, [], how))

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        return self._product(rows)

    def activated(self, rows: torch.Tensor) -> torch.Tensor:
        if self._kind == "oneDNN, GELU in it":
            return self._product(rows, "gelu", "tanh")
        return self._activation(self._product(rows))

    def add_to(self, residual: torch.Tensor, rows: torch.Tensor) -> None:
        residual.add_(self._product(rows))


class Outward(Bf16Linear):
    """F.linear with the weight turned to (out, in), in the precision that it has."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, activation: Activation) -> None:
        self._weight, self._bias = weight.t().contiguous(), bias
        self._activation = activation


class GeluApart(PrepackedLinear):
    """oneDNN in bf16, the activation after it."""

    def activated(self, rows: torch.Tensor) -> torch.Tensor:
        return self._activation(self(rows))


class TanhInIt(PrepackedLinear):
    """oneDNN in bf16, GELU in it as GPT-2 has it."""

    def activated(self, rows: torch.Tensor) -> torch.Tensor:
        return self._pointwise(rows, "gelu", "tanh")


class Bf16Sums(PackedBody):
    """What layers add up is kept in bf16, and normed so."""

    @torch.inference_mode()
    def __call__(self, texts: Packed) -> torch.Tensor:
        rows = F.embedding(texts.ids, self._words).add_(F.embedding(texts.positions, self._places))
        rows = rows.bfloat16()
        for block in self._blocks:
            qkv = block.attention_in(block.attention_norm(rows))
            qkv = qkv.view(len(rows), 3, self._heads, -1)
            block.attention_out.add_to(rows, self._attention(qkv, texts, block.attention_scale))
            block.mlp_out.add_to(rows, block.mlp_in.activated(block.mlp_norm(rows)))
        return self._last(rows.float())


class Int8(Outward):
    """torch's dynamic quantisation: weights int8, rows quantised as they come."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, activation: Activation) -> None:
        super().__init__(weight, bias, activation)
        plain: Any = torch.nn.Linear(*weight.shape)
        plain.weight, plain.bias = torch.nn.Parameter(self._weight), torch.nn.Parameter(bias)
        plain.qconfig = torch.ao.quantization.default_dynamic_qconfig
        quantised: Any = dynamic.Linear
        with warnings.catch_warnings():  # torch says that it will drop it
            warnings.simplefilter("ignore")
            self._quantised = quantised.from_float(plain)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        return as_tensor(self._quantised(rows))


class FreshRoom(Room):
    """New memory for every product."""

    def __call__(self, rows: torch.Tensor, columns: int) -> torch.Tensor:
        return rows.new_empty(len(rows), columns)


def eager_attention(qkv: torch.Tensor, texts: Packed, scale: float) -> torch.Tensor:
    """Scores written out, masked, softmax: no fused kernel."""
    parts = []
    for group in texts.split(qkv):
        query, key, value = group.permute(2, 0, 3, 1, 4).unbind(0)
        with sdpa_kernel(SDPBackend.MATH):
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)
        parts.append(mixed.transpose(1, 2).reshape(-1, qkv.shape[2] * qkv.shape[3]))
    return torch.cat(parts)


def torch_gelu() -> Activation:
    return tanh_gelu


def eight_passes() -> Activation:
    """As transformers' `gelu_new`."""
    from transformers.activations import NewGELUActivation

    return NewGELUActivation()


def left_to_a_compiler(model: Any) -> PackedBody:
    """In fp32, memory and activation as a compiler can plan and fuse them."""
    make = partial(Fp32Linear, room=FreshRoom())
    with patch.multiple(product, linear_for=lambda *_: make, SigmoidGelu=torch_gelu):
        return PackedBody(model, device=str(model.wte.weight.device))
