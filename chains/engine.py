"""The engine: which events happen when, in virtual time, for any number of overlapping chains.

It makes all chains of a block together. The watermark is the arrival of
the next block's first chain: nothing earlier can come any more, so what lies before it is final and can be ordered;
the rest is carried over. Nothing here waits, and nothing is text.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chains.arrivals import Arrivals
from chains.beginnings import Beginnings
from chains.plan import Plan
from chains.randomness import Integers, chain_keys
from chains.table import EventTable

FIRST_BLOCK = 16
"""Chains in the first block; each is twice the one before, so that the first event comes at once."""


class Engine:
    """Chains of a plan, arriving in virtual time.

    Args:
        root: the random key of the run (see `randomness.purpose`).
        start: nanoseconds since the Unix epoch.
    """

    def __init__(self, plan: Plan, arrivals: Arrivals, *, root: int, start: int) -> None:
        self.plan = plan
        self._root = root
        self._start = start // 1000
        self._beginnings = Beginnings(arrivals, root=root, start=start)

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
        first = 0
        if since is not None:
            first = self._beginnings.first_since(since - int(self.plan.spans.max()), chains, until)
        wanted = min(FIRST_BLOCK, size)
        while True:
            count = wanted if chains is None else max(min(wanted, chains - first), 0)
            begins = self._beginnings.of(first, count + 1)  # one more, for the watermark
            if until is not None:
                count = min(count, int(begins.searchsorted(until)))
            made = self.expand(first, begins[:count] // 1000, since)
            if count < wanted:
                break
            ready, carried = EventTable.concatenate([carried, made]).split(int(begins[count]) // 1000)
            if len(ready):
                yield ready.ordered()
            first, wanted = first + count, min(wanted * 2, size)
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
        return self.expand(index, self._beginnings.of(index, 1) // 1000).ordered()

    def expand(self, first: int, begins: Integers, since: int | None = None) -> EventTable:
        """All events of consecutive chains, in no order.

        Args:
            begins: arrivals, microseconds since the Unix epoch.
            since: leave out chains that are surely over by this time.
        """
        roots = EventTable.roots(np.arange(first, first + begins.size), begins)
        chosen = self.plan.choose(chain_keys(self._root, roots.chain), begins - self._start)
        if since is not None:
            alive = np.flatnonzero(begins >= since - self.plan.spans.take(chosen))
            roots, chosen = roots.take(alive), chosen.take(alive)
        made: list[EventTable] = []
        for number, walker in enumerate(self.plan.walkers):
            rows = np.flatnonzero(chosen == number)
            if rows.size:
                made += walker.events(roots.take(rows), self._root)
        return EventTable.concatenate(made)
