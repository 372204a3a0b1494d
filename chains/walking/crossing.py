"""One walk of many chains through a graph with forks, or with events that cause other chains."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from eventbus.chains.randomness import Integers, Words, chain_keys, draw, fraction
from eventbus.chains.table import ITEM, KIND, LAST, STEP, EventTable
from eventbus.chains.walking.forks import Join, Play, Spot
from eventbus.chains.walking.gathering import Gathering
from eventbus.chains.walking.steps import follow, part, taken
from eventbus.chains.walking.walk import Walk

ROW = LAST
"""On the way this column holds the row of the chain: which event is its last is known only at the end."""


class Kinds(NamedTuple):
    """Indices of emitters."""

    root: int
    """Of the first event."""
    states: Mapping[str, int]
    """Of every later event, by its state."""


class Numbering(NamedTuple):
    """The steps of the chains that others cause, so that no two events under one correlation id share one."""

    most: int
    """Chains that an event may cause."""
    bits: int
    """Of the highest step of any chain by itself."""

    def first(self, causes: Integers, number: int) -> Integers:
        """The step of the first event of a chain: the number-th that events of these steps cause."""
        return (causes * self.most + number + 1) << self.bits


class Crossing:
    """Walks chains wave by wave, all branches at once.

    Args:
        root: the random key of the run.
        numbering: of the chains that are caused.
    """

    def __init__(self, walk: Walk, kinds: Kinds, root: int, numbering: Numbering) -> None:
        self._walk = walk
        self._kinds = kinds
        self._root = root
        self._numbering = numbering
        self._gatherings: dict[Join, Gathering] = {}
        self._next: dict[Spot, list[EventTable]] = {}
        #: The first events of the chains that were caused so far.
        self.caused: dict[str, list[EventTable]] = defaultdict(list)

    def events(self, roots: EventTable) -> Iterator[EventTable]:
        """The events of chains, from their first ones on, in no order."""
        roots.columns[KIND] = self._kinds.root
        roots.columns[ROW] = np.arange(len(roots))
        self._roots = roots
        wave = {self._walk.first: roots}
        while wave:
            self._next = defaultdict(list)
            for spot, events in wave.items():
                self._go_on(spot, events, chain_keys(self._root, events.chain))
                yield events
            wave = {spot: EventTable.concatenate(tables) for spot, tables in self._next.items()}

    def _go_on(self, spot: Spot, events: EventTable, keys: Words) -> None:
        node = self._walk.graph.nodes[spot.node]
        self._cause(spot, events, keys)
        if node.split:
            self._fork(spot, events, keys)
        elif spot.goal.join and node.end is not None:
            self._end(spot, spot.goal.join, events)
        else:
            self._step(spot, events, keys, node.lanes)

    def _step(self, spot: Spot, events: EventTable, keys: Words, lanes: int) -> None:
        for way, rows in taken(self._walk.choice(spot), keys, events.step):
            if way:
                causes, some = part(events, keys, rows)
                columns = follow(way, causes, some, causes.step, self._root)
                columns[STEP] += lanes
                columns[KIND] = self._kinds.states[way.state]
                self._next[spot.after(way)].append(causes)

    def _fork(self, spot: Spot, events: EventTable, keys: Words) -> None:
        plays = self._walk.plays(spot)
        numbers = plays.edges.searchsorted(fraction(draw(keys, plays.purpose, events.step)), side="right")
        for number, play in enumerate(plays.plays):
            rows = np.flatnonzero(numbers == number)
            if rows.size:
                self._branch(play, events.take(rows), keys.take(rows))

    def _branch(self, play: Play, forking: EventTable, keys: Words) -> None:
        join = play.join
        if join not in self._gatherings:
            self._gatherings[join] = Gathering(len(self._roots), join.branches)
        self._gatherings[join].open(forking.columns[ROW], forking)
        for number, (way, spot) in enumerate(play.entries, 1):
            effects = forking.copy()
            columns = follow(way, effects, keys, forking.step, self._root)
            columns[STEP] += join.lanes * number
            columns[KIND] = self._kinds.states[way.state]
            self._next[spot].append(effects)

    def _end(self, spot: Spot, join: Join, ends: EventTable) -> None:
        gathering = self._gatherings[join]
        assert spot.goal.codes
        rows = gathering.add(ends.columns[ROW], ends, spot.goal.codes[spot.node])
        codes = gathering.code.take(rows)
        for code in np.unique(codes).tolist():
            self._join(join, code, gathering, rows[codes == code])

    def _join(self, join: Join, code: int, gathering: Gathering, rows: Integers) -> None:
        way, spot = join.entries[code]
        causes = gathering.causes(rows, self._roots)
        columns = follow(way, causes, chain_keys(self._root, causes.chain), causes.step, self._root)
        columns[STEP] = gathering.highest.take(rows) + join.lanes
        columns[KIND] = self._kinds.states[way.state]
        self._next[spot].append(causes)

    def _cause(self, spot: Spot, events: EventTable, keys: Words) -> None:
        for number, child in enumerate(self._walk.children(spot)):
            rows = np.flatnonzero(fraction(draw(keys, child.purpose, events.step)) < np.uint64(child.edge))
            if not rows.size:
                continue
            causes = events.take(rows)
            columns = follow(child.way, causes, keys.take(rows), causes.step, self._root)
            columns[STEP] = self._numbering.first(causes.step, number)
            columns[ITEM] = 0
            self.caused[child.chain].append(causes)


def mark_last(events: EventTable) -> EventTable:
    """Marks the last event of each chain: of those at the latest time, the one of the highest step."""
    chains, rows = np.unique(events.chain, return_inverse=True)
    latest, highest = np.zeros(chains.size, np.int64), np.zeros(chains.size, np.int64)
    np.maximum.at(latest, rows, events.time)
    late = np.flatnonzero(events.time == latest.take(rows))
    np.maximum.at(highest, rows.take(late), events.step.take(late))
    events.last[:] = 0
    events.last[late] = events.step.take(late) == highest.take(rows.take(late))
    return events
