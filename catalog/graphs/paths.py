"""The sets of event types that the walks of a chain leave behind: those of branches that run side by side, combined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import product

from eventbus.catalog.errors import TooManyPaths
from eventbus.catalog.graphs.graph import Graph, Split
from eventbus.catalog.model import Chain

MAXIMUM_SETS = 10_000

Types = frozenset[str]
Onward = dict[Types, Types]
"""By what was seen: what may come next."""


def types_of(chain: Chain) -> list[str]:
    """The event types of a chain, each once, in the order of its states."""
    return list(dict.fromkeys(state.emits for state in chain.states.values()))


def accepted_sets(chain: Chain) -> set[Types]:
    """The sets of event types of all complete walks, without those of chains that they cause.

    Raises:
        TooManyPaths: more than 10,000 of them.
    """
    reached = Paths(chain).reached(0)
    return _limited(chain, {types for end in chain.graph.ends() for types in reached.get(end, ())})


def unfinished_sets(chain: Chain) -> Onward:
    """The sets of event types that a walk may have left behind at any time, and what may come next then.

    Where branches run side by side, only the first 10,000 combinations.
    """
    return Paths(chain).onward(0)


def causing_types(chain: Chain, event_type: str) -> set[str]:
    """The event types of a chain that may come right before one of its types."""
    graph = chain.graph
    return {graph.state(cause).emits for cause, effect in _pairs(graph) if graph.state(effect).emits == event_type}


class Paths:
    """What walks through a chain's graph leave behind."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._graph = chain.graph
        self._joined: dict[int, set[tuple[int, Types]]] = {}

    def reached(self, first: int) -> dict[int, set[Types]]:
        """For each node of a branch, the sets with which a walk from the branch's first node can stand there."""
        reached: dict[int, set[Types]] = {}
        ahead = [(first, self._emitted([first]))]
        while ahead:
            number, types = ahead.pop()
            known = reached.setdefault(number, set())
            if types not in known:
                known.add(types)
                _limited(self._chain, known)
                ahead += [(to, types | more) for to, more in self._steps(number)]
        return reached

    def onward(self, first: int) -> Onward:
        """The sets of all unfinished walks from a branch's first node, and what may come next."""
        found: Onward = {}
        for number, sets in self.reached(first).items():
            node = self._graph.nodes[number]
            if node.split is None:
                _note(found, sets, self._emitted(edge.to for edge in node.edges))
                continue
            for inside, following in self._side_by_side(node.split).items():
                _note(found, [types | inside for types in sets], following)
        return found

    def _steps(self, number: int) -> Iterable[tuple[int, Types]]:
        """The nodes that follow in the same branch, and what comes until then, their own event included."""
        node = self._graph.nodes[number]
        if node.split is None:
            return ((edge.to, self._emitted([edge.to])) for edge in node.edges)
        if number not in self._joined:
            joins = self._joins(node.split)
            self._joined[number] = {(to, types | self._emitted([to])) for to, types in joins}
        return self._joined[number]

    def _joins(self, split: Split) -> Iterator[tuple[int, Types]]:
        """The nodes that may follow when all branches have ended, and what these have left behind."""
        reached = [self.reached(branch.edge.to) for branch in split.branches]
        for kinds, edge in split.joins.items():
            sets = [
                {types for end in branch.ends[kind] for types in walks.get(end, ())}
                for branch, kind, walks in zip(split.branches, kinds, reached, strict=True)
            ]
            nothing: set[Types] = {frozenset()}
            for types in reduce(self._combined, sets, nothing):
                yield edge.to, types

    def _combined(self, some: set[Types], others: set[Types]) -> set[Types]:
        combined: set[Types] = set()
        for one, other in product(some, others):
            combined.add(one | other)
            _limited(self._chain, combined)
        return combined

    def _side_by_side(self, split: Split) -> Onward:
        together: Onward = {frozenset(): frozenset()}
        for branch in split.branches:
            inside = self.onward(branch.edge.to) | {frozenset(): self._emitted([branch.edge.to])}
            mixed: Onward = {}
            for one, other in product(together, inside):
                if len(mixed) < MAXIMUM_SETS:
                    _note(mixed, [one | other], together[one] | inside[other])
            together = mixed
        for to, types in self._joins(split):
            _note(together, [types], self._emitted([to]))
        return together

    def _emitted(self, numbers: Iterable[int]) -> Types:
        return frozenset(self._graph.state(number).emits for number in numbers)


def _note(onward: Onward, sets: Iterable[Types], following: Types) -> None:
    for types in sets:
        onward[types] = onward.get(types, frozenset()) | following


def _limited(chain: Chain, sets: set[Types]) -> set[Types]:
    if len(sets) > MAXIMUM_SETS:
        raise TooManyPaths(
            f"the walks of {chain.name} leave more than {MAXIMUM_SETS:,} different sets of event types; "
            "let several of its states emit the same type"
        )
    return sets


def _pairs(graph: Graph) -> Iterator[tuple[int, int]]:
    """Nodes and those that follow them at once; a join follows the ends of its branches."""
    for number, node in enumerate(graph.nodes):
        for edge in node.edges:
            yield number, edge.to
        if node.split:
            yield from ((number, branch.edge.to) for branch in node.split.branches)
            yield from _joining(node.split)


def _joining(split: Split) -> Iterator[tuple[int, int]]:
    for kinds, edge in split.joins.items():
        for branch, kind in zip(split.branches, kinds, strict=True):
            yield from ((end, edge.to) for end in branch.ends[kind])
