"""Rows as objects: decoded once, kept while they are in use, never ahead of what was written.

Folding changes a row in place before it is written; a batch whose write fails ends the process,
so what is kept here is either written or about to be.
"""

from __future__ import annotations

from collections import OrderedDict

from stream_app.core.row import UserRow, decode_row
from stream_app.engine.user_table import UserTable

#: Rows kept; a row of an average user takes 2 to 4 kB as objects, one with a full memory ten
#: times that.
MOST_ROWS = 20_000


class RowCache:
    """The most recently used rows, in front of the table."""

    def __init__(self, table: UserTable, most: int = MOST_ROWS) -> None:
        self._table = table
        self._most = most
        self._rows: OrderedDict[tuple[int, bytes], UserRow] = OrderedDict()

    def get(self, partition: int, key: bytes) -> UserRow | None:
        """The row, from memory or the table; None for an unknown user."""
        place = (partition, key)
        row = self._rows.get(place)
        if row is not None:
            self._rows.move_to_end(place)
            return row
        data = self._table.read(partition, key)
        if data is None:
            return None
        row = decode_row(data)
        self.put(partition, key, row)
        return row

    def put(self, partition: int, key: bytes, row: UserRow) -> None:
        """Keep a row that a batch is about to write."""
        self._rows[(partition, key)] = row
        if len(self._rows) > self._most:
            self._rows.popitem(last=False)

    def forget(self, partition: int) -> None:
        """Drop a partition's rows: another worker may have written them since."""
        for place in [place for place in self._rows if place[0] == partition]:
            del self._rows[place]
