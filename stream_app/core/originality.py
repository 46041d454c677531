"""Originality of a post: how unlike it is to what its author posted before. Pure.

A signature holds 256 signs of random projections of a text's vector (encoder, signatures). Two
signatures that differ in d signs belong to vectors at an angle of about pi d / 256 (Charikar 2002),
so their similarity is cos(pi d / 256). A post is compared with the nearest of its author's earlier
posts:

    o(s) = 1                                            for s <= DIFFERENT
    o(s) = 1 - (1 - FLOOR) (s - DIFFERENT) / (COPY - DIFFERENT)   between
    o(s) = FLOOR                                        for s >= COPY

The constants are measured, see docs/scoring.md.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

SIGNATURE_BYTES: Final = 32
SIGNS: Final = 8 * SIGNATURE_BYTES
#: similarity that different texts of one author reach
DIFFERENT: Final = 0.93
#: similarity from which a text counts as a copy
COPY: Final = 0.98
#: originality of a copy: above 0, so that its logarithm is finite
FLOOR: Final = 0.1

#: from this many others on, numpy's fixed cost is worth it
_MANY: Final = 24

#: d -> similarity; one more entry than signs, since all may differ
_SIMILARITY: Final = tuple(math.cos(math.pi * d / SIGNS) for d in range(SIGNS + 1))


def _originality(similarity: float) -> float:
    way = (similarity - DIFFERENT) / (COPY - DIFFERENT)
    return FLOOR + (1.0 - FLOOR) * (1.0 - min(max(way, 0.0), 1.0))


_ORIGINALITY: Final = tuple(_originality(s) for s in _SIMILARITY)
_ORIGINALITIES: Final = np.array(_ORIGINALITY)


def similarity_at(distance: int) -> float:
    """Estimated cosine of two vectors whose signatures differ in `distance` signs, 0..256."""
    return _SIMILARITY[distance]


def originality_at(nearest: int) -> float:
    """Originality, FLOOR..1, at Hamming distance `nearest` (0..256) to the nearest earlier post.

    -1 means that there is none to compare with: 1.
    """
    return 1.0 if nearest < 0 else _ORIGINALITY[nearest]


def nearest_distances(signature: bytes, others: Sequence[bytes]) -> list[int]:
    """Hamming distance, 0..256, of `signature` to each of `others`; none may be empty."""
    if len(others) >= _MANY:
        words = np.frombuffer(b"".join(others), dtype="<u8").reshape(len(others), -1)
        own_words = np.frombuffer(signature, dtype="<u8")
        found: list[int] = np.bitwise_count(words ^ own_words).sum(axis=1).tolist()
        return found
    own = int.from_bytes(signature, "little")
    return [(own ^ int.from_bytes(other, "little")).bit_count() for other in others]


def originality(signature: bytes, earlier: Sequence[bytes]) -> float | None:
    """Originality of a post, given the author's earlier ones; None for one without a signature."""
    if not signature:
        return None
    distances = nearest_distances(signature, [other for other in earlier if other])
    return originality_at(min(distances, default=-1))


def originalities(signatures_in_order: Sequence[bytes]) -> list[float | None]:
    """`originality` of each signature against all before it; None for the empty ones."""
    present = [i for i, signature in enumerate(signatures_in_order) if signature]
    found: list[float | None] = [None] * len(signatures_in_order)
    if not present:
        return found
    joined = b"".join(signatures_in_order[i] for i in present)
    words = np.frombuffer(joined, dtype="<u8").reshape(len(present), -1).T
    distances = np.zeros((len(present), len(present)), dtype=np.uint16)
    for word in words:  # four times a plane: three times as fast as a sum over a third axis
        distances += np.bitwise_count(word[:, None] ^ word[None])
    later = np.arange(len(present))
    distances[later[:, None] <= later] = SIGNS  # a post is not compared with itself or later ones
    values = _ORIGINALITIES[distances.min(axis=1)]
    values[0] = 1.0
    for i, value in zip(present, values.tolist(), strict=True):
        found[i] = value
    return found
