"""Faust's consumer, as to what streams have taken and what they have acknowledged.

- records are acknowledged in runs: stock `Message.ack` takes a lock and wakes a waiter for each;
- a rebalance, or the end, waits for what streams are at, not for what they have only taken;
- commits pass all holes in offsets that were read over, and miss nothing before a rebalance.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import Message, ack_lock
from mode.utils.futures import notify


class AcknowledgingConsumer(driver.Consumer):
    """The bookkeeping of messages between delivery and commit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        #: the pipeline's: lets go of the events that it has taken and not begun
        self.give_back: Callable[[], Sequence[Any]] = tuple
        super().__init__(*args, **kwargs)
        # Faust keeps weak references, ten times as dear: it forgives a message that is never
        # acknowledged. Here each one is, or is let go, or the process ends.
        self._unacked_messages = set()

    async def wait_empty(self) -> None:
        """Wait until what streams are at is acknowledged, and commit.

        Not in a process that ends for a failure: whoever would acknowledge it may be gone. What is
        not committed comes again.
        """
        self.forget_all([event.message for event in self.give_back()])
        app: Any = self.app
        waiting = asyncio.ensure_future(super().wait_empty())
        failing = asyncio.ensure_future(app._crashed.wait())  # noqa: SLF001
        try:
            await asyncio.wait({waiting, failing}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                waiting.result()
        finally:
            waiting.cancel()
            failing.cancel()

    async def commit_and_end_transactions(self) -> None:
        """Commit all that is acknowledged by now: stock leaves it at a commit under way."""
        await self.maybe_wait_for_commit_to_finish()
        await super().commit_and_end_transactions()

    def forget_all(self, messages: Iterable[Message]) -> None:
        """Wait for these messages no longer: they come again after a seek, here or elsewhere."""
        self._unacked_messages -= set(messages)
        notify(self._waiting_for_ack)

    def ack_all(self, messages: Iterable[Message]) -> None:
        """Acknowledge messages that one stream has taken, as `Message.ack` does one by one."""
        offsets: defaultdict[TP, list[int]] = defaultdict(list)
        with ack_lock:
            for message in messages:
                if not message.acked:
                    message.acked, message.refcount = True, 0
                    offsets[message.tp].append(message.offset)
                    self._unacked_messages.discard(message)
            for tp, acked in offsets.items():
                if not self.app.topics.acks_enabled_for(tp.topic):
                    continue
                known, committed = self._acked_index[tp], self._committed_offset[tp]
                fresh = sorted({o for o in acked if committed is None or o >= committed} - known)
                known.update(fresh)
                self._acked[tp].extend(fresh)
                self._n_acked += len(fresh)
        notify(self._waiting_for_ack)

    def _note_gaps(self, tp: TP, records: Sequence[Any]) -> None:
        """Tell Faust which offsets hold no record, so that commits may pass them.

        As its `_add_gap` does for one; that merges all gaps and gives the event loop a turn for
        each, which is much where every record has one behind it: the marker of its transaction.
        And it counts the record behind a gap as part of it, so that a commit, once a second, ends
        at the first gap that it passes.
        """
        known, committed = self._read_offset[tp], self._committed_offset[tp]
        first = -1 if committed is None else committed + 1
        gaps = self._gap[tp]
        before = len(gaps)
        for record in records:
            offset = record.offset
            if known and (begin := max(known + 1, first)) < offset:
                gaps.addi(begin, offset)
            known = offset
        if len(gaps) > before:
            gaps.merge_overlaps()
