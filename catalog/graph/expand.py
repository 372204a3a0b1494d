"""Unfolds a chain into the nodes of its graph: one for each state and what matters of the way that led there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import prod
from typing import NamedTuple

from eventbus.catalog.errors import TooManyPaths
from eventbus.catalog.graph.graph import (
    Branch,
    Edge,
    Graph,
    GraphNode,
    Reachability,
    Split,
    distances,
    retried_transitions,
)
from eventbus.catalog.model import Chain, Delay, Fixed, Fork, State, Target, Transition, truncate

MAX_NODES = 4096


class NodeKey(NamedTuple):
    """What tells a node from others of the same state."""

    state: str
    spent: tuple[int, ...]
    """How often each retry of the chain was taken."""
    done: tuple[str, ...]
    """States that may have to be undone, the last one last."""
    frame: BranchScope
    undoing: Target | None = None
    """In a compensation: where the chain goes when all is undone."""


class BranchScope(NamedTuple):
    """The branch that a node lies in."""

    number: int = 0
    """0: none."""
    lanes: int = 1


class DraftEdge(NamedTuple):
    """An edge before its target has a number."""

    target: NodeKey
    delay: Delay
    weight: float = 1.0
    scaled_by: str | None = None
    is_retry: bool = False


class BranchEnd(NamedTuple):
    """What is left of a branch: equal ends are one class."""

    led: str | None
    """The state in which it ended, where the join asks for it."""
    spent: tuple[int, ...]
    done: tuple[str, ...]


def graph_of(chain: Chain) -> Graph:
    """The expanded graph of a chain whose targets all exist; built once for each `Chain` value.

    Raises:
        TooManyPaths: more than 4,096 nodes, or as many combinations of ends of branches.
    """
    graph: Graph | None = vars(chain).get("_graph")
    if graph is None:
        unfolding = Expansion(chain)
        unfolding.walk(unfolding.start())
        nodes = tuple(unfolding.nodes[number] for number in range(len(unfolding.nodes)))
        graph = vars(chain)["_graph"] = Graph(chain, nodes)
    return graph


class Expansion:
    """Nodes by number, as far as they are known."""

    def __init__(self, chain: Chain) -> None:
        self.nodes: dict[int, GraphNode] = {}
        self._chain = chain
        self._numbers: dict[NodeKey, int] = {}
        self._frames = 0
        self._horizon = Reachability(chain)
        self._retries = {(state, one): number for number, (state, one) in enumerate(retried_transitions(chain))}

    def start(self) -> NodeKey:
        return self._entered(self._chain.start, (0,) * len(self._retries), (), BranchScope())

    def walk(self, first: NodeKey) -> list[tuple[int, NodeKey]]:
        """Add all nodes that follow in the same branch; returns those that have no next one."""
        ends, ahead = [], [first]
        while ahead:
            key = ahead.pop()
            number = self._number(key)
            if number not in self.nodes:
                self.nodes[number], following = self._node(key)
                ahead += following
                if not self.nodes[number].goes_on:
                    ends.append((number, key))
        return ends

    def _number(self, key: NodeKey) -> int:
        number = self._numbers.setdefault(key, len(self._numbers))
        if number >= MAX_NODES:
            raise TooManyPaths(
                f"the walks of {self._chain.name} unfold into more than {MAX_NODES:,} nodes; "
                "lower the limits of its retries, or let fewer states be compensated"
            )
        return number

    def _node(self, key: NodeKey) -> tuple[GraphNode, list[NodeKey]]:
        state, lanes = self._chain.states[key.state], key.frame.lanes
        if key.undoing:
            ways, stop = [self._reached(key, key.undoing, key.spent, key.done)], 0.0
        elif state.fork:
            split, following = self._split(key, state.fork)
            return GraphNode(state=key.state, split=split, lanes=lanes), following
        else:
            ways, stop = list(self._timed(key, state)), state.abandon
        edges = tuple(self._edge(one) for one in ways)
        return GraphNode(state=key.state, edges=edges, stop=stop, lanes=lanes), [one.target for one in ways]

    def _edge(self, draft: DraftEdge) -> Edge:
        return Edge(
            to=self._number(draft.target),
            weight=draft.weight,
            delay=draft.delay,
            scaled_by=draft.scaled_by,
            is_retry=draft.is_retry,
        )

    def _timed(self, key: NodeKey, state: State) -> Iterator[DraftEdge]:
        """The ways out of a state; with a timeout, each is shorter than it, and one more stands for the rest of all."""
        late = 0.0
        for draft in (self._taken(key, transition) for transition in state.next):
            if state.timeout is None:
                yield draft
                continue
            share, delay = truncate(draft.delay, state.timeout.after)
            late += draft.weight * (1 - share)
            if share > 0:
                yield draft._replace(weight=draft.weight * share, delay=delay)
        if state.timeout and late > 0:
            target = self._entered(state.timeout.to, key.spent, key.done, key.frame)
            yield DraftEdge(target, Fixed(value=state.timeout.after), late)

    def _taken(self, key: NodeKey, transition: Transition) -> DraftEdge:
        retry = transition.retry
        spent, number = key.spent, self._retries.get((key.state, transition), 0)
        way = Target(
            to=transition.to, delay=transition.delay, compensate=transition.compensate, scaled_by=transition.scaled_by
        )
        if retry and spent[number] >= retry.limit:
            return self._reached(key, retry.otherwise, spent, key.done)._replace(weight=transition.weight)
        if retry:
            spent = (*spent[:number], spent[number] + 1, *spent[number + 1 :])
            way = replace(way, delay=retry.backoff.delay(spent[number])) if retry.backoff else way
        draft = self._reached(key, way, spent, key.done)
        return draft._replace(weight=transition.weight, is_retry=retry is not None)

    def _reached(self, key: NodeKey, way: Target, spent: tuple[int, ...], done: tuple[str, ...]) -> DraftEdge:
        """The target of a way, or what is undone before."""
        if not way.compensate or not done:
            target = self._entered(way.to, spent, () if way.compensate else done, key.frame)
            return DraftEdge(target, way.delay, scaled_by=way.scaled_by)
        compensation = self._chain.states[done[-1]].compensation
        assert compensation
        return DraftEdge(
            NodeKey(compensation.to, self._counted(way.to, spent), done[:-1], key.frame, way), compensation.delay
        )

    def _entered(self, name: str, spent: tuple[int, ...], done: tuple[str, ...], frame: BranchScope) -> NodeKey:
        """A state, with what can still matter after it."""
        if self._chain.states[name].compensation:
            done = (*(one for one in done if one != name), name)
        return NodeKey(name, self._counted(name, spent), done if self._horizon.may_undo(name) else (), frame)

    def _counted(self, name: str, spent: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(n if alive else 0 for n, alive in zip(spent, self._horizon.retries_open(name), strict=True))

    def _split(self, key: NodeKey, fork: Fork) -> tuple[Split, list[NodeKey]]:
        found = [self._branch(key, way, fork) for way in fork.branches]
        if prod(len(ends) for _, ends in found) > MAX_NODES:
            raise TooManyPaths(
                f"the branches after {key.state} of {self._chain.name} end in more than {MAX_NODES:,} combinations"
            )
        joins = {
            tuple(ends[end] for (_, ends), end in zip(found, combination, strict=True)): self._join(
                key, fork, combination
            )
            for combination in product(*(ends for _, ends in found))
        }
        edges = {kinds: self._edge(draft) for kinds, draft in joins.items()}
        split = Split(branches=tuple(branch for branch, _ in found), joins=edges)
        return split, [draft.target for draft in joins.values()]

    def _join(self, key: NodeKey, fork: Fork, ends: tuple[BranchEnd, ...]) -> DraftEdge:
        way = fork.target(frozenset(end.led for end in ends if end.led))
        spent = tuple(n + sum(end.spent[i] - n for end in ends) for i, n in enumerate(key.spent))
        return self._reached(key, way, spent, sum((end.done for end in ends), key.done))

    def _branch(self, key: NodeKey, way: Target, fork: Fork) -> tuple[Branch, dict[BranchEnd, int]]:
        """A branch with all its nodes, and the classes of its ends."""
        self._frames += 1
        first = self._entered(way.to, key.spent, (), BranchScope(self._frames, key.frame.lanes * len(fork.branches)))
        begin = self._number(first)
        asked = {one.ended for one in fork.unless}
        classes: dict[BranchEnd, int] = {}
        members: dict[int, set[int]] = defaultdict(set)
        for number, end in self.walk(first):
            kind = classes.setdefault(
                BranchEnd(end.state if end.state in asked else None, end.spent, end.done), len(classes)
            )
            self.nodes[number] = replace(self.nodes[number], end=kind)
            members[kind].add(number)
        inside = {number: node for number, node in self.nodes.items() if number >= begin}
        fewest = tuple(distances(inside, some).get(begin, -1) + 1 for some in members.values())
        edge = Edge(to=begin, weight=1.0, delay=way.delay)
        return Branch(edge=edge, ends=tuple(map(frozenset, members.values())), fewest=fewest), classes
