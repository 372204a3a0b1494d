"""How forks are walked: how many events each branch may have, and which ends it is led to, so that the join can come.

Where every combination of ends leads to a goal, branches walk freely. Where only some do (an outcome is asked for, or
few events are left), one of these is drawn first, as probable as it is by the weights.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from eventbus.catalog.graph.graph import Branch, Graph, GraphNode, Split
from eventbus.chains.randomness import Words, purpose, shares
from eventbus.chains.simulation.transitions import CompiledTransition, TransitionCompiler

# How probable each end of a branch is, by the weights alone.


ROUNDS = 10_000
NOTHING = 1e-12
"""Walks that are rarer than this and still on their way are left out."""


def absorption_probabilities(graph: Graph, branch: Branch) -> list[float]:
    """The probability of each class of a branch's ends; less than 1 together, if walks may be abandoned."""
    ended = [0.0] * len(branch.ends)
    ahead = {branch.edge.to: 1.0}
    for _ in range(ROUNDS):
        onward: dict[int, float] = defaultdict(float)
        for number, chance in ahead.items():
            node = graph.nodes[number]
            if node.end is not None:
                ended[node.end] += chance
            for to, share in _shares(graph, node):
                onward[to] += chance * share
        ahead = onward
        if sum(ahead.values()) < NOTHING:
            break
    return ended


def _shares(graph: Graph, node: GraphNode) -> Iterator[tuple[int, float]]:
    """The nodes that follow in the same branch, and how often."""
    if node.split is None:
        total = sum(edge.weight for edge in node.edges) + node.abandon
        yield from ((edge.to, edge.weight / total) for edge in node.edges)
        return
    inside = [absorption_probabilities(graph, branch) for branch in node.split.branches]
    for kinds, edge in node.split.joins.items():
        yield edge.to, prod(chances[kind] for chances, kind in zip(inside, kinds, strict=True))


RAREST = 1e-300
"""Weight of a combination that is possible, but too rare to be counted."""

EndClasses = tuple[int, ...]
"""A class of ends for each branch."""


@dataclass(frozen=True, eq=False)
class Join:
    """What comes when the branches of a fork have all ended."""

    branches: int
    lanes: int
    """Of the forking node."""
    entries: Mapping[int, BranchEntry]
    """By the sum of the codes of the branches' ends."""


@dataclass(frozen=True, eq=False)
class Goal:
    """What walks are to reach: the end of the chain, or in a branch, an end from which the join can go on."""

    far: Mapping[int, int]
    """Fewest further events from each node; a node that cannot reach it is absent."""
    may_stop: bool
    """Whether walks may be abandoned."""
    join: Join | None = None
    codes: Mapping[int, int] | None = None
    """In a branch: what each end adds to the code of the combination."""


class Cursor(NamedTuple):
    """Where walks stand."""

    node: int
    goal: Goal
    left: int
    """Events that each may have after its next one."""

    def after(self, way: CompiledTransition) -> Cursor:
        """Where a way leads to."""
        return Cursor(way.to, self.goal, self.left - 1)


class BranchEntry(NamedTuple):
    """A way into a branch or out of a join, with the spot that it leads to."""

    way: CompiledTransition
    spot: Cursor


class ForkPlan(NamedTuple):
    """One manner of walking a fork."""

    entries: tuple[BranchEntry, ...]
    """Of the branches."""
    join: Join


class ForkPlans(NamedTuple):
    """The manners that are open, and the upper edge of each one's share in 2^32 parts."""

    plays: tuple[ForkPlan, ...]
    edges: Words
    purpose: int
    """Of the draw between them."""


