"""The decayed mean of a user's embeddings, moved for many users at once.

A row keeps it in half precision. To move one costs numpy's fixed price seven times over; a batch of
events pays that once for all its users. What comes out is the same, bit for bit: each number is
`old * share + new * share` in single precision, rounded to half, whoever else is in the batch.
"""

from __future__ import annotations

import numpy as np

from stream_app.core.decay import decay_factor
from stream_app.core.row import UserRow
from stream_app.messages import EMBEDDING_DIMENSIONS, TextFeatures

#: Half precision, as rows and features carry embeddings.
_HALF = np.dtype("<f2")
_BYTES = EMBEDDING_DIMENSIONS * _HALF.itemsize


class _Round:
    """At most one move of each row."""

    __slots__ = ("embeddings", "new", "old", "rows")

    def __init__(self) -> None:
        self.rows: list[UserRow] = []
        self.embeddings: list[bytes] = []
        self.old: list[float] = []
        self.new: list[float] = []

    def move(self) -> None:
        """Write what the rows' embeddings have become."""
        before = _matrix([row.embedding for row in self.rows])
        before *= np.array(self.old, np.float32)[:, None]
        added = _matrix(self.embeddings)
        added *= np.array(self.new, np.float32)[:, None]
        before += added
        data = before.astype(_HALF).tobytes()
        for index, row in enumerate(self.rows):
            row.embedding = data[index * _BYTES : (index + 1) * _BYTES]


class Blending:
    """Moves of embeddings that are still to be made; until `settle` rows have the old ones."""

    def __init__(self) -> None:
        self._rounds: list[_Round] = []
        #: by the identity of a row, how many moves of it there are
        self._moves: dict[int, int] = {}

    def add(self, row: UserRow, at: int, features: TextFeatures, half_life_ms: float) -> None:
        """Move a row's mean towards the embedding of a post of that time (ms)."""
        if not features.embedding:
            return
        newest = max(row.embedding_at, at)
        old = row.embedding_weight
        if old:
            old *= decay_factor(row.embedding_at, newest, half_life_ms)
        weight = decay_factor(at, newest, half_life_ms)
        total = old + weight
        if row.embedding and old:
            self._move(row, old / total, weight / total, features.embedding)
        else:
            if id(row) in self._moves:
                self.settle()  # or a move that is still to be made would come after this
            row.embedding = features.embedding
        row.embedding_weight = total
        row.embedding_at = newest

    def _move(self, row: UserRow, old: float, new: float, embedding: bytes) -> None:
        number = self._moves.get(id(row), 0)
        self._moves[id(row)] = number + 1
        if number == len(self._rounds):
            self._rounds.append(_Round())
        there = self._rounds[number]
        there.rows.append(row)
        there.embeddings.append(embedding)
        there.old.append(old)
        there.new.append(new)

    def settle(self) -> None:
        """Make all moves, in the order of each row."""
        for there in self._rounds:
            there.move()
        self._rounds.clear()
        self._moves.clear()


def _matrix(embeddings: list[bytes]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(rows, EMBEDDING_DIMENSIONS) in single precision."""
    joined = np.frombuffer(b"".join(embeddings), dtype=_HALF)
    return joined.astype(np.float32).reshape(len(embeddings), EMBEDDING_DIMENSIONS)
