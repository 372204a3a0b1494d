"""Walks all chains of one kind through their states together, one step of all of them at a time (a wave)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from eventbus.chains.errors import InvalidSetting
from eventbus.chains.randomness import Integers, Words, chain_keys, draw, fraction
from eventbus.chains.simulation.forks import Cursor, ForkPlan, Join
from eventbus.chains.simulation.policy import TransitionChoice, TransitionPolicy
from eventbus.chains.simulation.transitions import CompiledTransition
from eventbus.chains.table import ATTRIBUTES, CAUSE, DELAY, EMITTER, STEP, TERMINAL, TIME, EventTable

# What a step of many chains consists of: which way each of them takes, and when the event at its end comes.


Steps = int | Integers
"""The step of all events of a table, or of each."""


def choose(
    choice: TransitionChoice, keys: Words, steps: Steps
) -> Iterator[tuple[CompiledTransition | None, Integers | None]]:
    """The rows that take each way, None for all of them; those without a way are abandoned.

    Args:
        keys: of the chains.
        steps: of their events.
    """
    ways: tuple[CompiledTransition | None, ...] = (*choice.ways, None) if choice.stops else choice.ways
    if len(ways) < 2:
        yield from ((way, None) for way in ways)
        return
    numbers = choice.edges.searchsorted(fraction(draw(keys, choice.purpose, steps)), side="right")
    for number, way in enumerate(ways):
        rows = np.flatnonzero(numbers == number)
        if rows.size:
            yield way, rows


def selected(events: EventTable, keys: Words, rows: Integers | None) -> tuple[EventTable, Words]:
    """A copy of some events and the keys of their chains; None: of all of them."""
    return (events.copy(), keys) if rows is None else (events.take(rows), keys.take(rows))


def follow(way: CompiledTransition, causes: EventTable, keys: Words, steps: Steps, root: int) -> Integers:
    """Turns a copy of the causing events into their effects, but for the kind and the step.

    Args:
        keys: of the chains.
        steps: of the causing events.
        root: the random key of the run.
    """
    delays = way.delay.at(draw(keys, way.purpose, steps))
    if way.factor:
        delays = way.factor.times(delays, keys, root)
    columns = causes.columns
    columns[DELAY] = delays
    columns[TIME] += delays
    columns[CAUSE] = steps
    if way.retries:
        columns[ATTRIBUTES] += 1
    return columns


# Waits for the branches of a fork, in many chains at once.


class JoinBarrier:
    """What is known of the branches that have ended, by row of the chain.

    Args:
        chains: how many rows there are.
        branches: of the fork.
    """

    def __init__(self, chains: int, branches: int) -> None:
        self._branches = branches
        self._ended = np.zeros(chains, np.int64)
        self._item = np.zeros(chains, np.int64)
        #: The sum of the codes of the ends.
        self.code = np.zeros(chains, np.int64)
        #: Of the end that came last.
        self.time = np.zeros(chains, np.int64)
        self.step = np.zeros(chains, np.int64)
        #: The highest step of an end.
        self.highest = np.zeros(chains, np.int64)

    def open(self, rows: Integers, forking: EventTable) -> None:
        """The fork begins in some chains."""
        for column in (self._ended, self.code, self.time, self.step, self.highest):
            column[rows] = 0
        self._item[rows] = forking.attributes * (1 - self._branches)

    def add(self, rows: Integers, ends: EventTable, code: int) -> Integers:
        """A branch has ended in some chains; returns the rows of those in which it was the last one."""
        self._ended[rows] += 1
        self._item[rows] += ends.attributes
        self.code[rows] += code
        self.highest[rows] = np.maximum(self.highest.take(rows), ends.step)
        time, step = self.time.take(rows), self.step.take(rows)
        later = (ends.time > time) | ((ends.time == time) & (ends.step > step))
        self.time[rows] = np.where(later, ends.time, time)
        self.step[rows] = np.where(later, ends.step, step)
        complete: Integers = rows[self._ended.take(rows) == self._branches]
        return complete

    def causes(self, rows: Integers, roots: EventTable) -> EventTable:
        """The ends that came last, as events; retries of all branches count."""
        events = roots.take(rows)
        for number, column in ((TIME, self.time), (STEP, self.step), (ATTRIBUTES, self._item)):
            events.columns[number] = column.take(rows)
        return events


# One walk of many chains through a graph with forks, or with events that cause other chains.


ROW = TERMINAL
"""On the way this column holds the row of the chain: which event is its last is known only at the end."""


class EmitterIds(NamedTuple):
    """Indices of emitters."""

    root: int
    """Of the first event."""
    states: Mapping[str, int]
    """Of every later event, by its state."""


class StepIds(NamedTuple):
    """The steps of the chains that others cause, so that no two events under one correlation id share one."""

    most: int
    """Chains that an event may cause."""
    bits: int
    """Of the highest step of any chain by itself."""

    def first(self, causes: Integers, number: int) -> Integers:
        """The step of the first event of a chain: the number-th that events of these steps cause."""
        return (causes * self.most + number + 1) << self.bits


class ForkJoinSimulator:
    """Walks chains wave by wave, all branches at once.

    Args:
        root: the random key of the run.
        numbering: of the chains that are caused.
    """

    def __init__(self, walk: TransitionPolicy, kinds: EmitterIds, root: int, numbering: StepIds) -> None:
        self._walk = walk
        self._kinds = kinds
        self._root = root
        self._numbering = numbering
        self._gatherings: dict[Join, JoinBarrier] = {}
        self._next: dict[Cursor, list[EventTable]] = {}
        #: The first events of the chains that were caused so far.
        self.caused: dict[str, list[EventTable]] = defaultdict(list)

    def events(self, roots: EventTable) -> Iterator[EventTable]:
        """The events of chains, from their first ones on, in no order."""
        roots.columns[EMITTER] = self._kinds.root
        roots.columns[ROW] = np.arange(len(roots))
        self._roots = roots
        wave = {self._walk.first: roots}
        while wave:
            self._next = defaultdict(list)
            for spot, events in wave.items():
                self._go_on(spot, events, chain_keys(self._root, events.chain))
                yield events
            wave = {spot: EventTable.concatenate(tables) for spot, tables in self._next.items()}

    def _go_on(self, spot: Cursor, events: EventTable, keys: Words) -> None:
        node = self._walk.graph.nodes[spot.node]
        self._cause(spot, events, keys)
        if node.split:
            self._fork(spot, events, keys)
        elif spot.goal.join and node.end is not None:
            self._end(spot, spot.goal.join, events)
        else:
            self._step(spot, events, keys, node.fan_out)

    def _step(self, spot: Cursor, events: EventTable, keys: Words, lanes: int) -> None:
        for way, rows in choose(self._walk.choice(spot), keys, events.step):
            if way:
                causes, some = selected(events, keys, rows)
                columns = follow(way, causes, some, causes.step, self._root)
                columns[STEP] += lanes
                columns[EMITTER] = self._kinds.states[way.state]
                self._next[spot.after(way)].append(causes)

    def _fork(self, spot: Cursor, events: EventTable, keys: Words) -> None:
        plays = self._walk.plays(spot)
        numbers = plays.edges.searchsorted(fraction(draw(keys, plays.purpose, events.step)), side="right")
        for number, play in enumerate(plays.plays):
            rows = np.flatnonzero(numbers == number)
            if rows.size:
                self._branch(play, events.take(rows), keys.take(rows))

    def _branch(self, play: ForkPlan, forking: EventTable, keys: Words) -> None:
        join = play.join
        if join not in self._gatherings:
            self._gatherings[join] = JoinBarrier(len(self._roots), join.branches)
        self._gatherings[join].open(forking.columns[ROW], forking)
        for number, (way, spot) in enumerate(play.entries, 1):
            effects = forking.copy()
            columns = follow(way, effects, keys, forking.step, self._root)
            columns[STEP] += join.lanes * number
            columns[EMITTER] = self._kinds.states[way.state]
            self._next[spot].append(effects)

    def _end(self, spot: Cursor, join: Join, ends: EventTable) -> None:
        gathering = self._gatherings[join]
        assert spot.goal.codes
        rows = gathering.add(ends.columns[ROW], ends, spot.goal.codes[spot.node])
        codes = gathering.code.take(rows)
        for code in np.unique(codes).tolist():
            self._join(join, code, gathering, rows[codes == code])

    def _join(self, join: Join, code: int, gathering: JoinBarrier, rows: Integers) -> None:
        way, spot = join.entries[code]
        causes = gathering.causes(rows, self._roots)
        columns = follow(way, causes, chain_keys(self._root, causes.chain), causes.step, self._root)
        columns[STEP] = gathering.highest.take(rows) + join.lanes
        columns[EMITTER] = self._kinds.states[way.state]
        self._next[spot].append(causes)

    def _cause(self, spot: Cursor, events: EventTable, keys: Words) -> None:
        for number, child in enumerate(self._walk.children(spot)):
            rows = np.flatnonzero(fraction(draw(keys, child.purpose, events.step)) < np.uint64(child.edge))
            if not rows.size:
                continue
            causes = events.take(rows)
            columns = follow(child.way, causes, keys.take(rows), causes.step, self._root)
            columns[STEP] = self._numbering.first(causes.step, number)
            columns[ATTRIBUTES] = 0
            self.caused[child.chain].append(causes)


def mark_terminal(events: EventTable) -> EventTable:
    """Marks the last event of each chain: of those at the latest time, the one of the highest step."""
    chains, rows = np.unique(events.chain, return_inverse=True)
    latest, highest = np.zeros(chains.size, np.int64), np.zeros(chains.size, np.int64)
    np.maximum.at(latest, rows, events.time)
    late = np.flatnonzero(events.time == latest.take(rows))
    np.maximum.at(highest, rows.take(late), events.step.take(late))
    events.terminal[:] = 0
    events.terminal[late] = events.step.take(late) == highest.take(rows.take(late))
    return events


STEP_BITS = 62


class StateMachineSimulator:
    """A walker of state machines (see `walker.Walker`).

    Args:
        walk: the ways that are open.
        kinds: of the emitters.
        children: walkers of the chains that its events may cause.

    Raises:
        InvalidSetting: the steps of its events cannot be counted in 62 bits.
    """

    def __init__(
        self,
        walk: TransitionPolicy,
        kinds: EmitterIds,
        children: Mapping[str, StateMachineSimulator] = MappingProxyType({}),
    ) -> None:
        self.chain = walk.chain
        self.span: int = walk.span({name: child.span for name, child in children.items()})
        self._walk = walk
        self._kinds = kinds
        self._children = dict(children)
        self._numbering = _numbering(walk, [child._walk for child in children.values()])

    @property
    def highest(self) -> int:
        """No event has a higher step."""
        return self._walk.highest

    def caused(self, first: EventTable, root: int) -> Iterator[EventTable]:
        """The events of chains that others cause, unmarked.

        Args:
            first: their first events without the kind, other than those of `events`; may be written to.
            root: the random key of the run.
        """
        return self._crossing(first, root)

    def events(self, roots: EventTable, root: int) -> Iterator[EventTable]:
        """The events of chains; those that have ended drop out of the next wave."""
        if self._walk.is_line:
            yield from self._in_line(roots, root)
        else:
            yield mark_terminal(EventTable.concatenate([*self._crossing(roots, root)]))

    def _in_line(self, roots: EventTable, root: int) -> Iterator[EventTable]:
        """As `_crossing`, but faster: the wave is the step, and what has no next event is the last."""
        roots.emitter[:] = self._kinds.root
        wave, step = {self._walk.first: roots}, 0
        while wave:
            parts: dict[Cursor, list[EventTable]] = defaultdict(list)
            for spot, events in wave.items():
                for to, effects in self._followed(spot, events, step, root):
                    parts[to].append(effects)
                yield events
            wave, step = {spot: EventTable.concatenate(tables) for spot, tables in parts.items()}, step + 1

    def _followed(self, spot: Cursor, events: EventTable, step: int, root: int) -> Iterator[tuple[Cursor, EventTable]]:
        """The next events, by where they lead; marks those that have none."""
        choice = self._walk.choice(spot)
        if not choice.ways:
            events.terminal[:] = 1
            return
        keys = chain_keys(root, events.chain)
        for way, rows in choose(choice, keys, step):
            if way is None:
                events.terminal[rows] = 1
                continue
            effects, some = selected(events, keys, rows)
            columns = follow(way, effects, some, step, root)
            columns[STEP] = step + 1
            columns[EMITTER] = self._kinds.states[way.state]
            yield spot.after(way), effects

    def _crossing(self, roots: EventTable, root: int) -> Iterator[EventTable]:
        """The events of chains and of those that they cause, unmarked."""
        crossing = ForkJoinSimulator(self._walk, self._kinds, root, self._numbering)
        yield from crossing.events(roots)
        for name, first in crossing.caused.items():
            yield from self._children[name]._crossing(EventTable.concatenate(first), root)


def _numbering(walk: TransitionPolicy, children: list[TransitionPolicy]) -> StepIds:
    most = max(len(state.causes) for state in walk.chain.states.values())
    numbering = StepIds(most, max(one.highest for one in (walk, *children)).bit_length())
    if most and (walk.highest * most + most).bit_length() + numbering.bits > STEP_BITS:
        raise InvalidSetting(
            f"chain {walk.chain.name!r} and those that it causes have too many steps: lower their `max_steps`"
        )
    return numbering
