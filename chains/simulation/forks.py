"""Plans how forks are simulated: how many events each branch may have, and which ends it may reach.

A fork is planned so that its join can be reached. If every combination of ends leads to the goal, branches are
simulated independently. If only some do (an outcome is asked for, or few events are left), one of these combinations is
drawn first, with the probability that follows from the weights.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import fsum, prod
from typing import NamedTuple

import numpy as np

from eventbus.catalog.graph.graph import Branch, Graph, GraphNode, Split
from eventbus.chains.randomness import Words, purpose, shares
from eventbus.chains.simulation.transitions import CompiledTransition, TransitionCompiler

MAX_ROUNDS = 10_000
NEGLIGIBLE = 1e-12
"""Paths that have not ended are no longer followed when their total probability is below this."""


def absorption_probabilities(graph: Graph, branch: Branch) -> list[float]:
    """The probability of each class of a branch's ends, by weight; the sum is below 1 if chains may be abandoned."""
    absorbed = [0.0] * len(branch.ends)
    current = {branch.edge.to: 1.0}
    for _ in range(MAX_ROUNDS):
        following: dict[int, float] = defaultdict(float)
        for number, probability in current.items():
            node = graph.nodes[number]
            if node.end is not None:
                absorbed[node.end] += probability
            for to, share in _transition_probabilities(graph, node):
                following[to] += probability * share
        current = following
        if sum(current.values()) < NEGLIGIBLE:
            break
    return absorbed


def _transition_probabilities(graph: Graph, node: GraphNode) -> Iterator[tuple[int, float]]:
    """The following nodes in the same branch, and their probabilities."""
    if node.split is None:
        total = fsum((*(edge.weight for edge in node.edges), node.abandon))
        yield from ((edge.to, edge.weight / total) for edge in node.edges)
        return
    branches = [absorption_probabilities(graph, branch) for branch in node.split.branches]
    for classes, edge in node.split.joins.items():
        yield edge.to, prod(probabilities[end] for probabilities, end in zip(branches, classes, strict=True))


MIN_WEIGHT = 1e-300
"""Weight of a combination whose probability is too small to be computed."""

EndClasses = tuple[int, ...]
"""A class of ends for each branch."""


@dataclass(frozen=True, eq=False)
class Join:
    """What follows when all branches of a fork have ended."""

    branches: int
    fan_out: int
    """Of the forking node."""
    entries: Mapping[int, BranchEntry]
    """By the sum of the codes of the branches' ends."""


@dataclass(frozen=True, eq=False)
class Goal:
    """What a chain is to reach: its end, or in a branch, an end after which the join can continue."""

    distances: Mapping[int, int]
    """The smallest number of further events from each node; a node that cannot reach the goal is absent."""
    may_abandon: bool
    join: Join | None = None
    codes: Mapping[int, int] | None = None
    """In a branch: what each end contributes to the code of the combination."""


class Cursor(NamedTuple):
    """A position of chains in the graph."""

    node: int
    goal: Goal
    budget: int
    """Events that a chain may have after its next one."""

    def follow(self, transition: CompiledTransition) -> Cursor:
        """The position after a transition."""
        return Cursor(transition.to, self.goal, self.budget - 1)


class BranchEntry(NamedTuple):
    """A transition into a branch or out of a join, and the position after it."""

    transition: CompiledTransition
    cursor: Cursor


class ForkPlan(NamedTuple):
    """One way to simulate a fork."""

    entries: tuple[BranchEntry, ...]
    """Of the branches."""
    join: Join


class ForkPlans(NamedTuple):
    """The feasible plans of a fork and their cumulative probabilities (× 2^32)."""

    plans: tuple[ForkPlan, ...]
    edges: Words
    purpose: int
    """Of the draw between them."""


