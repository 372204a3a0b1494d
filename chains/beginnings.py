"""When each chain of a run begins, for any of them, without making a single event."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from chains.arrivals import Arrivals
from chains.randomness import Integers, chain_keys

MARK_EVERY = 1 << 14
"""Chains between two remembered arrivals."""
LAST_NANOSECOND = (1 << 63) - 1
"""Since the Unix epoch, in the year 2262."""


class Beginnings:
    """The arrivals of a run, in order.

    Args:
        root: the random key of the run (see `randomness.purpose`).
        start: nanoseconds since the Unix epoch.
    """

    def __init__(self, arrivals: Arrivals, *, root: int, start: int) -> None:
        self._arrivals = arrivals
        self._root = root
        self._marks = [start]
        #: A chain, and the arrival of the one before it: where the last call's successor is expected to begin.
        self._latest = 0, start

    def of(self, first: int, count: int) -> Integers:
        """Arrivals of consecutive chains, nanoseconds since the Unix epoch."""
        begins = self._after(self._before(first), first, count)
        if count > 1:
            self._latest = first + count - 1, int(begins[-2])
        return begins

    def first_since(self, time: int, chains: int | None, end: int | None) -> int:
        """The first chain that begins at a time or later; any one beyond the run's bounds if there is none.

        Args:
            time: microseconds since the Unix epoch.
            chains: how many the run has; None: endless.
            end: no chain begins at or after this time, nanoseconds since the Unix epoch.
        """
        nanoseconds = min(time * 1000, LAST_NANOSECOND if end is None else end)
        while self._marks[-1] < nanoseconds and (chains is None or len(self._marks) * MARK_EVERY <= chains):
            self._mark_next()
        mark = max(bisect_left(self._marks, nanoseconds) - 1, 0)
        begins = self._after(self._marks[mark], mark * MARK_EVERY, MARK_EVERY)
        return mark * MARK_EVERY + int(begins.searchsorted(nanoseconds))

    def _after(self, before: int, first: int, count: int) -> Integers:
        """Arrivals of consecutive chains; `before` is that of the chain before them."""
        chain = np.arange(first, first + count)
        gaps = self._arrivals.gaps(chain, chain_keys(self._root, chain))
        gaps.cumsum(out=gaps)
        gaps += before
        return gaps

    def _before(self, index: int) -> int:
        """The arrival of the chain before one."""
        if index == self._latest[0]:
            return self._latest[1]
        while len(self._marks) * MARK_EVERY <= index:
            self._mark_next()
        mark, rest = divmod(index, MARK_EVERY)
        return int(self._after(self._marks[mark], mark * MARK_EVERY, rest)[-1]) if rest else self._marks[mark]

    def _mark_next(self) -> None:
        """Remembers one more arrival, every 16,384th: that of the last chain before a multiple."""
        marked = (len(self._marks) - 1) * MARK_EVERY
        self._marks.append(int(self._after(self._marks[-1], marked, MARK_EVERY)[-1]))
