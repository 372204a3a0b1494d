"""When each chain of the open model begins, for any of them, without making a single event."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import numpy as np

from eventbus.chains.arrivals.batch import FIRST_BATCH, NEVER, ChainBatch, ExpandChains, RunBounds
from eventbus.chains.arrivals.open import OpenArrivals
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.randomness import Integers, chain_keys

MARK_EVERY = 1 << 14
"""Chains between two remembered places."""


class OpenArrivalProcess:
    """The arrivals of a run, in order.

    Args:
        root: the random key of the run (see `randomness.purpose`).
        start: nanoseconds since the Unix epoch.
    """

    def __init__(self, arrivals: OpenArrivals, *, root: int, start: int) -> None:
        self._arrivals = arrivals
        self._root = root
        self._start = start
        #: Place and arrival of the last chain before each multiple of `MARK_EVERY`.
        self._marks, self._marked = [0], [start]
        #: A chain, and the place of the one before it: where the next call is likely to begin.
        self._latest = 0, 0

    def batches(self, expand: ExpandChains, bounds: RunBounds) -> Iterator[ChainBatch]:
        """All chains that bounds leave, in order."""
        first = 0 if bounds.since is None else self.first_since(bounds.since - bounds.longest, bounds)
        wanted, end = min(FIRST_BATCH, bounds.size), NEVER if bounds.until is None else bounds.until
        while True:
            count = wanted if bounds.chains is None else max(min(wanted, bounds.chains - first), 0)
            begins = self.of(first, count + 1)  # one more: nothing can be earlier than that
            count = min(count, int(begins.searchsorted(end)))
            made = expand(np.arange(first, first + count), begins[:count] // 1000, bounds.since)
            if count < wanted:
                yield ChainBatch(made, NEVER)
                return
            yield ChainBatch(made, int(begins[count]) // 1000)
            first, wanted = first + count, min(wanted * 2, bounds.size)

    def one(self, expand: ExpandChains, index: int) -> int:
        """When a chain begins, microseconds since the Unix epoch.

        Raises:
            InvalidSetting: the arrivals end before it.
        """
        begin = int(self.of(index, 1)[0])
        if begin == NEVER:
            raise InvalidSetting(f"the arrivals end before chain {index:,} begins")
        return begin // 1000

    def expected(self, expand: ExpandChains, time: int) -> float:
        """How many chains begin before a time, microseconds since the Unix epoch, on average."""
        return self._arrivals.expected(time * 1000 - self._start)

    def of(self, first: int, count: int) -> Integers:
        """Arrivals of consecutive chains, nanoseconds since the Unix epoch."""
        before = self._before(first)
        beyond = self._beyond(before, first, count)
        if count > 1:
            self._latest = first + count - 1, before + int(beyond[-2])
        return self._times(before, beyond)

    def first_since(self, time: int, bounds: RunBounds) -> int:
        """The first chain that begins at a time or later; any one beyond the run's bounds if there is none.

        Args:
            time: microseconds since the Unix epoch.
        """
        nanoseconds = min(time * 1000, NEVER if bounds.until is None else bounds.until)
        chains = NEVER if bounds.chains is None else bounds.chains
        while self._marked[-1] < nanoseconds and len(self._marks) * MARK_EVERY <= chains:
            self._mark_next()
        mark = max(bisect_left(self._marked, nanoseconds) - 1, 0)
        begins = self._times(self._marks[mark], self._beyond(self._marks[mark], mark * MARK_EVERY, MARK_EVERY))
        return mark * MARK_EVERY + int(begins.searchsorted(nanoseconds))

    def _beyond(self, place: int, first: int, count: int) -> Integers:
        """How far consecutive chains lie beyond the place of the one before them."""
        keys = chain_keys(self._root, np.arange(first, first + count))
        return self._arrivals.after(place, first, keys)

    def _times(self, place: int, beyond: Integers) -> Integers:
        times = self._arrivals.times(place, beyond)
        np.minimum(times, NEVER - self._start, out=times)
        times += self._start
        return times

    def _before(self, index: int) -> int:
        """The place of the chain before one."""
        if index == self._latest[0]:
            return self._latest[1]
        while len(self._marks) * MARK_EVERY <= index:
            self._mark_next()
        mark, rest = divmod(index, MARK_EVERY)
        place = self._marks[mark]
        return place + int(self._beyond(place, mark * MARK_EVERY, rest)[-1]) if rest else place

    def _mark_next(self) -> None:
        """Remembers one more place, every 16,384th."""
        place = self._marks[-1]
        beyond = self._beyond(place, (len(self._marks) - 1) * MARK_EVERY, MARK_EVERY)
        self._marks.append(place + int(beyond[-1]))
        self._marked.append(int(self._times(place, beyond[-1:])[0]))
