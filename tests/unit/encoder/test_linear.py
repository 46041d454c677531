from typing import Any

import pytest
import torch
import torch.nn.functional as F

from stream_app.encoder import linear
from stream_app.encoder.linear import (
    Bf16Linear,
    Fp32Linear,
    Room,
    SigmoidGelu,
    erf_gelu,
    linear_for,
    tanh_gelu,
)

CPU = torch.device("cpu")


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_gelu_by_one_exponential_is_the_same_function_everywhere() -> None:
    edge = torch.tensor([0.0, -0.0, 1e-30, -1e30, 1e30, 3.4e38, -3.4e38, float("inf")])
    rows = torch.cat([edge, torch.linspace(-12, 12, 300_000)])  # more than is treated at once
    expected = F.gelu(rows, approximate="tanh")
    assert torch.allclose(SigmoidGelu()(rows.clone()), expected, rtol=1e-5, atol=1e-6)


def test_gelu_by_the_error_function_stays_within_what_is_said_of_it() -> None:
    rows = torch.linspace(-12, 12, 30_001)
    assert torch.allclose(erf_gelu(rows), F.gelu(rows, approximate="tanh"), rtol=0, atol=5e-4)


@pytest.mark.parametrize(("kind", "apart"), [("fp32", 1e-5), ("bf16", 0.05)])
def test_products_activations_and_sums_are_those_of_the_matrix(kind: str, apart: float) -> None:
    rows, weight, bias = numbers(5, 8), numbers(8, 12, seed=1), numbers(12, seed=2)
    made = linear_for(CPU, kind, "gelu_new")(weight, bias, tanh_gelu)
    given = rows if kind == "fp32" else rows.bfloat16()
    expected = rows @ weight + bias
    assert torch.allclose(made(given).float(), expected, rtol=apart, atol=apart)
    activated = F.gelu(expected, approximate="tanh")
    assert torch.allclose(made.activated(given).float(), activated, rtol=apart, atol=apart)
    residual = numbers(5, 12, seed=3)
    total = residual + expected
    made.add_to(residual, given)
    assert torch.allclose(residual, total, rtol=apart, atol=apart)


def test_what_two_products_share_is_not_mixed_up_between_shapes() -> None:
    room = Room()
    wide = Fp32Linear(numbers(4, 9), numbers(9), tanh_gelu, room)
    narrow = Fp32Linear(numbers(4, 3, seed=1), numbers(3), tanh_gelu, room)
    for tokens in (2, 7, 1):
        rows = numbers(tokens, 4, seed=tokens)
        for one in (wide, narrow):
            assert torch.equal(one(rows), torch.addmm(one._bias, rows, one._weight))


class Wrong(Bf16Linear):
    """As if another version of torch meant something else by the same inner function."""

    def activated(self, rows: torch.Tensor) -> torch.Tensor:
        return self(rows)


def test_a_quick_kind_that_differs_from_the_plain_one_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(linear, "PrepackedLinear", Wrong)
    supported: Any = torch.ops.mkldnn
    monkeypatch.setattr(supported, "_is_mkldnn_bf16_supported", lambda: True)
    assert linear_for(CPU, "bf16", "gelu_new") is Bf16Linear
    assert "Wrong differs" in caplog.text


def test_a_quick_kind_that_agrees_is_taken_but_not_for_another_activation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Quick(Bf16Linear):
        pass

    monkeypatch.setattr(linear, "PrepackedLinear", Quick)
    supported: Any = torch.ops.mkldnn
    monkeypatch.setattr(supported, "_is_mkldnn_bf16_supported", lambda: True)
    assert linear_for(CPU, "bf16", "gelu_new") is Quick
    assert linear_for(CPU, "bf16", "relu") is Bf16Linear


@pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="oneDNN has no bf16 on this processor"
)
def test_prepacked_weights_give_what_plain_ones_give() -> None:
    assert linear_for(CPU, "bf16", "gelu_new") is linear.PrepackedLinear
