"""What a finished chain must look like: the facts by which a processor judges the events it has seen.

A walk through a chain's state machine leaves a set of event types behind. The sets of all complete walks are finite
even where the machine loops, so "does this chain conform?" is a look-up of one bit mask.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property, reduce
from itertools import product

from eventbus.catalog.errors import CatalogError, TooManyPaths
from eventbus.catalog.graph.expand import graph_of
from eventbus.catalog.graph.graph import Graph, Split
from eventbus.catalog.model import Chain, Sections, State

# The sets of event types that the walks of a chain leave behind: those of branches that run side by side, combined.


MAX_SETS = 10_000

TypeSet = frozenset[str]
NextTypes = dict[TypeSet, TypeSet]
"""By what was seen: what may come next."""


def types_of(chain: Chain) -> list[str]:
    """The event types of a chain, each once, in the order of its states."""
    return list(dict.fromkeys(state.emits for state in chain.states.values()))


def accepted_sets(chain: Chain) -> set[TypeSet]:
    """The sets of event types of all complete walks, without those of chains that they cause.

    Raises:
        TooManyPaths: more than 10,000 of them.
    """
    reached = TypeSets(chain).reached(0)
    return _limited(chain, {types for end in graph_of(chain).ends() for types in reached.get(end, ())})


def partial_sets(chain: Chain) -> NextTypes:
    """The sets of event types that a walk may have left behind at any time, and what may come next then.

    Where branches run side by side, only the first 10,000 combinations.
    """
    return TypeSets(chain).onward(0)


def preceding_types(chain: Chain, event_type: str) -> set[str]:
    """The event types of a chain that may come right before one of its types."""
    graph = graph_of(chain)
    return {graph.state(cause).emits for cause, effect in _pairs(graph) if graph.state(effect).emits == event_type}


class TypeSets:
    """What walks through a chain's graph leave behind."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._graph = graph_of(chain)
        self._joined: dict[int, set[tuple[int, TypeSet]]] = {}

    def reached(self, first: int) -> dict[int, set[TypeSet]]:
        """For each node of a branch, the sets with which a walk from the branch's first node can stand there."""
        reached: dict[int, set[TypeSet]] = {}
        ahead = [(first, self._emitted([first]))]
        while ahead:
            number, types = ahead.pop()
            known = reached.setdefault(number, set())
            if types not in known:
                known.add(types)
                _limited(self._chain, known)
                ahead += [(to, types | more) for to, more in self._steps(number)]
        return reached

    def onward(self, first: int) -> NextTypes:
        """The sets of all unfinished walks from a branch's first node, and what may come next."""
        found: NextTypes = {}
        for number, sets in self.reached(first).items():
            node = self._graph.nodes[number]
            if node.split is None:
                _note(found, sets, self._emitted(edge.to for edge in node.edges))
                continue
            for inside, following in self._side_by_side(node.split).items():
                _note(found, [types | inside for types in sets], following)
        return found

    def _steps(self, number: int) -> Iterable[tuple[int, TypeSet]]:
        """The nodes that follow in the same branch, and what comes until then, their own event included."""
        node = self._graph.nodes[number]
        if node.split is None:
            return ((edge.to, self._emitted([edge.to])) for edge in node.edges)
        if number not in self._joined:
            joins = self._joins(node.split)
            self._joined[number] = {(to, types | self._emitted([to])) for to, types in joins}
        return self._joined[number]

    def _joins(self, split: Split) -> Iterator[tuple[int, TypeSet]]:
        """The nodes that may follow when all branches have ended, and what these have left behind."""
        reached = [self.reached(branch.edge.to) for branch in split.branches]
        for kinds, edge in split.joins.items():
            sets = [
                {types for end in branch.ends[kind] for types in walks.get(end, ())}
                for branch, kind, walks in zip(split.branches, kinds, reached, strict=True)
            ]
            nothing: set[TypeSet] = {frozenset()}
            for types in reduce(self._combined, sets, nothing):
                yield edge.to, types

    def _combined(self, some: set[TypeSet], others: set[TypeSet]) -> set[TypeSet]:
        combined: set[TypeSet] = set()
        for one, other in product(some, others):
            combined.add(one | other)
            _limited(self._chain, combined)
        return combined

    def _side_by_side(self, split: Split) -> NextTypes:
        together: NextTypes = {frozenset(): frozenset()}
        for branch in split.branches:
            inside = self.onward(branch.edge.to) | {frozenset(): self._emitted([branch.edge.to])}
            mixed: NextTypes = {}
            for one, other in product(together, inside):
                if len(mixed) < MAX_SETS:
                    _note(mixed, [one | other], together[one] | inside[other])
            together = mixed
        for to, types in self._joins(split):
            _note(together, [types], self._emitted([to]))
        return together

    def _emitted(self, numbers: Iterable[int]) -> TypeSet:
        return frozenset(self._graph.state(number).emits for number in numbers)


def _note(onward: NextTypes, sets: Iterable[TypeSet], following: TypeSet) -> None:
    for types in sets:
        onward[types] = onward.get(types, frozenset()) | following


