"""Expands a chain into its graph: one node for each state and each history that still matters there."""

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

RetryCounts = tuple[int, ...]
"""How often each retried transition of the chain was taken."""
CompensationStack = tuple[str, ...]
"""The states that may have to be compensated, the latest last."""


class BranchScope(NamedTuple):
    """The branch that a node belongs to."""

    number: int = 0
    """0: none."""
    fan_out: int = 1


class NodeKey(NamedTuple):
    """What distinguishes a node from others of the same state."""

    state: str
    retry_counts: RetryCounts
    stack: CompensationStack
    scope: BranchScope
    compensating: Target | None = None
    """In a compensation: where the chain continues after the last one."""


class DraftEdge(NamedTuple):
    """An edge whose target has no number yet."""

    target: NodeKey
    delay: Delay
    weight: float = 1.0
    scaled_by: str | None = None
    is_retry: bool = False


class BranchEnd(NamedTuple):
    """What the end of a branch leaves for the join; equal ends form one class."""

    ended: str | None
    """The state in which it ended, if a rule of the join asks for it."""
    retry_counts: RetryCounts
    stack: CompensationStack


def graph_of(chain: Chain) -> Graph:
    """The graph of a chain whose targets all exist; built once for each `Chain` value.

    Raises:
        TooManyPaths: more than 4,096 nodes, or as many combinations of ends of branches.
    """
    graph: Graph | None = vars(chain).get("_graph")
    if graph is None:
        expansion = Expansion(chain)
        expansion.walk(expansion.start())
        nodes = tuple(expansion.nodes[number] for number in range(len(expansion.nodes)))
        graph = vars(chain)["_graph"] = Graph(chain, nodes)
    return graph


