import pytest
import torch

from stream_app.encoder import create_encoder
from stream_app.encoder.device import resolve_device, resolve_precision, token_budget
from stream_app.errors import SettingsError
from stream_app.settings import load_settings


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    there = {"cuda": False, "mps": False}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there["cuda"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there["mps"])
    return there


def test_auto_takes_cuda_then_mps_then_the_processor(found: dict[str, bool]) -> None:
    assert resolve_device("auto") == "cpu"
    found["mps"] = True
    assert resolve_device("auto") == "mps"
    found["cuda"] = True
    assert resolve_device("auto") == "cuda"


def test_a_device_asked_for_by_name_is_taken_whatever_else_there_is(
    found: dict[str, bool],
) -> None:
    found.update(cuda=True, mps=True)
    assert [resolve_device("cpu"), resolve_device("mps"), resolve_device("cuda")] == [
        "cpu", "mps", "cuda",
    ]  # fmt: skip


@pytest.mark.parametrize("asked", ["cuda", "mps"])
def test_a_device_that_is_missing_is_one_line_that_says_what_to_set(
    asked: str, found: dict[str, bool]
) -> None:
    found["mps" if asked == "cuda" else "cuda"] = True
    with pytest.raises(SettingsError) as refused:
        create_encoder(load_settings(encoder="bundled", device=asked))
    assert str(refused.value).startswith(f"KOL_DEVICE: torch finds no {asked} here")
    assert "set KOL_DEVICE=auto or cpu" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_precision_asked_for_is_the_one_used() -> None:
    assert resolve_precision("fp32") == "fp32"
    assert resolve_precision("bf16") == "bf16"
    assert resolve_precision("fp32", "cuda") == "fp32"


@pytest.mark.parametrize("has", [True, False])
def test_auto_is_bf16_where_the_hardware_multiplies_it(
    has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = "bf16" if has else "fp32"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has})
    assert resolve_precision("auto", "cpu") == expected
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": has})
    assert resolve_precision("auto", "cpu") == expected
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has)
    assert resolve_precision("auto", "cuda") == expected
    assert resolve_precision("auto", "mps") == "fp32"


def test_a_pass_is_as_long_as_asked_for_or_as_suits_the_device() -> None:
    assert token_budget(77, "cuda") == 77
    assert token_budget(0, "cpu") < token_budget(0, "mps") < token_budget(0, "cuda")
