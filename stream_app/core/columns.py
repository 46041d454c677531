"""What must be asked of all users of a partition at once, as columns beside the table.

The rows of the table stay the truth; each write of a row is followed by `update`, and after a
recovery all columns are filled anew. Scanning a column costs a fraction of a nanosecond per user,
so no index is kept: finding who crosses a line among a million users takes about a millisecond.
"""

import heapq
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stream_app.core.quantile_sketch import QuantileSketch

Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

_FIRST_ROWS = 1024
#: A full column grows by this part of itself: one in eight is empty at most.
_GROWTH = 8


class Columns:
    """z, newest post, tier and transition of each user of one partition; indices count from 0.

    A user keeps her index. `sketch` counts the z of exactly those users that are `counted`: it
    follows every change.

    Attributes:
        keys: User key by index.
        sketch: Of the population; not to be changed from outside.
    """

    def __init__(self, relative_accuracy: float = 1e-3) -> None:
        self.keys: list[bytes] = []
        self.sketch = QuantileSketch(relative_accuracy)
        self._index: dict[bytes, int] = {}
        self._z = np.empty(_FIRST_ROWS, np.float64)
        self._last_post = np.empty(_FIRST_ROWS, np.int64)
        self._tier = np.empty(_FIRST_ROWS, np.int8)
        self._counted = np.empty(_FIRST_ROWS, np.bool_)
        self._transition = np.empty(_FIRST_ROWS, np.int64)

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: bytes) -> bool:
        return key in self._index

    def index_of(self, key: bytes) -> int | None:
        """The user's index; None for an unknown one."""
        return self._index.get(key)

    # -- columns as they are, shape (users,), not to be written --------------------------------

    @property
    def z(self) -> npt.NDArray[np.float64]:
        """ln(score) at the Unix epoch; -inf for a score of 0."""
        return self._z[: len(self.keys)]

    @property
    def last_post(self) -> npt.NDArray[np.int64]:
        """Creation time (ms) of the newest post."""
        return self._last_post[: len(self.keys)]

    @property
    def tier(self) -> npt.NDArray[np.int8]:
        """Level: 0 none, 1 the lowest tier, and so on; below 0 one that is no longer configured."""
        return self._tier[: len(self.keys)]

    @property
    def counted(self) -> Mask:
        """Whether she belongs to the population."""
        return self._counted[: len(self.keys)]

    @property
    def transition_version(self) -> npt.NDArray[np.int64]:
        """The threshold version of her last change of tier, 0 if another event caused it."""
        return self._transition[: len(self.keys)]

    # -- changes -------------------------------------------------------------------------------

    def update(
        self,
        key: bytes,
        z: float,
        last_post: int,
        eligible: bool,
        tier: int,
        transition_version: int = 0,
    ) -> None:
        """Sets a user's row, new or not; the sketch follows.

        Args:
            key: User key, UTF-8.
            z: ln(score) at the Unix epoch; -inf for a score of 0.
            last_post: Creation time of the newest post, ms.
            eligible: Whether she belongs to the population.
            tier: Level, -128..127.
            transition_version: Of the threshold record that last changed her tier, or 0.

        Raises:
            ValueError: z is NaN or +inf; nothing was changed.
        """
        if math.isnan(z) or z == math.inf:
            raise ValueError(f"z must be a real number or -inf, not {z}")
        index = self._index.get(key)
        was_counted = index is not None and bool(self._counted[index])
        if was_counted and eligible:
            self.sketch.replace(float(self._z[index]), z)
        elif was_counted:
            self.sketch.delete(float(self._z[index]))
        elif eligible:
            self.sketch.insert(z)
        if index is None:
            index = self._append(key)
        self._z[index] = z
        self._last_post[index] = last_post
        self._tier[index] = tier
        self._counted[index] = eligible
        self._transition[index] = transition_version

    def extend(
        self,
        keys: Sequence[bytes],
        z: npt.NDArray[np.float64],
        last_post: npt.NDArray[np.int64],
        eligible: Mask,
        tier: npt.NDArray[np.int8],
        transition_version: npt.NDArray[np.int64],
    ) -> None:
        """`update` of many users that are new, each of them once; arrays have their order.

        Raises:
            ValueError: some z is NaN or +inf, or some user is known; nothing was changed.
        """
        first, end = len(self.keys), len(self.keys) + len(keys)
        new = dict(zip(keys, range(first, end), strict=True))
        if len(new) != len(keys) or not new.keys().isdisjoint(self._index):
            raise ValueError("a user is there twice")
        if np.isnan(z).any() or (z == math.inf).any():
            raise ValueError("z must be real numbers or -inf")
        self.sketch.insert_many(z[eligible])
        self._make_room(end)
        if first:
            self._index.update(new)
        else:
            self._index = new
        self.keys.extend(keys)
        self._z[first:end] = z
        self._last_post[first:end] = last_post
        self._tier[first:end] = tier
        self._counted[first:end] = eligible
        self._transition[first:end] = transition_version

    def expire(self, edge_ms: int) -> Indices:
        """Takes users whose newest post is before the edge out of the population; returns them."""
        gone = np.flatnonzero(self.counted & (self.last_post < edge_ms))
        self.sketch.delete_many(self._z[gone])
        self._counted[gone] = False
        return gone

    def check(self) -> int:
        """How many buckets of the sketch differed from the columns; now none does.

        Anything but 0 is a bug, since both follow the same changes in exact integers.
        """
        rebuilt = QuantileSketch(self.sketch.accuracy)
        rebuilt.rebuild(self.z[self.counted])
        if rebuilt == self.sketch:
            return 0
        differing = _differing(self.sketch, rebuilt)
        self.sketch = rebuilt
        return max(1, differing)

    # -- questions -----------------------------------------------------------------------------

    def crossings(self, enter: Sequence[float | None], leave: Sequence[float | None]) -> Indices:
        """Members of the population whose tier may change under these lines, ascending.

        A user at level L is a candidate if z >= the entering value of some tier above L, or
        z < the leaving value of some tier up to L. Levels below 0 always are.

        Args:
            enter: Entering values as z, lowest tier first; None = the tier has no line.
            leave: Leaving values likewise.
        """
        if len(enter) != len(leave):
            raise ValueError(f"{len(enter)} entering values, but {len(leave)} leaving values")
        # First all who are not where their score belongs, in few passes; a member between leaving
        # and entering value is one of them, too. Then who of these moves.
        lines = zip(_all(enter, math.inf), _all(leave, -math.inf), strict=True)
        found = self.tier < 0
        for level, (rise, fall) in enumerate(lines):
            found |= (self.z >= max(rise, fall)) ^ (self.tier > level)
            if fall > rise:
                found |= self.z >= rise
        found &= self.counted
        users = np.flatnonzero(found)
        return users[self._moves(users, enter, leave)]

    def top(self, k: int, floor_z: float | None = None) -> Indices:
        """The first k of the population by z descending, then key ascending.

        Args:
            k: At most so many.
            floor_z: Leaves out users below it.
        """
        if k <= 0:
            return np.empty(0, np.intp)
        n = self.sketch.n
        lowest = self.sketch.lower_bound(n - k) if k < n else -math.inf
        if floor_z is not None:
            lowest = max(lowest, floor_z)
        rows = np.flatnonzero(self.counted & (self.z >= lowest))
        if rows.size > k:
            z = self._z[rows]
            cut = np.partition(z, rows.size - k)[rows.size - k]
            above = rows[z > cut]
            # Ties at the cut may be many: only the first of them by key are wanted.
            tied = heapq.nsmallest(k - above.size, rows[z == cut].tolist(), self.keys.__getitem__)
            rows = np.concatenate((above, np.array(tied, np.intp)))
        order = sorted(
            zip((-self._z[rows]).tolist(), map(self.keys.__getitem__, rows), rows, strict=True)
        )
        return np.array([index for _, _, index in order], np.intp)

    def members(self, min_level: int) -> Indices:
        """Users at this level or a higher one, ascending."""
        return np.flatnonzero(self.tier >= min_level)

    def tier_counts(self, levels: int) -> list[int]:
        """How many users are at level 1 or higher, 2 or higher, .. `levels` or higher."""
        return [int(np.count_nonzero(self.tier >= level)) for level in range(1, levels + 1)]

    def with_transition(self, version: int) -> Indices:
        """Users whose tier was last changed by this threshold version, ascending."""
        return np.flatnonzero(self.transition_version == version)

    # -- inside --------------------------------------------------------------------------------

    def _moves(
        self, users: Indices, enter: Sequence[float | None], leave: Sequence[float | None]
    ) -> Mask:
        # The lowest line above, and the highest up to, each level decide for all of them.
        levels = range(len(enter) + 1)
        rise = np.array([min(_lines(enter[level:]), default=math.inf) for level in levels])
        fall = np.array([max(_lines(leave[:level]), default=-math.inf) for level in levels])
        z, tier = self._z[users], self._tier[users]
        level = np.clip(tier, 0, levels[-1])
        moves: Mask = (tier < 0) | (z >= rise[level]) | (z < fall[level])
        return moves

    def _append(self, key: bytes) -> int:
        index = len(self.keys)
        self._make_room(index + 1)
        self.keys.append(key)
        self._index[key] = index
        return index

    def _make_room(self, rows: int) -> None:
        """For so many rows at least, and for some more, so that it is seldom made anew."""
        size = self._z.size
        if rows <= size:
            return
        more = max(rows - size, size // _GROWTH)
        for column in ("_z", "_last_post", "_tier", "_counted", "_transition"):
            old = getattr(self, column)
            setattr(self, column, np.concatenate((old, np.empty(more, old.dtype))))


def _differing(one: QuantileSketch, other: QuantileSketch) -> int:
    """How many buckets differ, the scores of 0 being one of them."""
    (ours, our_counts), (theirs, their_counts) = one.counts(), other.counts()
    buckets, where = np.unique(np.concatenate((ours, theirs)), return_inverse=True)
    difference = np.zeros(buckets.size, np.int64)
    np.add.at(difference, where, np.concatenate((our_counts, -their_counts)))
    return int(np.count_nonzero(difference)) + (one.n_zero != other.n_zero)


def _lines(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _all(values: Sequence[float | None], missing: float) -> list[float]:
    return [missing if value is None else value for value in values]