class Expansion:
    """The nodes expanded so far, by number."""

    def __init__(self, chain: Chain) -> None:
        self.nodes: dict[int, GraphNode] = {}
        self._chain = chain
        self._numbers: dict[NodeKey, int] = {}
        self._branches = 0
        self._reachability = Reachability(chain)
        self._retries = {key: number for number, key in enumerate(retried_transitions(chain))}

    def start(self) -> NodeKey:
        """The key of the first node."""
        return self._entered(self._chain.start, (0,) * len(self._retries), (), BranchScope())

    def walk(self, first: NodeKey) -> list[tuple[int, NodeKey]]:
        """Add all nodes that follow in the same branch; returns those without a successor."""
        ends, pending = [], [first]
        while pending:
            key = pending.pop()
            number = self._number(key)
            if number not in self.nodes:
                self.nodes[number], following = self._node(key)
                pending += following
                if not self.nodes[number].continues:
                    ends.append((number, key))
        return ends

    def _number(self, key: NodeKey) -> int:
        number = self._numbers.setdefault(key, len(self._numbers))
        if number >= MAX_NODES:
            raise TooManyPaths(
                f"{self._chain.name} expands to more than {MAX_NODES:,} nodes; "
                "lower the limits of its retries, or let fewer states be compensated"
            )
        return number

    def _node(self, key: NodeKey) -> tuple[GraphNode, list[NodeKey]]:
        state, fan_out = self._chain.states[key.state], key.scope.fan_out
        if key.compensating:
            drafts, abandon = [self._reached(key, key.compensating, key.retry_counts, key.stack)], 0.0
        elif state.fork:
            split, following = self._split(key, state.fork)
            return GraphNode(state=key.state, split=split, fan_out=fan_out), following
        else:
            drafts, abandon = list(self._timed(key, state)), state.abandon
        edges = tuple(map(self._edge, drafts))
        node = GraphNode(state=key.state, edges=edges, abandon=abandon, fan_out=fan_out)
        return node, [draft.target for draft in drafts]

    def _edge(self, draft: DraftEdge) -> Edge:
        return Edge(
            to=self._number(draft.target),
            weight=draft.weight,
            delay=draft.delay,
            scaled_by=draft.scaled_by,
            is_retry=draft.is_retry,
        )

    def _timed(self, key: NodeKey, state: State) -> Iterator[DraftEdge]:
        """The edges out of a state; with a timeout, truncated to it, and one more for all that would take longer."""
        timed_out = 0.0
        for draft in (self._taken(key, transition) for transition in state.next):
            if state.timeout is None:
                yield draft
                continue
            share, delay = truncate(draft.delay, state.timeout.after)
            timed_out += draft.weight * (1 - share)
            if share > 0:
                yield draft._replace(weight=draft.weight * share, delay=delay)
        if state.timeout and timed_out > 0:
            target = self._entered(state.timeout.to, key.retry_counts, key.stack, key.scope)
            yield DraftEdge(target, Fixed(value=state.timeout.after), timed_out)

    def _taken(self, key: NodeKey, transition: Transition) -> DraftEdge:
        """The edge of a transition, or of what replaces it once its retry limit is reached."""
        retry = transition.retry
        counts, number = key.retry_counts, self._retries.get((key.state, transition), 0)
        target = Target(
            to=transition.to,
            delay=transition.delay,
            compensate=transition.compensate,
            scaled_by=transition.scaled_by,
        )
        if retry and counts[number] >= retry.limit:
            return self._reached(key, retry.otherwise, counts, key.stack)._replace(weight=transition.weight)
        if retry:
            counts = (*counts[:number], counts[number] + 1, *counts[number + 1 :])
            target = replace(target, delay=retry.backoff.delay(counts[number])) if retry.backoff else target
        draft = self._reached(key, target, counts, key.stack)
        return draft._replace(weight=transition.weight, is_retry=retry is not None)

    def _reached(self, key: NodeKey, target: Target, counts: RetryCounts, stack: CompensationStack) -> DraftEdge:
        """The edge to a target, or to the first of the compensations that run before it."""
        if not target.compensate or not stack:
            node = self._entered(target.to, counts, () if target.compensate else stack, key.scope)
            return DraftEdge(node, target.delay, scaled_by=target.scaled_by)
        compensation = self._chain.states[stack[-1]].compensation
        assert compensation
        node = NodeKey(compensation.to, self._relevant(target.to, counts), stack[:-1], key.scope, target)
        return DraftEdge(node, compensation.delay)

    def _entered(self, name: str, counts: RetryCounts, stack: CompensationStack, scope: BranchScope) -> NodeKey:
        """The node of a state, with the part of its history that still matters."""
        if self._chain.states[name].compensation:
            stack = (*(state for state in stack if state != name), name)
        relevant = stack if self._reachability.may_compensate(name) else ()
        return NodeKey(name, self._relevant(name, counts), relevant, scope)

    def _relevant(self, name: str, counts: RetryCounts) -> RetryCounts:
        """Retry counts as seen from a state: 0 for transitions that cannot be reached any more."""
        reachable = self._reachability.retries_open(name)
        return tuple(count if is_open else 0 for count, is_open in zip(counts, reachable, strict=True))

    def _split(self, key: NodeKey, fork: Fork) -> tuple[Split, list[NodeKey]]:
        branches = [self._branch(key, target, fork) for target in fork.branches]
        if prod(len(classes) for _, classes in branches) > MAX_NODES:
            raise TooManyPaths(
                f"the branches after {key.state} of {self._chain.name} end in more than {MAX_NODES:,} combinations"
            )
        joins = {
            tuple(classes[end] for (_, classes), end in zip(branches, ends, strict=True)): self._join(key, fork, ends)
            for ends in product(*(classes for _, classes in branches))
        }
        edges = {ends: self._edge(draft) for ends, draft in joins.items()}
        split = Split(branches=tuple(branch for branch, _ in branches), joins=edges)
        return split, [draft.target for draft in joins.values()]

    def _join(self, key: NodeKey, fork: Fork, ends: tuple[BranchEnd, ...]) -> DraftEdge:
        target = fork.target(frozenset(end.ended for end in ends if end.ended))
        counts = tuple(
            count + sum(end.retry_counts[number] - count for end in ends)
            for number, count in enumerate(key.retry_counts)
        )
        return self._reached(key, target, counts, sum((end.stack for end in ends), key.stack))

    def _branch(self, key: NodeKey, target: Target, fork: Fork) -> tuple[Branch, dict[BranchEnd, int]]:
        """A branch with all its nodes, and the classes of its ends."""
        self._branches += 1
        scope = BranchScope(self._branches, key.scope.fan_out * len(fork.branches))
        first = self._entered(target.to, key.retry_counts, (), scope)
        begin = self._number(first)
        distinguished = {rule.ended for rule in fork.unless}
        classes: dict[BranchEnd, int] = {}
        members: dict[int, set[int]] = defaultdict(set)
        for number, node in self.walk(first):
            ended = node.state if node.state in distinguished else None
            end = classes.setdefault(BranchEnd(ended, node.retry_counts, node.stack), len(classes))
            self.nodes[number] = replace(self.nodes[number], end=end)
            members[end].add(number)
        inside = {number: node for number, node in self.nodes.items() if number >= begin}
        min_events = tuple(distances(inside, numbers).get(begin, -1) + 1 for numbers in members.values())
        edge = Edge(to=begin, weight=1.0, delay=target.delay)
        return Branch(edge=edge, ends=tuple(map(frozenset, members.values())), min_events=min_events), classes
