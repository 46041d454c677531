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

    The vectors of a language model lie in a narrow cone, so that any two look alike, most of all
    two of one language. The signature is therefore taken from a vector with the mean of reference
    vectors at 0, their deviation per dimension at 1, and their shared directions damped:
    (C + I)^(-1/2) with C the covariance left by the first two. That is a smooth function of the
    reference vectors, so that rounding in them moves few signs.
    """

    def __init__(self, reference: Vectors) -> None:
        """`reference`: pooled vectors of the reference texts, (texts, dimensions)."""
        texts, dimensions = reference.shape
        deviation = np.maximum(reference.std(axis=0, dtype=np.float64), 1e-6)
        self._mean = reference.mean(axis=0)
        standard = (reference - self._mean) / deviation
        strengths, directions = np.linalg.eigh(standard.T @ standard / texts)
        damped = (directions * (np.maximum(strengths, 0.0) + 1.0) ** -0.5) @ directions.T
        planes = damped @ _signs("signature", dimensions, SIGNS) / deviation[:, None]
        self._planes = planes.astype(np.float32)
        scale = np.float32(EMBEDDING_DIMENSIONS**-0.5)  # keeps lengths: Johnson-Lindenstrauss
        self._small = _signs("embedding", dimensions, EMBEDDING_DIMENSIONS) * scale

    def embeddings(self, pooled: Vectors) -> npt.NDArray[np.float16]:
        """(texts, dimensions) -> (texts, EMBEDDING_DIMENSIONS), little-endian halves."""
        return np.clip(pooled @ self._small, -65_504.0, 65_504.0).astype("<f2")

    def signatures(self, pooled: Vectors) -> npt.NDArray[np.uint8]:
        """(texts, dimensions) -> (texts, SIGNS / 8) packed signs."""
        return np.packbits((pooled - self._mean) @ self._planes > 0.0, axis=1)
