"""What a worker keeps in memory for a partition it owns."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np

from stream_app.core.columns import Columns
from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.row import UserRow, decode_row
from stream_app.core.row_headers import decode_headers
from stream_app.core.scheme import Scheme
from stream_app.core.standing import Standing, z_of
from stream_app.engine.internal_records import PartitionMeta, Snapshot

#: Rows whose bytes are in memory at a time while all are read.
_LOADED_AT_ONCE = 16_384


class Partition:
    """Columns, sketch and reserved row of one partition; derived state is rebuilt from the rows."""

    def __init__(self, number: int, meta: PartitionMeta, scheme: Scheme) -> None:
        self.number = number
        self.meta = meta
        self.columns = Columns()
        #: offset of the changelog that this state reflects
        self.changelog_offset: int | None = None
        #: standings of users near the top, dropped when their row changes
        self.standings: dict[bytes, Standing] = {}
        self.changed = True
        #: source topics with unread records, as last published
        self.unread: list[str] = []
        #: the reserved row of this assignment has been written, unsent events sent
        self.announced = False
        #: reserved rows in the table that name users whose events may be unsent
        self.unsent_pieces = 0
        self._scheme = scheme

    def edge(self) -> int | None:
        """Users whose newest post is older than this (ms) are inactive; None: nobody is."""
        line = self.meta.line
        if line is None or line.expiry_mark is None or self._scheme.active_window_ms is None:
            return None
        return line.expiry_mark - self._scheme.active_window_ms

    def is_eligible(self, posts: int, newest_post_at: int) -> bool:
        """Whether a user with these posts belongs to the population now."""
        if posts < self._scheme.min_posts or posts == 0:
            return False
        edge = self.edge()
        return edge is None or newest_post_at >= edge

    def update(
        self, key: bytes, row: UserRow, z: float | None, level: int, *, version: int = 0
    ) -> None:
        """Let columns and sketch follow a row that was written; z is None for one without posts."""
        self.standings.pop(key, None)
        self.changed = True
        if z is None:
            self.columns.update(key, float("-inf"), 0, False, level, version)
            return
        newest = row.newest_post_at
        self.columns.update(key, z, newest, self.is_eligible(row.posts, newest), level, version)

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Build columns and sketch from the rows. Raises ValueError for an unknown format."""
        remaining = iter(rows)
        while pairs := list(islice(remaining, _LOADED_AT_ONCE)):
            self._load([key for key, _ in pairs], [data for _, data in pairs])

    def _load(self, keys: list[bytes], rows: list[bytes]) -> None:
        """Rows of further users, as `update` would take them one by one."""
        scheme, headers = self._scheme, decode_headers(rows)
        z = headers.z.copy()
        for index in ((headers.formula != scheme.formula) & (headers.posts > 0)).nonzero()[0]:
            found = z_of(decode_row(rows[index]), scheme)
            if found is not None:
                z[index] = found
        level = np.zeros(len(rows), np.int8)
        for index, tier in headers.tiers.items():
            level[index] = scheme.level_of(tier)
        eligible = headers.posts >= max(1, scheme.min_posts)
        edge = self.edge()
        if edge is not None:
            eligible &= headers.newest_post_at >= edge
        newest, version = headers.newest_post_at, headers.transition_version
        self.columns.extend(keys, z, newest, eligible, level, version)

    @property
    def sketch(self) -> QuantileSketch:
        """The distribution of z over the partition's eligible users."""
        return self.columns.sketch

    def high_mark(self) -> int | None:
        """Greatest event time of any valid event of this partition (ms)."""
        marks = self.meta.high_marks
        return max(marks.values()) if marks else None

    def snapshot(self, unread: list[str], top: list[Standing], topics: Iterable[str]) -> Snapshot:
        """The partition as the leader sees it."""
        line = self.meta.line
        return Snapshot(
            partition=self.number,
            epoch=self.meta.epoch,
            cut={topic: self.meta.offsets.get(topic, -1) + 1 for topic in topics},
            high_marks=dict(self.meta.high_marks),
            unread=unread,
            expiry_mark=line.expiry_mark if line is not None else None,
            sketch=self.sketch.serialize(),
            members=self.columns.tier_counts(len(self._scheme.tiers)),
            top=top,
            users=len(self.columns.keys),
            formula=self._scheme.formula,
        )
