"""Where the encoder computes, and in which precision. Imports torch: load only when needed."""

from typing import Final, Literal

import torch

from stream_app.errors import SettingsError

#: tokens of one pass: on a processor few, so that its threads end together and little lies between
#: two products, yet nearly as quick as any number; elsewhere enough to keep it busy
_BUDGET: Final = {"cpu": 512, "cuda": 32_768, "mps": 8_192}


def resolve_device(asked: Literal["auto", "cpu", "cuda", "mps"]) -> Literal["cpu", "cuda", "mps"]:
    """`auto` is CUDA where it is to be had, else MPS, else the processor.

    Raises:
        SettingsError: what was asked for by name is not there.
    """
    if asked == "cpu":
        return "cpu"
    if asked != "mps" and torch.cuda.is_available():
        return "cuda"
    if asked != "cuda" and torch.backends.mps.is_available():
        return "mps"
    if asked == "auto":
        return "cpu"
    need = (
        "an NVIDIA driver and a torch built for CUDA"
        if asked == "cuda"
        else "a Mac with Apple silicon"
    )
    raise SettingsError(
        f"KOL_DEVICE: torch finds no {asked} here; it takes {need}; set KOL_DEVICE=auto or cpu"
    )


def resolve_precision(
    asked: Literal["auto", "fp32", "bf16"], device: str = "cpu"
) -> Literal["fp32", "bf16"]:
    """`auto` is bf16 where the device multiplies it in hardware, fp32 elsewhere."""
    if asked != "auto":
        return asked
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    found = torch.cpu.get_capabilities() if device == "cpu" else {}
    return "bf16" if found.get("avx512_bf16") or found.get("amx_bf16") else "fp32"


def token_budget(asked: int, device: str) -> int:
    """Tokens of one pass; 0 leaves it to the device."""
    return asked or _BUDGET[device]
