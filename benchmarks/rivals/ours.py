"""The product's encoder among the contenders: as it ships, and in fp32."""

from collections.abc import Callable
from typing import Any

from benchmarks.rivals.programs.turns import serve
from stream_app.encoder import create_encoder
from stream_app.settings import load_settings


def create(folder: str, precision: str) -> Callable[[list[str]], Any]:
    """Without the cache of texts: each is encoded in every turn."""
    settings = load_settings(encoder=folder, text_cache=0, device="cpu", precision=precision)
    return create_encoder(settings).encode


if __name__ == "__main__":
    serve(create)