def _limited(chain: Chain, sets: set[TypeSet]) -> set[TypeSet]:
    if len(sets) > MAX_SETS:
        raise TooManyPaths(
            f"the walks of {chain.name} leave more than {MAX_SETS:,} different sets of event types; "
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


MAX_TYPES = 62
"""Bits of a mask: it fits a signed 64-bit integer, and one bit stays free."""


class Role(IntEnum):
    """What an event of a type does to its chain."""

    STEP = 0
    REQUESTED = 1
    """Starts it."""
    STARTED = 2
    """Says that the work began: the action `started`."""
    COMPLETED = 3
    """Ends it well."""
    FAILED = 4
    """Ends it badly."""


@dataclass(frozen=True)
class Conformance:
    """The facts of one catalog."""

    catalog: Sections

    def classify(self, event_type: str) -> tuple[str | None, Role]:
        """The chain that an event type belongs to, and its role there.

        The chain is None for a type of several chains, or of none (which is a step).
        """
        return self._classes.get(event_type, (None, Role.STEP))

    @cached_property
    def _classes(self) -> dict[str, tuple[str | None, Role]]:
        classes: dict[str, tuple[str | None, Role]] = {}
        for chain in self.catalog.chains.values():
            for state in chain.states.values():
                other, _ = classes.get(state.emits, (chain.name, None))
                classes[state.emits] = (chain.name if other == chain.name else None, role_of(chain, state))
        return classes

    @cached_property
    def type_bits(self) -> Mapping[str, int]:
        """A bit number from 0 to 61 for each event type of a chain; types of one chain have different ones.

        Raises:
            CatalogError: the chains share so many types that 62 bits do not suffice.
        """
        return assign_bits(types_of(chain) for chain in self.catalog.chains.values())

    @cached_property
    def accepted(self) -> Mapping[str, frozenset[int]]:
        """For each chain the masks (bits of `type_bits`) of the event types of every complete walk.

        Raises:
            TooManyPaths: more than 10,000 masks for one chain.
        """
        return {
            chain.name: frozenset(self.mask(types) for types in accepted_sets(chain))
            for chain in self.catalog.chains.values()
        }

    def mask(self, event_types: Iterable[str]) -> int:
        """The bits of these event types together; types of no chain have none."""
        bits = 0
        for event_type in event_types:
            bits |= 1 << self.type_bits[event_type] if event_type in self.type_bits else 0
        return bits

    def explain(self, chain: str, seen: Collection[str], ended: bool) -> list[str]:
        """What is missing or unexpected, compared with the nearest way through the chain; empty when all is well.

        Args:
            chain: name of a chain of the catalog.
            seen: the event types seen so far.
            ended: whether a terminal event is among them, or nothing more is to come.

        Raises:
            UnknownName: no such chain.
        """
        return explain(self.catalog.chain(chain), frozenset(seen), ended)


def role_of(chain: Chain, state: State) -> Role:
    """The role of a state's event in its chain."""
    if state.name == chain.start:
        return Role.REQUESTED
    if state.outcome:
        return Role.FAILED if state.outcome == "failed" else Role.COMPLETED
    return Role.STARTED if state.emits.split(".")[-2:-1] == ["started"] else Role.STEP


def assign_bits(groups: Iterable[Iterable[str]]) -> dict[str, int]:
    """Give each type the lowest number that no neighbour has; neighbours are types of one group.

    Raises:
        CatalogError: a number of 62 or more would be needed.
    """
    neighbours: dict[str, set[str]] = {}
    for group in map(set, groups):
        for name in group:
            neighbours.setdefault(name, set()).update(group - {name})
    numbers: dict[str, int] = {}
    for name in sorted(neighbours, key=lambda n: (-len(neighbours[n]), n)):  # the most constrained first
        taken = {numbers[other] for other in neighbours[name] if other in numbers}
        numbers[name] = next(number for number in range(len(taken) + 1) if number not in taken)
        if numbers[name] >= MAX_TYPES:
            raise CatalogError(f"the chains share too many event types: {MAX_TYPES} bits do not tell them apart")
    return numbers


def explain(chain: Chain, seen: frozenset[str], ended: bool) -> list[str]:
    """See `Conformance.explain`."""
    if ended:
        return _differences(chain, seen, _nearest(seen, accepted_sets(chain)))
    onward = partial_sets(chain)
    path = _nearest(seen, onward)
    after = [name for name in types_of(chain) if name in onward[path]]
    return [*_differences(chain, seen, path), f"not ended yet: {' or '.join(after)} may come next"]


def _nearest(seen: frozenset[str], paths: Collection[frozenset[str]]) -> frozenset[str]:
    """The path that explains most of what was seen; of several, the one with the fewest missing, then by name."""
    return min(paths, key=lambda path: (len(seen - path), len(path - seen), sorted(path)))


def _differences(chain: Chain, seen: frozenset[str], path: frozenset[str]) -> list[str]:
    own = types_of(chain)
    missing = [f"{name} is missing{_after(chain, name, path)}" for name in own if name in path - seen]
    beside = [f"{name} does not go together with the other events" for name in own if name in seen - path]
    foreign = [f"{name} does not belong to {chain.name}" for name in sorted(seen - set(own))]
    return missing + beside + foreign


def _after(chain: Chain, event_type: str, path: frozenset[str]) -> str:
    before = preceding_types(chain, event_type)
    previous = next((name for name in types_of(chain) if name in before & path - {event_type}), None)
    return f": it is expected after {previous}" if previous else ": it starts the chain"
