"""Table recovery that seeks before it resumes, and reads the changelog in runs.

Stock `Recovery.on_recovery_completed` resumes the stream partitions while the flow is already
active (it was resumed to read the changelog), and seeks afterwards. Events fetched in between are
wiped from the agents' queues, their redelivery is dropped as already read, and the hole is
committed: an ordinary rebalance loses events. Here the order is: callbacks, seek, clear and
resume the flow control, resume the partitions.

Stock Faust takes the changelog's records one by one, with a timer and counts over all partitions
for each, some 5,000 a second, and goes on with a warning where one cannot be stored.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP
from mode import Service

from stream_app.errors import StateError

#: Records of the changelog that are stored at a time, and the longest wait for one.
_MOST = 2_000
_WAIT_S = 1.0


class SafeRecovery(Recovery):
    """Recovery without the window in which events are lost."""

    _rebalance = 0

    @Service.task
    async def _slurp_changelogs(self) -> None:
        """Store what comes from the changelogs, and say when they have been read to their ends."""
        try:
            while not self.should_stop:
                self.signal_recovery_end.clear()
                self._store_records(await self._next_records())
                if self.in_recovery and not self.need_recovery():
                    self._set_recovery_ended()
                    self.signal_recovery_end.set()
                await asyncio.sleep(0)
        except Exception as exc:
            await self.app.crash(exc)
            raise

    async def _next_records(self) -> list[Any]:
        """Events of the changelogs, as many as wait; none after a while without one."""
        queue: Any = self.tables.changelog_queue
        try:
            events = [await asyncio.wait_for(queue.get(), _WAIT_S)]
        except TimeoutError:
            return []
        while len(events) < _MOST and not queue.empty():
            events.append(queue.get_nowait())
        return events

    def _store_records(self, events: list[Any]) -> None:
        """Take over the records that are new; those of partitions that are gone are not ours."""
        fresh: dict[Any, list[Any]] = {}
        for event in events:
            tp, offset = event.message.tp, event.message.offset
            if tp in self.active_tps:
                seen = self.active_offsets.get(tp)
                if seen is None or offset > seen:
                    self.active_offsets[tp] = offset
                    fresh.setdefault(self.tp_to_table[tp], []).append(event)
        for table, records in fresh.items():
            table.apply_changelog_batch(records)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Finish a recovery; an error of a callback stops the process instead of vanishing."""
        app, consumer = self.app, self.app.consumer
        self.log.info("Restore complete!")
        await app.on_rebalance_complete.send()
        self._set_recovery_ended()
        try:
            await asyncio.gather(
                *(
                    table.on_recovery_completed(
                        self.actives_for_table[table], self.standbys_for_table[table]
                    )
                    for table in self.tables.values()
                )
            )
        except Exception as exc:
            await app.crash(exc)
            raise
        if self._is_overtaken(generation_id):
            return
        assignment = consumer.assignment()
        streams = {tp for tp in assignment if not self._is_changelog_tp(tp)}
        if assignment:
            self.log.info("Seek stream partitions to committed offsets.")
            await self._wait(consumer.perform_seek(), timeout=app.conf.broker_request_timeout)
            if self._is_overtaken(generation_id):
                return
        self.completed.set()
        app.flow_control.resume()
        consumer.resume_partitions(streams)
        consumer.resume_flow()
        fetcher: Any = app
        await fetcher._fetcher.maybe_start()  # noqa: SLF001
        self.tables.on_actives_ready()
        if not app.assignor.assigned_standbys():
            self.tables.on_standbys_ready()
        app.on_rebalance_end()
        self.log.info("Worker ready")

    async def on_rebalance(self, *args: Any, **kwargs: Any) -> None:
        """Begin the recovery of a new assignment, and remember which rebalance brought it."""
        self._rebalance = self.app.rebalancing_count
        await super().on_rebalance(*args, **kwargs)

    async def _build_offsets(
        self, consumer: Any, tps: set[TP], destination: Counter[TP], title: str
    ) -> None:
        """Find out where to read on.

        Stock passes over what was deleted from the beginning of a changelog, which is only ever
        compacted: users would be without their rows, and the line a false one.

        Raises:
            StateError: records were deleted that the local store does not have.
        """
        begins = await consumer.earliest_offsets(*tps)
        for tp in sorted(tps):
            begin, known = begins.get(tp) or 0, destination.get(tp)
            due = 0 if known is None else known + 1
            if begin > due:
                raise StateError(
                    f"the rows of partition {tp.partition} are not all there: {tp.topic} begins at "
                    f"offset {begin}, the state in KOL_DATA_DIR ends before {due}; something has "
                    "deleted records of a topic that is only to be compacted: start anew with "
                    "`kol rebuild`"
                )
            if begin:
                self.log.error(
                    "%s/%d has lost its first %d records; this worker still has their rows, but no "
                    "other could take them over: start anew with `kol rebuild`",
                    *(tp.topic, tp.partition, begin),
                )
        await super()._build_offsets(consumer, tps, destination, title)

    def _is_overtaken(self, generation_id: int) -> bool:
        """Whether another rebalance has begun: partitions then stay paused for its own seek."""
        app = self.app
        if app.consumer_generation_id == generation_id and app.rebalancing_count == self._rebalance:
            return False
        self.log.warning("Another rebalance has begun; this recovery ends here")
        return True


class SafeTableManager(TableManager):
    """Faust's table manager with the safe recovery, and without the second that it sleeps first.

    That is for tables which are made late; here all are there before the app starts.
    """

    async def on_start(self) -> None:
        """Register the tables' channels, then begin to recover."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()

    @property
    def recovery(self) -> SafeRecovery:
        """The recovery service, made on first use."""
        if self._recovery is None:
            self._recovery = SafeRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return cast(SafeRecovery, self._recovery)
