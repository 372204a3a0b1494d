"""How a chain is walked: the ways that are open at each spot, so that it always ends, in time and as it should."""

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
    """The ways that are open, and the upper edge of each one's share in 2^32 parts."""

    ways: tuple[CompiledTransition, ...]
    edges: Words
    purpose: int
    """Of the draw between them."""
    stops: bool
    """Whether what is above the last way's edge is abandoned."""


class TransitionPolicy:
    """The ways of a chain that may be taken.

    Far from `max_steps`, every way is open from whose target a goal can be reached; near it, only those from whose
    target it can be reached in the steps that are left.

    Args:
        outcome: the goals are the ends of the chain with this outcome; None: all ends, and walks may be abandoned.
        factors: of the chain's variables that have one.

    Raises:
        ImpossibleChain: no goal can be reached within `max_steps` events.
    """

    def __init__(
        self, chain: Chain, outcome: Outcome | None = None, factors: Mapping[str, SpeedFactor] = MappingProxyType({})
    ) -> None:
        self.chain = chain
        self.graph = graph_of(chain)
        goals = [end for end in self.graph.ends() if outcome in (None, self.graph.state(end).outcome)]
        far = self.graph.distances(goals)
        if far.get(0, chain.max_steps) >= chain.max_steps:
            raise ImpossibleChain(_impossible(chain, outcome, [self.graph.nodes[end].state for end in goals]))
        self.first = Cursor(0, Goal(far, may_stop=outcome is None), chain.max_steps - 2)
        self._compiler = TransitionCompiler(self.graph, factors)
        self._forks = ForkPlanner(self.graph, self._compiler)
        self._ways = [[self._compiler.way(node.state, edge) for edge in node.edges] for node in self.graph.nodes]
        self._children = {name: self._compiler.children(name) for name in {node.state for node in self.graph.nodes}}
        self._choices: dict[tuple[int, Goal, int], TransitionChoice] = {}

    @cached_property
    def is_line(self) -> bool:
        """Whether one event follows another, with no forks and no other chains."""
        return not any(node.split or self._children[node.state] for node in self.graph.nodes)

    @cached_property
    def highest(self) -> int:
        """No event has a higher step."""
        return self.chain.max_steps * max(node.fan_out for node in self.graph.nodes)

    def choice(self, spot: Cursor) -> TransitionChoice:
        """The ways that are open; none where the walk ends."""
        key = spot.node, spot.goal, min(spot.left, len(self.graph.nodes))
        if key not in self._choices:
            self._choices[key] = self._choice(spot)
        return self._choices[key]

    def plays(self, spot: Cursor) -> ForkPlans:
        """The manners of walking a fork that are open."""
        return self._forks.plays(spot)

    def children(self, spot: Cursor) -> tuple[CompiledTrigger, ...]:
        """The chains that an event may cause."""
        return self._children[self.graph.nodes[spot.node].state]

    def caused_by(self, state: str) -> tuple[CompiledTrigger, ...]:
        """The chains that the event of a state may cause."""
        return self._children[state]

    def targets(self) -> list[str]:
        """The states that some open way leads to, in the chain's order."""
        return [name for name in self.chain.states if name in self._delays]

    def longest_before(self, state: str) -> int:
        """The longest delay that leads to a state, microseconds."""
        return self._delays.get(state, 0)

    def longest_before_child(self, chain: str) -> int:
        """The longest delay that leads to a chain that an event causes, microseconds."""
        every = (child for some in self._children.values() for child in some if child.chain == chain)
        return max((child.way.longest for child in every), default=0)

    def span(self, children: Mapping[str, int] = MappingProxyType({})) -> int:
        """The longest time from the first event to the last, microseconds; an upper bound where there are forks.

        Args:
            children: the spans of the chains that it causes.
        """
        tails = [self._tail(node.state, children) for node in self.graph.nodes]
        longest, left = dict.fromkeys(self._far, 0), 0
        while left < self.chain.max_steps - 1:
            before, longest = longest, {node: max(tails[node], self._longest(node, left, longest)) for node in longest}
            if longest == before and left > len(self.graph.nodes):  # all ways are open, and nothing grows any more
                break
            left += 1
        return longest[0]

    @cached_property
    def _far(self) -> Mapping[int, int]:
        """Fewest further events from each node to an end of its own branch, or in none, to a goal."""
        splits = (node.split for node in self.graph.nodes if node.split)
        ends = (end for split in splits for branch in split.branches for some in branch.ends for end in some)
        return {**self.graph.distances(ends), **self.first.goal.far}

    @cached_property
    def _delays(self) -> Mapping[str, int]:
        """The longest delay of the open ways to each state, microseconds."""
        longest: dict[str, int] = {}
        for number, node in enumerate(self.graph.nodes):
            for way in self._open(number, node):
                longest[way.state] = max(way.longest, longest.get(way.state, 0))
        return longest

    def _open(self, number: int, node: GraphNode) -> Iterator[CompiledTransition]:
        if number not in self._far:
            return
        if node.split is None:
            edges = zip(node.edges, self._ways[number], strict=True)
            yield from (way for edge, way in edges if edge.weight > 0 and edge.to in self._far)
            return
        yield from self._entries(node, node.split)
        yield from self._joins(node, node.split)

    def _entries(self, node: GraphNode, split: Split) -> Iterator[CompiledTransition]:
        return (self._compiler.way(node.state, branch.edge) for branch in split.branches)

    def _joins(self, node: GraphNode, split: Split) -> Iterator[CompiledTransition]:
        edges = dict.fromkeys(split.joins.values())
        return (self._compiler.way(node.state, edge) for edge in edges if edge.to in self._far)

    def _longest(self, number: int, left: int, onward: Mapping[int, int]) -> int:
        node = self.graph.nodes[number]
        if node.split is None:
            return _longest((way for way in self._open(number, node) if self._far[way.to] <= left), onward)
        return _longest(self._entries(node, node.split), onward) + _longest(self._joins(node, node.split), onward)

    def _tail(self, state: str, children: Mapping[str, int]) -> int:
        return max((one.way.longest + children[one.chain] for one in self._children[state]), default=0)

    def _choice(self, spot: Cursor) -> TransitionChoice:
        node, far = self.graph.nodes[spot.node], spot.goal.far
        every = zip(node.edges, self._ways[spot.node], strict=True)
        ways = [(e.weight, way) for e, way in every if e.weight > 0 and far.get(e.to, spot.left + 1) <= spot.left]
        stops = node.abandon > 0 and spot.goal.may_stop
        weights = [weight for weight, _ in ways] + [node.abandon] * stops
        edges = np.array(shares(weights) if weights else [], np.uint64)
        drawn = purpose(f"{self.chain.name}/{node.state}/next")
        return TransitionChoice(tuple(way for _, way in ways), edges, drawn, stops)


def _longest(ways: Iterable[CompiledTransition], onward: Mapping[int, int]) -> int:
    return max((way.longest + onward[way.to] for way in ways), default=0)


def _impossible(chain: Chain, outcome: Outcome | None, goals: list[str]) -> str:
    if not goals:
        known = sorted({state.outcome for state in chain.states.values() if state.outcome})
        return f"chain {chain.name!r} never ends {outcome or 'at all'}; its outcomes are: {', '.join(known) or 'none'}"
    return (
        f"chain {chain.name!r} cannot get from {chain.start!r} to {' or '.join(map(repr, dict.fromkeys(goals)))}"
        f" within {chain.max_steps} events"
    )
