"""A worker whose encoder costs nothing: what is left is the engine. Settings come from KOL_*."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from hashlib import blake2b

from stream_app.app import run_worker
from stream_app.messages import EMBEDDING_DIMENSIONS, TextFeatures
from stream_app.settings import load_settings


class NullEncoder:
    """Features by hashing: of the right sizes, different for different texts."""

    identity = "null"

    def encode(self, texts: Sequence[str]) -> list[TextFeatures]:
        """One blake2b a text."""
        embedding = bytes(2 * EMBEDDING_DIMENSIONS)
        return [
            TextFeatures(
                embedding=embedding,
                embedding_norm=1.0,
                signature=blake2b(text.encode(), digest_size=32).digest(),
                logits_norm=None,
            )
            for text in texts
        ]


if __name__ == "__main__":
    sys.exit(run_worker(load_settings(), encoder=NullEncoder()))
