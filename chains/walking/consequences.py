"""What clicks of visitors cause behind the scenes: chains of the catalog, under the correlation id of the session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from eventbus.catalog.model.visitors import Visitors
from eventbus.chains.randomness import chain_keys, draw, fraction
from eventbus.chains.table import ITEM, STEP, EventTable
from eventbus.chains.walking.crossing import Numbering, mark_last
from eventbus.chains.walking.site import NONE
from eventbus.chains.walking.steps import follow
from eventbus.chains.walking.visits import CLICK
from eventbus.chains.walking.walk import Walk
from eventbus.chains.walking.waves import Waves


class Consequences:
    """The chains that may be caused.

    Args:
        walk: of the sessions; its states say how often a click causes a chain that it may cause, and how soon.
        visitors: which click may cause which chain.
        children: walkers of these chains.
    """

    def __init__(self, walk: Walk, visitors: Visitors, children: Mapping[str, Waves]) -> None:
        ways = {kind: {child.chain: child for child in walk.caused_by(kind)} for kind in ("button", "link")}
        every = [(kind, name) for kind, some in ways.items() for name in some]
        self.children = [ways[kind][name] for kind, name in every]
        self.walkers = [children[name] for _, name in every]
        numbers = {key: number for number, key in enumerate(every)}
        #: By click: the number of the chain.
        self.of_click = np.array([numbers.get((c.kind, c.causes or ""), NONE) for _, c in visitors.clicks], np.int64)
        highest = max([walk.chain.max_steps, *(walker.highest for walker in self.walkers)])
        self.numbering = Numbering(1, highest.bit_length())

    @property
    def span(self) -> int:
        """The longest time from a click to the end of what it caused, microseconds."""
        pairs = zip(self.children, self.walkers, strict=True)
        return max((child.way.longest + walker.span for child, walker in pairs), default=0)

    def begin(self, root: int) -> Caused:
        """Of some sessions.

        Args:
            root: the random key of the run.
        """
        return Caused(self, root)


class Caused:
    """What the clicks of some sessions cause."""

    def __init__(self, consequences: Consequences, root: int) -> None:
        self._consequences = consequences
        self._root = root
        self._first: list[list[EventTable]] = [[] for _ in consequences.children]

    def add(self, clicks: EventTable) -> None:
        """Notes the first events of the chains that clicks cause."""
        if not self._first or not len(clicks):
            return
        numbers = self._consequences.of_click.take(CLICK.get(clicks.item))
        for number, child in enumerate(self._consequences.children):
            events = clicks.take(np.flatnonzero(numbers == number))
            keys = chain_keys(self._root, events.chain)
            rows = np.flatnonzero(fraction(draw(keys, child.purpose, events.step)) < np.uint64(child.edge))
            events = events.take(rows)
            columns = follow(child.way, events, keys.take(rows), events.step, self._root)
            columns[STEP] = self._consequences.numbering.first(columns[STEP], 0)
            columns[ITEM] = 0
            self._first[number].append(events)

    def events(self, ended: EventTable) -> Iterator[EventTable]:
        """All events of the chains that were caused, and the last ones of the sessions.

        Args:
            ended: these last ones; a session is over when what it caused is, too.
        """
        walkers = self._consequences.walkers
        first = [EventTable.concatenate(tables) for tables in self._first]
        made = [table for walker, some in zip(walkers, first, strict=True) for table in walker.caused(some, self._root)]
        caused = EventTable.concatenate(made)
        longer = np.isin(ended.chain, caused.chain)
        yield ended.take(np.flatnonzero(~longer))
        if len(caused):
            yield mark_last(EventTable.concatenate([ended.take(np.flatnonzero(longer)), caused]))
