"""Stand-ins for what is slow or left to chance."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from stream_app.core.originality import SIGNATURE_BYTES
from stream_app.messages import TextFeatures
from stream_app.messages.features import EMBEDDING_DIMENSIONS


class FakeEncoder:
    """Features by hash: the same for the same text, as unlike as chance makes them for others.

    Two texts' signatures differ in about 128 of 256 signs, so they count as different; a text of
    one character or none has no signature, as with the real encoders.
    """

    identity = "fake-1"

    def __init__(self) -> None:
        self.encoded = 0

    def encode(self, texts: Sequence[str]) -> list[TextFeatures]:
        self.encoded += len(texts)
        return [_features(text) for text in texts]


def _features(text: str) -> TextFeatures:
    digest = hashlib.blake2b(text.encode(), digest_size=SIGNATURE_BYTES).digest()
    return TextFeatures(
        # Each byte pair with the exponent of a number near 1: finite in half precision.
        embedding=bytes(
            part
            for i in range(EMBEDDING_DIMENSIONS)
            for part in (digest[i % SIGNATURE_BYTES], 0x38)
        ),
        embedding_norm=float(1 + len(text)),
        signature=digest if len(text) > 1 else b"",
        logits_norm=float(len(text)),
    )