class ForkPlanner:
    """The forks of a graph, worked out spot by spot when walks come there."""

    def __init__(self, graph: Graph, compiler: TransitionCompiler) -> None:
        self._graph = graph
        self._compiler = compiler
        self._plays: dict[Cursor, ForkPlans] = {}
        self._far: dict[tuple[int, int, int | None], Mapping[int, int]] = {}

    def plays(self, spot: Cursor) -> ForkPlans:
        """The manners that are open at a spot."""
        if spot not in self._plays:
            self._plays[spot] = self._worked_out(spot)
        return self._plays[spot]

    def _worked_out(self, spot: Cursor) -> ForkPlans:
        node = self._graph.nodes[spot.node]
        assert node.split
        found = list(self._open(spot, node.split))
        edges = np.array(shares([weight for weight, _ in found]), np.uint64)
        return ForkPlans(
            tuple(play for _, play in found), edges, purpose(f"{self._graph.chain.name}/{node.state}/next")
        )

    def _open(self, spot: Cursor, split: Split) -> list[tuple[float, ForkPlan]]:
        """The manners that can reach the goal, each with a weight."""
        far, branches = spot.goal.far, split.branches
        possible = [k for k in split.joins if all(b.min_events[i] for b, i in zip(branches, k, strict=True))]
        onward = {kinds: far[split.joins[kinds].to] + 1 for kinds in possible if split.joins[kinds].to in far}
        least = [min(filter(None, branch.min_events)) for branch in branches]
        if len(onward) == len(possible) and sum(least) + max(onward.values()) <= spot.left + 1:
            return [(1.0, self._play(spot, least, max(onward.values()), None))]
        chances = [absorption_probabilities(self._graph, branch) for branch in branches]
        found = []
        for kinds, after in onward.items():
            least = [branch.min_events[kind] for branch, kind in zip(branches, kinds, strict=True)]
            if sum(least) + after <= spot.left + 1:
                weight = prod(some[kind] for some, kind in zip(chances, kinds, strict=True))
                found.append((weight or RAREST, self._play(spot, least, after, kinds)))
        return found

    def _play(self, spot: Cursor, least: list[int], after: int, kinds: EndClasses | None) -> ForkPlan:
        """Shares out the events that nobody needs evenly, among the branches and what comes after.

        Args:
            least: events that each branch needs.
            after: events that are needed from the join on.
            kinds: the ends that the branches are led to; None: any.
        """
        spare = (spot.left + 1 - sum(least) - after) // (len(least) + 1)
        join = self._join(spot, spot.left + 1 - sum(least) - spare * len(least))
        entries = [self._entry(spot, join, i, events + spare, kinds) for i, events in enumerate(least)]
        return ForkPlan(tuple(entries), join)

    def _join(self, spot: Cursor, events: int) -> Join:
        node = self._graph.nodes[spot.node]
        assert node.split
        steps = _steps(node.split)
        entries = {
            sum(kind * step for kind, step in zip(kinds, steps, strict=True)): BranchEntry(
                self._compiler.way(node.state, edge), Cursor(edge.to, spot.goal, events - 2)
            )
            for kinds, edge in node.split.joins.items()
        }
        return Join(len(node.split.branches), node.fan_out, entries)

    def _entry(self, spot: Cursor, join: Join, number: int, events: int, kinds: EndClasses | None) -> BranchEntry:
        node = self._graph.nodes[spot.node]
        assert node.split
        branch, step = node.split.branches[number], _steps(node.split)[number]
        goal = Goal(
            self._distances(spot.node, number, None if kinds is None else kinds[number]),
            spot.goal.may_stop and kinds is None,
            join,
            {end: kind * step for kind, ends in enumerate(branch.ends) for end in ends},
        )
        return BranchEntry(self._compiler.way(node.state, branch.edge), Cursor(branch.edge.to, goal, events - 2))

    def _distances(self, node: int, number: int, kind: int | None) -> Mapping[int, int]:
        """From each node of a branch to its ends of a class, or to any."""
        key = node, number, kind
        if key not in self._far:
            split = self._graph.nodes[node].split
            assert split
            ends = split.branches[number].ends
            self._far[key] = self._graph.distances(frozenset().union(*ends) if kind is None else ends[kind])
        return self._far[key]


def _steps(split: Split) -> list[int]:
    """What a class counts for, by branch, so that each combination has a code of its own."""
    return [prod(len(branch.ends) for branch in split.branches[:number]) for number in range(len(split.branches))]
