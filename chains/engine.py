"""The engine: which events happen when, in virtual time, for any number of overlapping chains.

It makes all chains of a block together. The watermark is the arrival of
the next block's first chain: nothing earlier can come any more, so what lies before it is final and can be ordered;
the rest is carried over. Nothing here waits, and nothing is text.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import numpy as np

from chains.arrivals import Arrivals
from chains.plan import Plan
from chains.randomness import Integers, chain_keys
from chains.table import EventTable

FIRST_BLOCK = 16
"""Chains in the first block; each is twice the one before, so that the first event comes at once."""
MARK_EVERY = 1 << 14
"""Chains between two remembered arrivals."""
LAST_NANOSECOND = (1 << 63) - 1
"""Since the Unix epoch, in the year 2262."""


class Engine:
    """Chains of a plan, arriving in virtual time.

    Args:
        root: the random key of the run (see `randomness.purpose`).
        start: nanoseconds since the Unix epoch.
    """

    def __init__(self, plan: Plan, arrivals: Arrivals, *, root: int, start: int) -> None:
        self.plan = plan
        self._arrivals = arrivals
        self._root = root
        self._start = start
        self._marks = [start]

    def blocks(
        self, chains: int | None = None, until: int | None = None, size: int = 4096, since: int | None = None
    ) -> Iterator[EventTable]:
        """Events by time, in tables; all chains run to their end.

        Args:
            chains: how many; None: endless.
            until: no chain begins at or after this time, nanoseconds since the Unix epoch.
            size: chains in a block; changes no event.
            since: leave out chains that are over by this time, microseconds since the Unix epoch.
        """
        carried = EventTable.concatenate([])
        first = 0 if since is None else self._first_since(since - int(self.plan.spans.max()), chains, until)
        before, wanted = self._before(first), min(FIRST_BLOCK, size)
        while True:
            count = wanted if chains is None else max(min(wanted, chains - first), 0)
            begins = self._begins(first, count + 1, before)  # one more, for the watermark
            if until is not None:
                count = min(count, int(begins.searchsorted(until)))
            made = self.expand(first, begins[:count] // 1000, since)
            if count < wanted:
                break
            ready, carried = EventTable.concatenate([carried, made]).split(int(begins[count]) // 1000)
            if len(ready):
                yield ready.ordered()
            first, before, wanted = first + count, int(begins[count - 1]), min(wanted * 2, size)
        rest = EventTable.concatenate([carried, made])
        if len(rest):
            yield rest.ordered()

    def window(
        self,
        since: int | None,
        until: int | None,
        chains: int | None = None,
        end: int | None = None,
        size: int = 4096,
    ) -> Iterator[EventTable]:
        """The events of a stretch of time, as in the run, without making those of earlier chains.

        Args:
            since: no earlier event, microseconds since the Unix epoch; None: from the beginning.
            until: only earlier events; None: to the end.
            chains: how many the run has; None: endless.
            end: no chain of the run begins at or after this time, nanoseconds since the Unix epoch.
            size: chains in a block; changes no event.
        """
        for table in self.blocks(chains, end, size, since):
            inside = table.between(since, until)
            if len(inside):
                yield inside
            if until is not None and table.time[-1] >= until:
                return

    def one(self, index: int) -> EventTable:
        """The events of one chain, as in the run."""
        base = self._before(index)
        return self.expand(index, self._begins(index, 1, base) // 1000).ordered()

    def expand(self, first: int, begins: Integers, since: int | None = None) -> EventTable:
        """All events of consecutive chains, in no order.

        Args:
            begins: arrivals, microseconds since the Unix epoch.
            since: leave out chains that are surely over by this time.
        """
        roots = EventTable.roots(np.arange(first, first + begins.size), begins)
        chosen = self.plan.choose(chain_keys(self._root, roots.chain))
        if since is not None:
            alive = np.flatnonzero(begins >= since - self.plan.spans.take(chosen))
            roots, chosen = roots.take(alive), chosen.take(alive)
        made: list[EventTable] = []
        for number, walker in enumerate(self.plan.walkers):
            rows = np.flatnonzero(chosen == number)
            if rows.size:
                made += walker.events(roots.take(rows), self._root)
        return EventTable.concatenate(made)

    def _begins(self, first: int, count: int, before: int) -> Integers:
        """Arrivals of consecutive chains, nanoseconds; `before` is that of the chain before them."""
        chain = np.arange(first, first + count)
        gaps = self._arrivals.gaps(chain, chain_keys(self._root, chain))
        gaps.cumsum(out=gaps)
        gaps += before
        return gaps

    def _before(self, index: int) -> int:
        """The arrival of the chain before one, without making the events."""
        while len(self._marks) * MARK_EVERY <= index:
            self._mark_next()
        mark, rest = divmod(index, MARK_EVERY)
        return int(self._begins(mark * MARK_EVERY, rest, self._marks[mark])[-1]) if rest else self._marks[mark]

    def _first_since(self, time: int, chains: int | None, end: int | None) -> int:
        """The first chain that begins at a time or later; any one beyond the run's bounds if there is none."""
        nanoseconds = min(time * 1000, LAST_NANOSECOND if end is None else end)
        while self._marks[-1] < nanoseconds and (chains is None or len(self._marks) * MARK_EVERY <= chains):
            self._mark_next()
        mark = max(bisect_left(self._marks, nanoseconds) - 1, 0)
        begins = self._begins(mark * MARK_EVERY, MARK_EVERY, self._marks[mark])
        return mark * MARK_EVERY + int(begins.searchsorted(nanoseconds))

    def _mark_next(self) -> None:
        """Remembers one more arrival, every 16,384th: that of the last chain before a multiple."""
        marked = (len(self._marks) - 1) * MARK_EVERY
        self._marks.append(int(self._begins(marked, MARK_EVERY, self._marks[-1])[-1]))
