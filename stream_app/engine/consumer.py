"""Faust's consumer with five repairs, each small and each tested.

- every record passes the order guard (`order_guard`);
- no fetch is under way while a position is changed: its records would be dropped, and with them
  the events of the streams or the rows of a recovery;
- what is acknowledged is committed before a rebalance: stock forgets it, up to a second's worth;
- records are delivered in runs: stock `_drain_messages` wraps each one in four futures and a task,
  which is most of the cost of an event;
- when all partitions are paused by full buffers it waits for the first to resume, not for a whole
  second.

It reads committed records only: what its producer took back is never scored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import aiokafka
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from stream_app.engine.acknowledging import AcknowledgingConsumer
from stream_app.engine.delivery import Delivery
from stream_app.engine.missed import Missed
from stream_app.engine.order_guard import OrderGuard

#: Longest wait of a fetch that finds no records. A fetch in flight holds up partitions that were
#: resumed after it was sent, so this bounds the latency; Faust fixes it at 1.5 s.
FETCH_WAIT_MS = 100

#: A fetch that finds nothing ends after this long; a seek waits for it.
_FETCH_TIMEOUT_S = 0.2

#: A fetch is answered as soon as there is one record. Where that brought few of them, the next is
#: left to gather more for so long (s): each costs client and broker more than a record does.
_FEW = 100
_GATHER_S = 0.02

#: Records handed over before the event loop gets a turn; streams take all of them in it.
_AT_ONCE = 250

#: How often it is noted how far each partition was read.
_NOTE_EVERY_S = 0.1


class SafeConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that fetches: committed records only, and with a short wait of an empty fetch."""

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Read by start(), which comes after; the constructor's arguments are fixed by Faust.
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001
        consumer._isolation_level = "read_committed"  # noqa: SLF001
        return consumer


