"""Every worker reads the rankings topic, so each answers for the whole system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.ranking import Board
from stream_app.engine.internal_records import RankingChunk, decode, record_key
from stream_app.engine.tail import Tail

#: Enough of the topic's end to hold one whole ranking of the largest size (40 pieces), with one
#: half written behind it and those of another app between.
_LAST = 256


class BoardReader:
    """Puts the ranking's pieces together.

    Rankings of another formula than ours are passed over: their z mean other scores.
    """

    def __init__(self, client: Mapping[str, Any], topic: str, app_id: str, formula: int) -> None:
        self._tail = Tail(client, topic, 1, last=_LAST)
        self._prefix = record_key(app_id, "")
        self._pieces: dict[int, RankingChunk] = {}
        self._formula = formula
        self.board: Board | None = None
        #: the newest ranking is one of another formula
        self.is_outdated = False

    @property
    def is_read(self) -> bool:
        """Whether the newest ranking of before this worker's start has been read."""
        return self._tail.caught_up.is_set()

    async def run(self) -> None:
        """Follow the topic, for ever. Raises what the broker answers."""
        await self._tail.follow(self.on_record)

    def on_record(self, record: Any) -> None:
        """Take one record of the topic."""
        if not record.key or not record.key.startswith(self._prefix) or not record.value:
            return
        chunk = decode(RankingChunk, record.value)
        if any(piece.sequence != chunk.sequence for piece in self._pieces.values()):
            self._pieces.clear()
        self._pieces[chunk.index] = chunk
        if len(self._pieces) == chunk.chunks:
            self._assemble()

    def _assemble(self) -> None:
        pieces = [self._pieces[index] for index in sorted(self._pieces)]
        first = pieces[0]
        if first.line is None:
            return
        self.is_outdated = first.line.formula != self._formula
        if self.is_outdated:
            return
        if self.board is not None and first.line.version < self.board.line.version:
            return
        self.board = Board(
            line=first.line,
            members=tuple(first.members),
            items=tuple(item for piece in pieces for item in piece.items),
            sketch=QuantileSketch.deserialize(first.sketch),
        )
