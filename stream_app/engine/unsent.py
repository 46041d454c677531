"""Who may not have been told yet: users named in reserved rows, ahead of their own.

A batch names the users whose KOL events it will send once their rows are safe. Whoever takes the
partition over after a crash sends the events of those users again before anything can move them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stream_app.engine.partition import Partition
from stream_app.engine.user_table import UserTable, Write, unsent_key

#: Users named in one reserved row: far below the largest record, whatever their keys.
_NAMES = 250


def unsent_writes(partition: Partition, keys: Sequence[bytes]) -> list[Write]:
    """The rows that name these users of the partition.

    Events of the batch before are confirmed by now, so their names may go: pieces that are not
    needed any more are emptied, not deleted.
    """
    number = partition.number
    pieces = [keys[i : i + _NAMES] for i in range(0, len(keys), _NAMES)]
    empty: list[list[bytes]] = [[]] * (partition.unsent_pieces - len(pieces))
    partition.unsent_pieces = len(pieces)
    return [
        Write(number, unsent_key(number, piece), msgspec.msgpack.encode(names))
        for piece, names in enumerate([*pieces, *empty])
    ]


def read_unsent(table: UserTable, partition: Partition) -> list[bytes]:
    """The users named, piece by piece up to the first empty one."""
    keys: list[bytes] = []
    while True:
        data = table.read(partition.number, unsent_key(partition.number, partition.unsent_pieces))
        piece = msgspec.msgpack.decode(data, type=list[bytes]) if data else []
        if not piece:
            return keys
        keys += piece
        partition.unsent_pieces += 1
