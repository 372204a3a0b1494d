"""How probable each end of a branch is, by the weights alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import prod

from eventbus.catalog.graph.graph import Branch, Graph, Node

ROUNDS = 10_000
NOTHING = 1e-12
"""Walks that are rarer than this and still on their way are left out."""


def ending_chances(graph: Graph, branch: Branch) -> list[float]:
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


def _shares(graph: Graph, node: Node) -> Iterator[tuple[int, float]]:
    """The nodes that follow in the same branch, and how often."""
    if node.split is None:
        total = sum(edge.weight for edge in node.edges) + node.stop
        yield from ((edge.to, edge.weight / total) for edge in node.edges)
        return
    inside = [ending_chances(graph, branch) for branch in node.split.branches]
    for kinds, edge in node.split.joins.items():
        yield edge.to, prod(chances[kind] for chances, kind in zip(inside, kinds, strict=True))
