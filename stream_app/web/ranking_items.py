"""The items of the newest board, each made once however often it is asked for."""

from stream_app.core.ranking import Board
from stream_app.core.scheme import Scheme
from stream_app.web import views
from stream_app.web.answers import RankedUser


class RankingItems:
    """Keeps what was made for one board until another one comes."""

    def __init__(self) -> None:
        self._board: Board | None = None
        self._made: dict[int, RankedUser] = {}

    def page(self, board: Board, scheme: Scheme, offset: int, limit: int) -> list[RankedUser]:
        """Items `offset` to `offset + limit`, as far as there are any; none before an event."""
        as_of = board.high_mark
        if as_of is None:
            return []
        if board is not self._board:
            self._board, self._made = board, {}
        indices = range(min(offset, len(board.items)), min(offset + limit, len(board.items)))
        for index in indices:
            if index not in self._made:
                self._made[index] = views.ranked_user(board, index, as_of, scheme)
        return [self._made[index] for index in indices]
