"""What the encoder found in one text; travels from the encoder to the fold."""

from typing import Final

import msgspec

EMBEDDING_DIMENSIONS: Final = 64


class TextFeatures(msgspec.Struct, frozen=True):
    """Features of one text; a function of the text and the encoder's identity alone."""

    embedding: bytes  # EMBEDDING_DIMENSIONS float16, little-endian: the projected embedding
    embedding_norm: float  # L2 norm of the pooled embedding before projection, >= 0
    signature: bytes  # 32 bytes = 256 signs; b"" for texts of a token or less
    logits_norm: float | None  # Frobenius norm of the logits; None unless asked for