class SafeConsumer(AcknowledgingConsumer):
    """Faust's consumer, guarded and without the per-record futures."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.guard = OrderGuard()
        self._resumed = asyncio.Event()
        #: held while a fetch is under way, and while a seek is
        self._fetching = asyncio.Lock()
        self._read_to: dict[TP, int] = {}
        self._next_note = 0.0
        super().__init__(*args, **kwargs)
        self._missed = Missed(self.earliest_offsets, self.app)

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Commit what is acknowledged, before stock forgets it: else it would all come again."""
        if not self.app.should_stop:
            await self.commit_and_end_transactions()
        await super().on_partitions_revoked(revoked)

    def _new_consumer_thread(self) -> SafeConsumerThread:
        return SafeConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # -- order guard

    async def perform_seek(self) -> None:
        """Seek to the committed offsets; every partition starts a new chain.

        Not while the flow is stopped: stock `getmany` asks for it then, on its own, and the seek
        would take effect in the middle of the next generation. The rebalance that stopped the flow
        seeks when its recovery is complete.
        """
        if not self.flow_active:
            return
        async with self._fetching:
            await super().perform_seek()
            self._read_to.clear()
            streams = [tp for tp in self.assignment() if not self._is_changelog_tp(tp)]
            await self._seek_beginning([tp for tp in streams if not self._read_offset[tp]])
            for tp in streams:
                self.guard.seek(tp, self._read_offset[tp])

    async def _seek_beginning(self, uncommitted: Sequence[TP]) -> None:
        """Seek partitions of which nothing is committed yet.

        aiokafka leaves these where they are: behind what a fetch brought, and we dropped, between
        their assignment and now.
        """
        if uncommitted:
            beginnings = await self.earliest_offsets(*uncommitted)
            await super().seek_wait({TP(*tp): offset for tp, offset in beginnings.items()})

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek, with no fetch under way that would still move on from the old position."""
        async with self._fetching:
            await super().seek_wait(partitions)

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109  - Faust's signature
    ) -> Any:
        async with self._fetching:
            # A copy: aiokafka takes an empty set for all partitions, and Faust empties its own
            # while a fetch is under way, when it pauses everything for a rebalance.
            wanted = set(active_partitions) if active_partitions else active_partitions
            records = await super()._getmany(wanted, timeout)
        kept = {}
        for fetched, batch in (records or {}).items():
            tp = TP(fetched.topic, fetched.partition)  # Faust's own, not aiokafka's
            if tp in self._get_active_partitions() or tp in self._buffered_partitions:
                kept[tp] = batch
                if not self._is_changelog_tp(tp):
                    if self._committed_offset.get(tp) is not None:
                        self._missed.came(tp, self.guard.due(tp), batch[0].offset)
                    self.guard.handed(tp, [record.offset for record in batch])
            elif not self._is_changelog_tp(tp):
                # Paused meanwhile: the position has moved on, so only a seek may come next.
                self.guard.dropped(tp)
        self._note_positions()
        await self._missed.look()
        return kept

    def _to_messages(self, tp: TP, records: Sequence[Any]) -> list[ConsumerMessage]:
        """Messages of these records; those of streams carry their place in the chain."""
        messages = [self._to_message(tp, record) for record in records]
        if not self._is_changelog_tp(tp):
            links = self.guard.all_delivered(tp, [record.offset for record in records])
            for message, link in zip(messages, links, strict=True):
                message.link = link  # type: ignore[attr-defined]
        return messages

    def known_end(self, tp: TP) -> int | None:
        """The offset behind the partition's last record; None before a fetch, or not assigned.

        As of the last fetch. The broker's own end also counts what is no record: the markers of
        transactions, and records that retention has taken before anybody read them.
        """
        try:
            end: int | None = self.highwater(tp)
        except AssertionError:  # how aiokafka says that the partition is not assigned
            return None
        if end is not None and self._read_to.get(tp, -1) >= end:
            due = self.guard.due(tp)
            return end if due is None else min(due, end)
        return end

    def _note_positions(self) -> None:
        """Remember how far the streams were read; only while no fetch is under way.

        What a fetch has taken is not handed over yet, though the position has moved on.
        """
        now = monotonic()
        if now < self._next_note:
            return
        self._next_note = now + _NOTE_EVERY_S
        self._read_to = {
            tp: position
            for tp in self.assignment()
            if not self._is_changelog_tp(tp) and (position := self._position(tp)) is not None
        }

    def _position(self, tp: TP) -> int | None:
        consumer: Any = self._thread._ensure_consumer()  # noqa: SLF001
        subscription = consumer._subscription.subscription  # noqa: SLF001
        if subscription is None or not consumer._subscription.is_assigned(tp):  # noqa: SLF001
            return None
        state = subscription.assignment.state_value(tp)
        return state.position if state.has_valid_position else None

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Say nothing: an idle partition is no error here, and lag and readiness are our own."""

    # -- speed

    def resume_partitions(self, tps: Any) -> None:
        """Resume fetching, and wake a fetcher that found nothing to fetch."""
        super().resume_partitions(tps)
        self._resumed.set()

    def on_buffer_drop(self, tp: TP) -> None:
        """A stream has room again."""
        super().on_buffer_drop(tp)
        self._resumed.set()

    async def _wait_next_records(
        self,
        timeout: float,  # noqa: ASYNC109  - Faust's signature
    ) -> tuple[Mapping[TP, Any] | None, set[TP] | None]:
        if self.flow_active and not self.app.client_only and not self._get_active_partitions():
            self._resumed.clear()
            await self.wait_first(self._resumed.wait(), self.suspend_flow.wait(), timeout=1.0)
            return {}, set()
        return await super()._wait_next_records(timeout)

    async def _drain_messages(self, fetcher: Any) -> None:
        """Deliver records until the fetcher stops: as Faust does, less the futures."""
        self._deliver = Delivery(self, self.callback)
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):  # noqa: SLF001
                await asyncio.sleep(0)
                if not self.should_stop:
                    await self._deliver_next()
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
            self.log.info("Broker stopped consumer, shutting down...")
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise
            self.log.info("Consumer shutting down for user cancel.")
        except Exception as exc:
            # A fetcher that dies in silence would look like an idle topic.
            await self.app.crash(exc)
            raise

    async def _deliver_next(self) -> None:
        """Fetch once and hand over what came, partition by partition.

        Faust takes turns between partitions, for a delivery that waits would hold up the others;
        here a delivery waits only where its channel is full, which pauses its partition first.
        """
        records, _ = await self._wait_next_records(_FETCH_TIMEOUT_S)
        generation = self.app.consumer_generation_id
        for tp, batch in (records or {}).items():
            for start in range(0, len(batch), _AT_ONCE):
                await self._commit_if_due()
                if self.should_stop or not self._is_current(tp, generation):
                    return
                await self._hand_over(tp, batch[start : start + _AT_ONCE], generation)
                await asyncio.sleep(0)
        if 0 < sum(map(len, (records or {}).values())) < _FEW:
            await asyncio.sleep(_GATHER_S)

    def _is_current(self, tp: TP, generation: int) -> bool:
        """Whether records fetched in this generation may still be delivered."""
        return (
            self.flow_active
            and self.app.consumer_generation_id == generation
            and (tp in self._get_active_partitions() or tp in self._buffered_partitions)
        )

    async def _commit_if_due(self) -> None:
        if self._commit_every is not None and self._n_acked >= self._commit_every:
            self._n_acked = 0
            await self.commit()

    async def _hand_over(self, tp: TP, records: Sequence[Any], generation: int) -> None:
        """Deliver records of one partition, in order.

        Nothing is awaited before they are messages of the generation they were fetched in.
        """
        if self.app.topics.acks_enabled_for(tp.topic):
            self._note_gaps(tp, records)
        messages = self._to_messages(tp, records)
        conductor: Any = self.app.topics
        done = conductor.deliver(tp, messages)
        if done:
            self._read_offset[tp] = messages[done - 1].offset
        for message in messages[done:]:
            if not self._is_current(tp, generation):
                return
            await self._deliver(message)
            self._read_offset[tp] = message.offset
