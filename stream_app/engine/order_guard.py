"""Every record that is handed over is processed, once, in order; anything else stops the process.

Row guards ("an offset at or below the row's is not applied again") are only sound when delivery
has no holes: a skipped record would be acknowledged by the next one. Offsets cannot tell a hole
that matters, since compaction, transactions and retention leave holes too. So each record is
chained to the one fetched before it, at the place where the fetcher hands records over, and the
chain is checked where the scoring agent takes them. A seek starts a new chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat, zip_longest
from typing import Any, NamedTuple

from faust.types import TP

from stream_app.errors import OrderError

#: Beyond any offset: whatever is fetched next, without a seek, came after a hole.
_HOLE = 2**63


class Link(NamedTuple):
    """A record's place: the chain it belongs to and its number there, from 0."""

    chain: int
    number: int


class OrderGuard:
    """Follows each partition from the fetcher to the agent."""

    def __init__(self) -> None:
        self._chains: dict[TP, int] = {}
        self._starts: dict[TP, int] = {}
        self._fetched: dict[TP, int] = {}
        #: offsets handed over and not delivered, oldest first
        self._handed: dict[TP, list[int]] = {}
        self._delivered: dict[TP, int] = {}
        self._taken: dict[TP, Link] = {}

    def seek(self, tp: TP, offset: int | None) -> None:
        """The partition will be read from `offset` (None: from wherever the broker says)."""
        self._chains[tp] = self._chains.get(tp, -1) + 1
        self._starts[tp] = offset if offset is not None else 0
        self._fetched[tp] = -1
        self._handed[tp] = []
        self._delivered[tp] = -1

    def handed(self, tp: TP, offsets: Sequence[int]) -> None:
        """The fetcher hands over these records. Raises OrderError when it goes backwards."""
        if tp not in self._chains:
            self.seek(tp, None)
        previous = max(self._fetched[tp], self._starts[tp] - 1)
        for before, offset in zip([previous, *offsets], offsets, strict=False):
            if offset <= before:
                raise OrderError(
                    f"{tp.topic}/{tp.partition}: offset {offset} was fetched after "
                    f"{before}; restart the worker, nothing was acknowledged"
                )
        self._handed[tp] += offsets
        if offsets:
            self._fetched[tp] = offsets[-1]

    def dropped(self, tp: TP) -> None:
        """Fetched records were not handed over: until the next seek there is a hole."""
        if tp in self._chains:
            self._fetched[tp] = _HOLE

    def due(self, tp: TP) -> int | None:
        """The offset behind the last record handed over, or the one sought; None if unknown."""
        last = self._fetched.get(tp, _HOLE)
        return None if last == _HOLE else max(last + 1, self._starts[tp])

    def delivered(self, tp: TP, offset: int) -> Link:
        """The record goes on to the agents. Raises OrderError when one before it was left out."""
        (link,) = self.all_delivered(tp, [offset])
        return link

    def all_delivered(self, tp: TP, offsets: Sequence[int]) -> list[Link]:
        """These records go on to the agents, as `delivered` says for each."""
        queue = self._handed.get(tp, [])
        expected = queue[: len(offsets)]
        del queue[: len(offsets)]
        if expected != offsets:
            for offset, due in zip_longest(offsets, expected):
                if offset != due:
                    raise OrderError(
                        f"{tp.topic}/{tp.partition}: offset {offset} was delivered, {due} was due; "
                        "restart the worker, nothing was acknowledged"
                    )
        first = self._delivered[tp] + 1
        self._delivered[tp] += len(offsets)
        # Plain pairs: to make named ones costs ten times as much.
        pairs: Any = zip(repeat(self._chains[tp]), range(first, first + len(offsets)), strict=False)
        return list(pairs)

    def taken(self, tp: TP, offset: int, link: Link) -> None:
        """The agent takes the record. Raises OrderError when it is not the next of its chain."""
        last = self._taken.get(tp)
        chain, number = link
        due = last[1] + 1 if last is not None and last[0] == chain else 0
        if number != due or (last is not None and chain < last[0]):
            raise OrderError(
                f"{tp.topic}/{tp.partition}: record {number} of chain {chain} (offset "
                f"{offset}) came after {last}; a record was lost on the way: restart the worker, "
                "nothing was acknowledged"
            )
        self._taken[tp] = link

    def all_taken(self, events: Iterable[Any]) -> None:
        """The agent takes these of Faust's events, as `taken` says for each."""
        known = self._taken
        for event in events:
            message = event.message
            tp, link = message.tp, message.link
            last = known.get(tp)
            if last is not None and link[0] == last[0] and link[1] == last[1] + 1:
                known[tp] = link
            else:
                self.taken(tp, message.offset, link)
