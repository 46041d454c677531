"""What one batch works on."""

from __future__ import annotations

from dataclasses import dataclass, field

from stream_app.core.blending import Blending
from stream_app.core.row import UserRow
from stream_app.engine.partition import Partition
from stream_app.messages import Cause, KolEvent


@dataclass(slots=True)
class Touched:
    """A row that a batch works on."""

    partition: Partition
    key: bytes
    row: UserRow
    #: the last event that had an effect; None while the batch only repeated known ones
    cause: Cause | None = None
    #: by `standing.z_of`; None without posts
    z: float | None = None
    level: int = 0


@dataclass(slots=True)
class Batch:
    """What one batch reads, writes and sends."""

    touched: dict[tuple[int, bytes], Touched] = field(default_factory=dict)
    partitions: dict[int, Partition] = field(default_factory=dict)
    #: by partition, each with its bytes as the row keeps them
    events: dict[int, list[tuple[KolEvent, bytes]]] = field(default_factory=dict)
    #: greatest event time when the batch began to decide (ms)
    high_mark: int | None = None
    blending: Blending = field(default_factory=Blending)

    def add_event(self, partition: int, event: KolEvent, kept: bytes) -> None:
        """To be sent once the rows are safe."""
        self.events.setdefault(partition, []).append((event, kept))