class ForkPlanner:
    """Plans the forks of a graph, for each cursor when it is first reached."""

    def __init__(self, graph: Graph, compiler: TransitionCompiler) -> None:
        self._graph = graph
        self._compiler = compiler
        self._plans: dict[Cursor, ForkPlans] = {}
        self._distances: dict[tuple[int, int, int | None], Mapping[int, int]] = {}

    def plans(self, cursor: Cursor) -> ForkPlans:
        """The feasible plans at a cursor."""
        if cursor not in self._plans:
            self._plans[cursor] = self._compile(cursor)
        return self._plans[cursor]

    def _compile(self, cursor: Cursor) -> ForkPlans:
        node = self._graph.nodes[cursor.node]
        assert node.split
        plans = self._feasible(cursor, node.split)
        edges = np.array(shares([weight for weight, _ in plans]), np.uint64)
        return ForkPlans(tuple(plan for _, plan in plans), edges, purpose("next", self._graph.chain.name, node.state))

    def _feasible(self, cursor: Cursor, split: Split) -> list[tuple[float, ForkPlan]]:
        """The plans that can reach the goal, with their weights."""
        distances, branches, budget = cursor.goal.distances, split.branches, cursor.budget + 1
        possible = [
            classes
            for classes in split.joins
            if all(branch.min_events[end] for branch, end in zip(branches, classes, strict=True))
        ]
        after = {
            classes: distances[split.joins[classes].to] + 1
            for classes in possible
            if split.joins[classes].to in distances
        }
        needed = [min(filter(None, branch.min_events)) for branch in branches]
        if len(after) == len(possible) and sum(needed) + max(after.values()) <= budget:
            return [(1.0, self._plan(cursor, needed, max(after.values()), None))]
        probabilities = [absorption_probabilities(self._graph, branch) for branch in branches]
        plans = []
        for classes, needed_after in after.items():
            needed = [branch.min_events[end] for branch, end in zip(branches, classes, strict=True)]
            if sum(needed) + needed_after <= budget:
                weight = prod(by_class[end] for by_class, end in zip(probabilities, classes, strict=True))
                plans.append((weight or MIN_WEIGHT, self._plan(cursor, needed, needed_after, classes)))
        return plans

    def _plan(self, cursor: Cursor, needed: list[int], after: int, classes: EndClasses | None) -> ForkPlan:
        """Distributes the spare events evenly among the branches and what follows the join.

        Args:
            needed: events that each branch needs.
            after: events that are needed from the join on.
            classes: the ends that the branches are led to; None: any.
        """
        spare = (cursor.budget + 1 - sum(needed) - after) // (len(needed) + 1)
        join = self._join(cursor, cursor.budget + 1 - sum(needed) - spare * len(needed))
        entries = [self._entry(cursor, join, i, events + spare, classes) for i, events in enumerate(needed)]
        return ForkPlan(tuple(entries), join)

    def _join(self, cursor: Cursor, events: int) -> Join:
        node = self._graph.nodes[cursor.node]
        assert node.split
        radices = _radices(node.split)
        entries = {
            sum(end * radix for end, radix in zip(classes, radices, strict=True)): BranchEntry(
                self._compiler.transition(node.state, edge), Cursor(edge.to, cursor.goal, events - 2)
            )
            for classes, edge in node.split.joins.items()
        }
        return Join(len(node.split.branches), node.fan_out, entries)

    def _entry(self, cursor: Cursor, join: Join, number: int, events: int, classes: EndClasses | None) -> BranchEntry:
        node = self._graph.nodes[cursor.node]
        assert node.split
        branch, radix = node.split.branches[number], _radices(node.split)[number]
        goal = Goal(
            self._branch_distances(cursor.node, number, None if classes is None else classes[number]),
            cursor.goal.may_abandon and classes is None,
            join,
            {node: end * radix for end, nodes in enumerate(branch.ends) for node in nodes},
        )
        transition = self._compiler.transition(node.state, branch.edge)
        return BranchEntry(transition, Cursor(branch.edge.to, goal, events - 2))

    def _branch_distances(self, node: int, number: int, end: int | None) -> Mapping[int, int]:
        """Distances of the nodes of a branch to its ends of a class, or to any of its ends."""
        key = node, number, end
        if key not in self._distances:
            split = self._graph.nodes[node].split
            assert split
            ends = split.branches[number].ends
            self._distances[key] = self._graph.distances(frozenset().union(*ends) if end is None else ends[end])
        return self._distances[key]


def _radices(split: Split) -> list[int]:
    """The factor of each branch's class of ends in the code of a combination (a mixed-radix number)."""
    return [prod(len(branch.ends) for branch in split.branches[:number]) for number in range(len(split.branches))]
