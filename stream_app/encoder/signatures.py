"""From pooled vectors to what a row keeps: a small projection and a signature of signs."""

from hashlib import shake_256
from typing import Final

import numpy as np
import numpy.typing as npt

from stream_app.messages import EMBEDDING_DIMENSIONS

Vectors = npt.NDArray[np.float32]

SIGNS: Final = 256
#: raised whenever the same vector would give another embedding or signature
VERSION: Final = 1


def _signs(purpose: str, rows: int, columns: int) -> Vectors:
    """A fixed matrix of -1 and 1, the same on every machine and with every version of numpy."""
    seed = f"kol-stream {purpose} {rows} {columns}".encode()
    data = np.frombuffer(shake_256(seed).digest(-(-rows * columns // 8)), dtype=np.uint8)
    bits = np.unpackbits(data, count=rows * columns).reshape(rows, columns)
    return bits.astype(np.float32) * 2.0 - 1.0


class Projection:
    """Random projections of pooled vectors of one encoder.

    The vectors of a language model lie in a narrow cone, so that any two look alike. The signature
    is therefore taken from the vector standardised per dimension, with mean and deviation of
    reference vectors that are fixed for the encoder.
    """

    def __init__(self, reference: Vectors) -> None:
        """`reference`: pooled vectors of the reference texts, (texts, dimensions)."""
        dimensions = reference.shape[1]
        self._mean = reference.mean(axis=0)
        self._deviation = np.maximum(reference.std(axis=0), 1e-6)
        scale = np.float32(EMBEDDING_DIMENSIONS**-0.5)  # keeps lengths: Johnson-Lindenstrauss
        self._small = _signs("embedding", dimensions, EMBEDDING_DIMENSIONS) * scale
        self._planes = _signs("signature", dimensions, SIGNS)

    def embeddings(self, pooled: Vectors) -> npt.NDArray[np.float16]:
        """(texts, dimensions) -> (texts, EMBEDDING_DIMENSIONS), little-endian halves."""
        return np.clip(pooled @ self._small, -65_504.0, 65_504.0).astype("<f2")

    def signatures(self, pooled: Vectors) -> npt.NDArray[np.uint8]:
        """(texts, dimensions) -> (texts, SIGNS / 8) packed signs."""
        standard = (pooled - self._mean) / self._deviation
        return np.packbits(standard @ self._planes > 0.0, axis=1)
