"""What the web asks of the engine (`web.queries.Queries`)."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

from faust.types import TP

from stream_app.core.ranking import Board, position_key
from stream_app.core.row import UserRow, decode_row
from stream_app.core.scheme import Scheme
from stream_app.core.standing import Standing, standing_of
from stream_app.engine.board_reader import BoardReader
from stream_app.engine.broker_watch import BrokerWatch
from stream_app.engine.ends import Ends
from stream_app.engine.event_feed import EventFeed
from stream_app.engine.event_log import Subscription
from stream_app.engine.metrics import Metrics
from stream_app.engine.partition import Partition
from stream_app.engine.user_table import UserTable
from stream_app.messages import partition_of


class Answers:
    """Reads the worker's state; changes nothing."""

    def __init__(
        self,
        *,
        app: Any,
        watch: BrokerWatch,
        scheme: Scheme,
        table: UserTable,
        partitions: Mapping[int, Partition],
        partition_count: int,
        boards: BoardReader,
        feed: EventFeed,
        ends: Ends,
        metrics: Metrics,
        source_topics: tuple[str, ...],
    ) -> None:
        self.scheme = scheme
        self._app = app
        self._watch = watch
        self._table = table
        self._partitions = partitions
        self._boards = boards
        self._feed = feed
        self._ends = ends
        self._metrics = metrics
        self._sources = source_topics
        self.partition_count = partition_count

    def not_ready(self) -> str | None:
        """Why the worker cannot serve yet; None when it can."""
        app = self._app
        if app.should_stop:
            return "stopping"
        if self._watch.reason is not None:
            return self._watch.reason
        if not app.started:
            return "starting"
        if app.rebalancing:
            return "rebalancing"
        if app.in_recovery or not app.tables.actives_ready:
            return "recovering state from the changelog"
        if not self._boards.is_read:
            return "reading the ranking"
        if not self._feed.is_read:
            return "reading the events of before"
        return None

    def board(self) -> Board | None:
        """The newest system-wide view."""
        return self._boards.board

    def is_board_due(self) -> bool:
        """Whether the only ranking so far is of another formula."""
        return self._boards.board is None and self._boards.is_outdated

    def high_mark(self) -> int | None:
        """Greatest event time known here (ms)."""
        marks = [partition.high_mark() for partition in self._partitions.values()]
        return max((mark for mark in marks if mark is not None), default=None)

    def owner_url(self, key: str) -> str | None:
        """Base URL of the owner, None when it is this worker. Raises LookupError while unknown."""
        number = partition_of(key.encode(), self.partition_count)
        if number in self._partitions:
            return None
        urls = self._app.assignor._tps_url  # noqa: SLF001
        return str(urls[TP(self._table.changelog_topic_name, number)])

    def peers(self) -> list[str]:
        """Base URLs of the other workers."""
        own = str(self._app.conf.canonical_url)
        return [str(url) for url in self._app.assignor.changelog_distribution if str(url) != own]

    def owned(self) -> list[int]:
        """The partitions whose users are here."""
        return list(self._partitions)

    def user_row(self, key: str) -> tuple[UserRow, bool] | None:
        """The row of a user, and whether she is counted in the population; None: unknown.

        Raises:
            LookupError: she is not among this worker's users.
        """
        raw = key.encode()
        number = partition_of(raw, self.partition_count)
        partition = self._partitions[number]
        data = self._table.read(number, raw)
        if data is None:
            return None
        row = decode_row(data)
        return row, partition.is_eligible(row.posts, row.newest_post_at)

    def members(self, level: int, after: tuple[float, str] | None, limit: int) -> list[Standing]:
        """This worker's users at a tier level or above, in ranking order, from behind `after`."""
        floor = (-after[0], after[1].encode()) if after is not None else None
        places = (
            (-partition.columns.z[index], partition.columns.keys[index], partition)
            for partition in list(self._partitions.values())
            for index in partition.columns.members(level)
        )
        wanted = (place for place in places if floor is None or place[:2] > floor)
        first = heapq.nsmallest(limit, wanted, key=lambda place: place[:2])
        found = [self._standing(partition, key) for _, key, partition in first]
        return sorted((s for s in found if s is not None), key=position_key)

    def _standing(self, partition: Partition, key: bytes) -> Standing | None:
        data = self._table.read(partition.number, key)
        return standing_of(decode_row(data), self.scheme) if data is not None else None

    def events(self, last_event_id: str | None) -> Subscription:
        """KOL events of the whole system. Raises LookupError while those kept are being read."""
        return self._feed.subscribe(last_event_id)

    def metrics(self) -> bytes:
        """Prometheus text."""
        metrics, board = self._metrics, self._boards.board
        metrics.ready.set(0 if self.not_ready() else 1)
        metrics.users.set(sum(len(p.columns.keys) for p in self._partitions.values()))
        if board is not None:
            metrics.population.set(board.line.population)
            metrics.line_version.set(board.line.version)
        metrics.lag.clear()
        for number, partition in self._partitions.items():
            for topic in self._sources:
                behind = self._end(TP(topic, number)) - (partition.meta.offsets.get(topic, -1) + 1)
                metrics.lag.labels(topic, str(number)).set(max(behind, 0))
        return metrics.render()

    def _end(self, tp: TP) -> int:
        """Offset behind the partition's last record, as of its last fetch or the last question."""
        consumer = self._app.consumer
        known, asked = consumer.known_end(tp), self._ends.of((tp.topic, tp.partition))
        if known is None:
            return asked or 0
        # No more than the fetch knew: what is behind the last record is a transaction's marker.
        return known if asked is None or asked <= consumer.highwater(tp) else asked
