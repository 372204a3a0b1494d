"""Which transitions are open at each position, so that a chain always ends: in time, and with the outcome asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from eventbus.catalog import Chain
from eventbus.catalog.graph.expand import graph_of
from eventbus.catalog.graph.graph import GraphNode, Split
from eventbus.catalog.model import Outcome
from eventbus.chains.errors import ImpossibleChain
from eventbus.chains.randomness import Words, purpose, shares
from eventbus.chains.sampling import SpeedFactor
from eventbus.chains.simulation.forks import Cursor, ForkPlanner, ForkPlans, Goal
from eventbus.chains.simulation.transitions import CompiledTransition, CompiledTrigger, TransitionCompiler


class TransitionChoice(NamedTuple):
    """The open transitions and their cumulative probabilities (× 2^32)."""

    transitions: tuple[CompiledTransition, ...]
    edges: Words
    purpose: int
    """Of the draw between them."""
    may_abandon: bool
    """Whether a chain is abandoned if the draw is above the edge of the last transition."""


class TransitionPolicy:
    """The transitions of a chain that may be taken.

    Far from `max_steps`, a transition is open if its target can reach a goal; near `max_steps`, only if it can do so in
    the events that are left.

    Args:
        outcome: the goals are the ends with this outcome; None: all ends, and chains may be abandoned.
        factors: speed factors by variable.

    Raises:
        ImpossibleChain: no goal can be reached within `max_steps` events.
    """

    def __init__(
        self, chain: Chain, outcome: Outcome | None = None, factors: Mapping[str, SpeedFactor] = MappingProxyType({})
    ) -> None:
        self.chain = chain
        self.graph = graph_of(chain)
        goals = [end for end in self.graph.ends() if outcome in (None, self.graph.state(end).outcome)]
        distances = self.graph.distances(goals)
        if distances.get(0, chain.max_steps) >= chain.max_steps:
            raise ImpossibleChain(_impossible(chain, outcome, [self.graph.nodes[end].state for end in goals]))
        self.first = Cursor(0, Goal(distances, may_abandon=outcome is None), chain.max_steps - 2)
        self._compiler = TransitionCompiler(self.graph, factors)
        self._planner = ForkPlanner(self.graph, self._compiler)
        self._transitions = [
            [self._compiler.transition(node.state, edge) for edge in node.edges] for node in self.graph.nodes
        ]
        self._triggers = {name: self._compiler.triggers(name) for name in {node.state for node in self.graph.nodes}}
        self._choices: dict[tuple[int, Goal, int], TransitionChoice] = {}

    @cached_property
    def is_sequential(self) -> bool:
        """Whether the chain has neither forks nor triggers, so that its events follow one another."""
        return not any(node.split or self._triggers[node.state] for node in self.graph.nodes)

    def choice(self, cursor: Cursor) -> TransitionChoice:
        """The open transitions; none where the chain ends."""
        key = cursor.node, cursor.goal, min(cursor.budget, len(self.graph.nodes))
        if key not in self._choices:
            self._choices[key] = self._compile(cursor)
        return self._choices[key]

    def plans(self, cursor: Cursor) -> ForkPlans:
        """The feasible plans of a fork."""
        return self._planner.plans(cursor)

    def triggers(self, cursor: Cursor) -> tuple[CompiledTrigger, ...]:
        """The chains that an event may trigger."""
        return self._triggers[self.graph.nodes[cursor.node].state]

    def triggers_of(self, state: str) -> tuple[CompiledTrigger, ...]:
        """The chains that the event of a state may trigger."""
        return self._triggers.get(state, ())

    def targets(self) -> list[str]:
        """The states that an open transition leads to, in the order of the chain."""
        return [name for name in self.chain.states if name in self._delays]

    def longest_before(self, state: str) -> int:
        """The longest delay before an event of a state, microseconds."""
        return self._delays.get(state, 0)

    def longest_before_child(self, chain: str) -> int:
        """The longest delay before the first event of a triggered chain, microseconds."""
        triggers = (trigger for of_state in self._triggers.values() for trigger in of_state)
        return max((trigger.transition.longest for trigger in triggers if trigger.chain == chain), default=0)

    def span(self, children: Mapping[str, int] = MappingProxyType({})) -> int:
        """The longest time from the first event to the last, microseconds; an upper bound if there are forks.

        Args:
            children: the spans of the chains that may be triggered.
        """
        tails = [self._tail(node.state, children) for node in self.graph.nodes]
        longest, budget = dict.fromkeys(self._distances, 0), 0
        while budget < self.chain.max_steps - 1:
            previous = longest
            longest = {node: max(tails[node], self._longest(node, budget, previous)) for node in previous}
            if longest == previous and budget > len(self.graph.nodes):  # all transitions are open: a fixed point
                break
            budget += 1
        return longest[0]

    @cached_property
    def _distances(self) -> Mapping[int, int]:
        """Distance from each node to an end of its own branch, or outside branches, to a goal."""
        splits = (node.split for node in self.graph.nodes if node.split)
        ends = (end for split in splits for branch in split.branches for nodes in branch.ends for end in nodes)
        return {**self.graph.distances(ends), **self.first.goal.distances}

    @cached_property
    def _delays(self) -> Mapping[str, int]:
        """The longest delay of the open transitions to each state, microseconds."""
        longest: dict[str, int] = {}
        for number, node in enumerate(self.graph.nodes):
            for transition in self._open(number, node):
                longest[transition.state] = max(transition.longest, longest.get(transition.state, 0))
        return longest

    def _open(self, number: int, node: GraphNode) -> Iterator[CompiledTransition]:
        if number not in self._distances:
            return
        if node.split is None:
            edges = zip(node.edges, self._transitions[number], strict=True)
            yield from (transition for edge, transition in edges if edge.weight > 0 and edge.to in self._distances)
            return
        yield from self._entries(node, node.split)
        yield from self._joins(node, node.split)

    def _entries(self, node: GraphNode, split: Split) -> Iterator[CompiledTransition]:
        return (self._compiler.transition(node.state, branch.edge) for branch in split.branches)

    def _joins(self, node: GraphNode, split: Split) -> Iterator[CompiledTransition]:
        edges = dict.fromkeys(split.joins.values())
        return (self._compiler.transition(node.state, edge) for edge in edges if edge.to in self._distances)

    def _longest(self, number: int, budget: int, after: Mapping[int, int]) -> int:
        node = self.graph.nodes[number]
        if node.split is None:
            transitions = self._open(number, node)
            return _longest((step for step in transitions if self._distances[step.to] <= budget), after)
        return _longest(self._entries(node, node.split), after) + _longest(self._joins(node, node.split), after)

    def _tail(self, state: str, children: Mapping[str, int]) -> int:
        triggers = self._triggers[state]
        return max((trigger.transition.longest + children[trigger.chain] for trigger in triggers), default=0)

    def _compile(self, cursor: Cursor) -> TransitionChoice:
        node, distances = self.graph.nodes[cursor.node], cursor.goal.distances
        weighted = [
            (edge.weight, transition)
            for edge, transition in zip(node.edges, self._transitions[cursor.node], strict=True)
            if edge.weight > 0 and distances.get(edge.to, cursor.budget + 1) <= cursor.budget
        ]
        may_abandon = node.abandon > 0 and cursor.goal.may_abandon
        weights = [weight for weight, _ in weighted] + [node.abandon] * may_abandon
        edges = np.array(shares(weights) if weights else [], np.uint64)
        transitions = tuple(transition for _, transition in weighted)
        return TransitionChoice(transitions, edges, purpose("next", self.chain.name, node.state), may_abandon)


def max_step(chain: Chain) -> int:
    """No event of a chain has a higher step, not counting those of triggered chains."""
    return chain.max_steps * max(node.fan_out for node in graph_of(chain).nodes)


def _longest(transitions: Iterable[CompiledTransition], after: Mapping[int, int]) -> int:
    return max((transition.longest + after[transition.to] for transition in transitions), default=0)


def _impossible(chain: Chain, outcome: Outcome | None, goals: list[str]) -> str:
    if not goals:
        outcomes = sorted({state.outcome for state in chain.states.values() if state.outcome})
        listed = ", ".join(outcomes) or "none"
        return f"chain {chain.name!r} never ends {outcome or 'at all'}; its outcomes are: {listed}"
    return (
        f"chain {chain.name!r} cannot get from {chain.start!r} to {' or '.join(map(repr, dict.fromkeys(goals)))}"
        f" within {chain.max_steps} events"
    )
