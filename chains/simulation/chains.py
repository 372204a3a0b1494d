"""Simulates all chains of one name together, one step of all of them at a time (level-synchronously)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from eventbus.catalog import Chain
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.randomness import Integers, Words, chain_keys, draw, fraction
from eventbus.chains.simulation.forks import Cursor, ForkPlan, Join
from eventbus.chains.simulation.policy import TransitionChoice, TransitionPolicy, max_step
from eventbus.chains.simulation.transitions import CompiledTransition
from eventbus.chains.table import ATTRIBUTES, CAUSE, DELAY, EMITTER, STEP, TERMINAL, TIME, EventTable, StepIds, Steps


def choose(
    choice: TransitionChoice, keys: Words, steps: Steps
) -> Iterator[tuple[CompiledTransition | None, Integers | None]]:
    """The rows that take each transition; None instead of the rows means all of them.

    Chains without a transition are abandoned.

    Args:
        keys: of the chains.
        steps: of their events.
    """
    transitions: tuple[CompiledTransition | None, ...] = choice.transitions
    if choice.may_abandon:
        transitions = (*transitions, None)
    if len(transitions) < 2:
        yield from ((transition, None) for transition in transitions)
        return
    numbers = choice.edges.searchsorted(fraction(draw(keys, choice.purpose, steps)), side="right")
    for number, transition in enumerate(transitions):
        rows = np.flatnonzero(numbers == number)
        if rows.size:
            yield transition, rows


def selected(events: EventTable, keys: Words, rows: Integers | None) -> tuple[EventTable, Words]:
    """A copy of the events in some rows and the keys of their chains; None: of all events."""
    return (events.copy(), keys) if rows is None else (events.take(rows), keys.take(rows))


def follow(transition: CompiledTransition, causes: EventTable, keys: Words, steps: Steps, root: int) -> Integers:
    """Turns a copy of the causing events into their effects, except for the emitter and the step.

    Args:
        keys: of the chains.
        steps: of the causing events.
        root: the random key of the run.

    Returns:
        The columns of the effects.
    """
    delays = transition.delay.at(draw(keys, transition.purpose, steps))
    if transition.factor:
        delays = transition.factor.times(delays, keys, steps, root)
    columns = causes.columns
    columns[DELAY] = delays
    columns[TIME] += delays
    columns[CAUSE] = steps
    if transition.is_retry:
        columns[ATTRIBUTES] += 1
    return columns


class JoinBarrier:
    """Waits for the branches of a fork, in many chains at once; columns are indexed by the row of the chain.

    Args:
        chains: number of rows.
        branches: of the fork.
    """

    def __init__(self, chains: int, branches: int) -> None:
        self._branches = branches
        self._ended = np.zeros(chains, np.int64)
        self._attributes = np.zeros(chains, np.int64)
        #: The sum of the codes of the ends.
        self.code = np.zeros(chains, np.int64)
        #: Of the end that came last.
        self.time = np.zeros(chains, np.int64)
        self.step = np.zeros(chains, np.int64)
        #: The highest step of an end.
        self.highest = np.zeros(chains, np.int64)

    def open(self, rows: Integers, forking: EventTable) -> None:
        """Begins the fork in some chains."""
        for column in (self._ended, self.code, self.time, self.step, self.highest):
            column[rows] = 0
        self._attributes[rows] = forking.attributes * (1 - self._branches)

    def add(self, rows: Integers, ends: EventTable, code: int) -> Integers:
        """Adds the end of a branch in some chains; returns the rows of those in which it was the last branch."""
        self._ended[rows] += 1
        self._attributes[rows] += ends.attributes
        self.code[rows] += code
        self.highest[rows] = np.maximum(self.highest.take(rows), ends.step)
        time, step = self.time.take(rows), self.step.take(rows)
        later = (ends.time > time) | ((ends.time == time) & (ends.step > step))
        self.time[rows] = np.where(later, ends.time, time)
        self.step[rows] = np.where(later, ends.step, step)
        complete: Integers = rows[self._ended.take(rows) == self._branches]
        return complete

    def causes(self, rows: Integers, roots: EventTable) -> EventTable:
        """The ends that came last, as events; their attributes count the retries of all branches."""
        events = roots.take(rows)
        for number, column in ((TIME, self.time), (STEP, self.step), (ATTRIBUTES, self._attributes)):
            events.columns[number] = column.take(rows)
        return events


ROW = TERMINAL
"""During the simulation this column holds the row of the chain: the last event is known only at the end."""


class EmitterIds(NamedTuple):
    """Indices of emitters."""

    root: int
    """Of the first event."""
    states: Mapping[str, int]
    """Of every later event, by its state."""


class ForkJoinSimulator:
    """One simulation of chains with forks or triggers; all branches advance together.

    Args:
        root: the random key of the run.
        step_ids: of the triggered chains.
    """

    def __init__(self, policy: TransitionPolicy, emitters: EmitterIds, root: int, step_ids: StepIds) -> None:
        self._policy = policy
        self._emitters = emitters
        self._root = root
        self._step_ids = step_ids
        self._barriers: dict[Join, JoinBarrier] = {}
        self._next: dict[Cursor, list[EventTable]] = {}
        #: The first events of the chains that were triggered so far, by chain.
        self.triggered: dict[str, list[EventTable]] = defaultdict(list)

    def events(self, roots: EventTable) -> Iterator[EventTable]:
        """The events of chains, from their first ones on, in no order."""
        roots.columns[EMITTER] = self._emitters.root
        roots.columns[ROW] = np.arange(len(roots))
        self._roots = roots
        frontier = {self._policy.first: roots}
        while frontier:
            self._next = defaultdict(list)
            for cursor, events in frontier.items():
                self._advance(cursor, events, chain_keys(self._root, events.chain))
                yield events
            frontier = {cursor: EventTable.concatenate(tables) for cursor, tables in self._next.items()}

    def _advance(self, cursor: Cursor, events: EventTable, keys: Words) -> None:
        node = self._policy.graph.nodes[cursor.node]
        self._trigger(cursor, events, keys)
        if node.split:
            self._fork(cursor, events, keys)
        elif cursor.goal.join and node.end is not None:
            self._end_branch(cursor, cursor.goal.join, events)
        else:
            self._step(cursor, events, keys, node.fan_out)

    def _step(self, cursor: Cursor, events: EventTable, keys: Words, fan_out: int) -> None:
        for transition, rows in choose(self._policy.choice(cursor), keys, events.step):
            if transition:
                effects, keys_of_rows = selected(events, keys, rows)
                columns = follow(transition, effects, keys_of_rows, effects.step, self._root)
                columns[STEP] += fan_out
                columns[EMITTER] = self._emitters.states[transition.state]
                self._next[cursor.follow(transition)].append(effects)

    def _fork(self, cursor: Cursor, events: EventTable, keys: Words) -> None:
        plans = self._policy.plans(cursor)
        numbers = plans.edges.searchsorted(fraction(draw(keys, plans.purpose, events.step)), side="right")
        for number, plan in enumerate(plans.plans):
            rows = np.flatnonzero(numbers == number)
            if rows.size:
                self._begin_branches(plan, events.take(rows), keys.take(rows))

    def _begin_branches(self, plan: ForkPlan, forking: EventTable, keys: Words) -> None:
        join = plan.join
        if join not in self._barriers:
            self._barriers[join] = JoinBarrier(len(self._roots), join.branches)
        self._barriers[join].open(forking.columns[ROW], forking)
        for number, (transition, cursor) in enumerate(plan.entries, 1):
            effects = forking.copy()
            columns = follow(transition, effects, keys, forking.step, self._root)
            columns[STEP] += join.fan_out * number
            columns[EMITTER] = self._emitters.states[transition.state]
            self._next[cursor].append(effects)

    def _end_branch(self, cursor: Cursor, join: Join, ends: EventTable) -> None:
        barrier = self._barriers[join]
        assert cursor.goal.codes
        rows = barrier.add(ends.columns[ROW], ends, cursor.goal.codes[cursor.node])
        codes = barrier.code.take(rows)
        for code in np.unique(codes).tolist():
            self._join(join, code, barrier, rows[codes == code])

    def _join(self, join: Join, code: int, barrier: JoinBarrier, rows: Integers) -> None:
        transition, cursor = join.entries[code]
        effects = barrier.causes(rows, self._roots)
        columns = follow(transition, effects, chain_keys(self._root, effects.chain), effects.step, self._root)
        columns[STEP] = barrier.highest.take(rows) + join.fan_out
        columns[EMITTER] = self._emitters.states[transition.state]
        self._next[cursor].append(effects)

    def _trigger(self, cursor: Cursor, events: EventTable, keys: Words) -> None:
        for number, trigger in enumerate(self._policy.triggers(cursor)):
            rows = np.flatnonzero(fraction(draw(keys, trigger.purpose, events.step)) < np.uint64(trigger.edge))
            if not rows.size:
                continue
            effects = events.take(rows)
            columns = follow(trigger.transition, effects, keys.take(rows), effects.step, self._root)
            columns[STEP] = self._step_ids.first(effects.step, number)
            columns[ATTRIBUTES] = 0
            self.triggered[trigger.chain].append(effects)


def mark_terminal(events: EventTable) -> EventTable:
    """Marks the last event of each chain: of those at the latest time, the one with the highest step."""
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
    """Simulates state machines (see `simulation.Simulator`).

    Args:
        policy: the open transitions.
        step_ids: of the chain and of those that it may trigger.
        children: simulators of the chains that may be triggered.
    """

    def __init__(
        self,
        policy: TransitionPolicy,
        emitters: EmitterIds,
        step_ids: StepIds,
        children: Mapping[str, StateMachineSimulator] = MappingProxyType({}),
    ) -> None:
        self.chain = policy.chain
        self.span: int = policy.span({name: child.span for name, child in children.items()})
        self._policy = policy
        self._emitters = emitters
        self._children = dict(children)
        self._step_ids = step_ids

    def triggered_events(self, first: EventTable, root: int) -> Iterator[EventTable]:
        """The events of triggered chains; none is marked as terminal.

        Args:
            first: their first events without the emitter; may be modified.
            root: the random key of the run.
        """
        return self._fork_join(first, root)

    def events(self, roots: EventTable, root: int) -> Iterator[EventTable]:
        """The events of chains; a chain that has ended leaves the frontier."""
        if self._policy.is_sequential:
            yield from self._sequential(roots, root)
        else:
            yield mark_terminal(EventTable.concatenate([*self._fork_join(roots, root)]))

    def _sequential(self, roots: EventTable, root: int) -> Iterator[EventTable]:
        """The faster simulation of chains without forks and triggers.

        All events of a frontier have the same step, and an event without a successor is the last one.
        """
        roots.emitter[:] = self._emitters.root
        frontier, step = {self._policy.first: roots}, 0
        while frontier:
            tables: dict[Cursor, list[EventTable]] = defaultdict(list)
            for cursor, events in frontier.items():
                for target, effects in self._successors(cursor, events, step, root):
                    tables[target].append(effects)
                yield events
            frontier, step = {cursor: EventTable.concatenate(parts) for cursor, parts in tables.items()}, step + 1

    def _successors(
        self, cursor: Cursor, events: EventTable, step: int, root: int
    ) -> Iterator[tuple[Cursor, EventTable]]:
        """The next events, by the position after them; marks the events that have none."""
        choice = self._policy.choice(cursor)
        if not choice.transitions:
            events.terminal[:] = 1
            return
        keys = chain_keys(root, events.chain)
        for transition, rows in choose(choice, keys, step):
            if transition is None:
                events.terminal[rows] = 1
                continue
            effects, keys_of_rows = selected(events, keys, rows)
            columns = follow(transition, effects, keys_of_rows, step, root)
            columns[STEP] = step + 1
            columns[EMITTER] = self._emitters.states[transition.state]
            yield cursor.follow(transition), effects

    def _fork_join(self, roots: EventTable, root: int) -> Iterator[EventTable]:
        """The events of chains and of those that they trigger; none is marked as terminal."""
        simulator = ForkJoinSimulator(self._policy, self._emitters, root, self._step_ids)
        yield from simulator.events(roots)
        for name, first in simulator.triggered.items():
            yield from self._children[name]._fork_join(EventTable.concatenate(first), root)


def compile_step_ids(families: Iterable[Sequence[Chain]]) -> StepIds:
    """Numbers the steps of a chain and of those that it may trigger.

    Args:
        families: variants of the chain, each with those that it may trigger behind it.

    Raises:
        InvalidSetting: the steps of the events do not fit into 62 bits.
    """
    variants = list(families)
    chain = variants[0][0]
    # a click causes one chain at most
    max_triggers = 1 if chain.visitors else max(len(state.causes) for state in chain.states.values())
    highest = max(max_step(variant[0]) for variant in variants)
    bits = max(max_step(member) for variant in variants for member in variant).bit_length()
    if max_triggers and (highest * max_triggers + max_triggers).bit_length() + bits > STEP_BITS:
        raise InvalidSetting(
            f"chain {chain.name!r} and those that it causes have too many steps: lower their `max_steps`"
        )
    return StepIds(max_triggers, bits)
