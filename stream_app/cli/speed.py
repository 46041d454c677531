"""`--speed`: `max`, `real` or `60x`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

_TIMES = re.compile(r"(\d+(?:\.\d+)?)x?", re.ASCII)


class Speed(click.ParamType):
    """How fast event time passes: None as fast as it goes, 1.0 as it did, 60.0 for `60x`."""

    name = "speed"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        text = str(value).strip().lower()
        if text == "max":
            return None
        match = _TIMES.fullmatch("1x" if text == "real" else text)
        factor = float(match[1]) if match else 0.0
        if not 0 < factor < math.inf:
            self.fail(f"{value!r} is none of max, real, or a multiple like 60x", param, ctx)
        return factor


SPEED = Speed()

F = TypeVar("F", bound=Callable[..., Any])


def speed_option(example: str) -> Callable[[F], F]:
    """`--speed`, with a multiple that makes sense for the command as the example."""
    return click.option(
        "--speed",
        type=SPEED,
        default="max",
        show_default=True,
        help=f"max, real, or a multiple of real time like {example}",
    )
