"""The engine: which events happen when, in virtual time, for any number of overlapping chains.

It makes chains in batches. A batch says up to when all is made: what lies before that is final and can be ordered;
the rest is carried over. Nothing here waits, and nothing is text.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from eventbus.chains.arrivals.batches import Beginnings, Bounds
from eventbus.chains.arrivals.beginnings import OpenBeginnings
from eventbus.chains.arrivals.compiled import Arrivals
from eventbus.chains.arrivals.users import Closed, ClosedBeginnings
from eventbus.chains.plan import Plan
from eventbus.chains.randomness import Integers, chain_keys
from eventbus.chains.table import EventTable


class Engine:
    """Chains of a plan, arriving in virtual time.

    Args:
        root: the random key of the run (see `randomness.purpose`).
        start: nanoseconds since the Unix epoch.
    """

    def __init__(self, plan: Plan, arrivals: Arrivals | Closed, *, root: int, start: int) -> None:
        self.plan = plan
        self._root = root
        self._start = start // 1000
        self._beginnings: Beginnings
        if isinstance(arrivals, Closed):
            self._beginnings = ClosedBeginnings(arrivals, root=root, start=start)
        else:
            self._beginnings = OpenBeginnings(arrivals, root=root, start=start)

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
        longest = 0 if since is None else int(self.plan.spans.max())
        carried = EventTable.concatenate([])
        for made, complete in self._beginnings.batches(self.expand, Bounds(chains, until, since, longest, size)):
            ready, carried = EventTable.concatenate([carried, made]).split(complete)
            if len(ready):
                yield ready.ordered()

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
        """The events of one chain, as in the run.

        Raises:
            InvalidSetting: the run has no such chain.
        """
        begin = self._beginnings.one(self.expand, index)
        return self.expand(np.array([index]), np.array([begin])).ordered()

    def expected(self, time: int) -> float:
        """How many chains begin before a time, microseconds since the Unix epoch, on average."""
        return self._beginnings.expected(self.expand, time)

    def expand(self, chain: Integers, begins: Integers, since: int | None = None) -> EventTable:
        """All events of chains, in no order.

        Args:
            chain: indices of the chains.
            begins: when they do, microseconds since the Unix epoch.
            since: leave out chains that are surely over by this time.
        """
        roots = EventTable.roots(chain, begins)
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
