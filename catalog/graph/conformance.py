"""Conformance: whether the event types seen of a chain are those of a path through its graph.

Each path through a chain's state machine leaves a set of event types behind. There are finitely many sets even if the
machine loops, so that checking a chain is a look-up of one bit mask.
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

MAX_SETS = 10_000

TypeSet = frozenset[str]
NextTypes = dict[TypeSet, TypeSet]
"""The event types that may come next, by the set of those seen."""


def types_of(chain: Chain) -> list[str]:
    """The event types of a chain in the order of its states, without duplicates."""
    return list(dict.fromkeys(state.emits for state in chain.states.values()))


def accepted_sets(chain: Chain) -> set[TypeSet]:
    """The sets of event types of all complete paths, without the events of caused chains.

    Raises:
        TooManyPaths: there are more than 10,000 sets.
    """
    reached = TypeSets(chain).reached(0)
    return _check_size(chain, {types for end in graph_of(chain).ends() for types in reached.get(end, ())})


def partial_sets(chain: Chain) -> NextTypes:
    """The sets of event types that an unfinished path may have left behind, and the types that may come next.

    Of branches that run in parallel, only the first 10,000 combinations are listed.
    """
    return TypeSets(chain).onward(0)


def preceding_types(chain: Chain, event_type: str) -> set[str]:
    """The event types of a chain that may directly precede one of its types."""
    graph = graph_of(chain)
    return {graph.state(cause).emits for cause, effect in _links(graph) if graph.state(effect).emits == event_type}


class TypeSets:
    """The sets of event types that paths through a chain's graph leave behind."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._graph = graph_of(chain)
        self._joined: dict[int, set[tuple[int, TypeSet]]] = {}

    def reached(self, first: int) -> dict[int, set[TypeSet]]:
        """For each node of a branch, the sets of types on all paths from the branch's first node to it."""
        reached: dict[int, set[TypeSet]] = {}
        pending = [(first, self._emitted([first]))]
        while pending:
            number, types = pending.pop()
            sets = reached.setdefault(number, set())
            if types not in sets:
                sets.add(types)
                _check_size(self._chain, sets)
                pending += [(to, types | emitted) for to, emitted in self._steps(number)]
        return reached

    def onward(self, first: int) -> NextTypes:
        """The sets of all unfinished paths from a branch's first node, and the types that may come next."""
        onward: NextTypes = {}
        for number, sets in self.reached(first).items():
            node = self._graph.nodes[number]
            if node.split is None:
                _add(onward, sets, self._emitted(edge.to for edge in node.edges))
                continue
            for inside, following in self._in_parallel(node.split).items():
                _add(onward, [types | inside for types in sets], following)
        return onward

    def _steps(self, number: int) -> Iterable[tuple[int, TypeSet]]:
        """The nodes that follow in the same branch, with the types emitted on the way, their own included."""
        node = self._graph.nodes[number]
        if node.split is None:
            return ((edge.to, self._emitted([edge.to])) for edge in node.edges)
        if number not in self._joined:
            joins = self._joins(node.split)
            self._joined[number] = {(to, types | self._emitted([to])) for to, types in joins}
        return self._joined[number]

    def _joins(self, split: Split) -> Iterator[tuple[int, TypeSet]]:
        """The nodes that may follow once all branches have ended, with the sets that the branches leave behind."""
        reached = [self.reached(branch.edge.to) for branch in split.branches]
        for classes, edge in split.joins.items():
            sets = [
                {types for end in branch.ends[number] for types in by_node.get(end, ())}
                for branch, number, by_node in zip(split.branches, classes, reached, strict=True)
            ]
            initial: set[TypeSet] = {frozenset()}
            for types in reduce(self._combined, sets, initial):
                yield edge.to, types

    def _combined(self, first: set[TypeSet], second: set[TypeSet]) -> set[TypeSet]:
        combined: set[TypeSet] = set()
        for types, further in product(first, second):
            combined.add(types | further)
            _check_size(self._chain, combined)
        return combined

    def _in_parallel(self, split: Split) -> NextTypes:
        """The sets that unfinished branches leave behind together, and the types that may come next."""
        together: NextTypes = {frozenset(): frozenset()}
        for branch in split.branches:
            inside = self.onward(branch.edge.to) | {frozenset(): self._emitted([branch.edge.to])}
            mixed: NextTypes = {}
            for types, further in product(together, inside):
                if len(mixed) < MAX_SETS:
                    _add(mixed, [types | further], together[types] | inside[further])
            together = mixed
        for to, types in self._joins(split):
            _add(together, [types], self._emitted([to]))
        return together

    def _emitted(self, numbers: Iterable[int]) -> TypeSet:
        return frozenset(self._graph.state(number).emits for number in numbers)


def _add(onward: NextTypes, sets: Iterable[TypeSet], following: TypeSet) -> None:
    for types in sets:
        onward[types] = onward.get(types, frozenset()) | following


def _check_size(chain: Chain, sets: set[TypeSet]) -> set[TypeSet]:
    """The same sets.

    Raises:
        TooManyPaths: there are more than 10,000.
    """
    if len(sets) > MAX_SETS:
        raise TooManyPaths(
            f"the paths of {chain.name} leave more than {MAX_SETS:,} different sets of event types; "
            "let several of its states emit the same type"
        )
    return sets


def _links(graph: Graph) -> Iterator[tuple[int, int]]:
    """Pairs of a node and one that directly follows it; a join follows the ends of its branches."""
    for number, node in enumerate(graph.nodes):
        for edge in node.edges:
            yield number, edge.to
        if node.split:
            yield from ((number, branch.edge.to) for branch in node.split.branches)
            yield from _joining(node.split)


def _joining(split: Split) -> Iterator[tuple[int, int]]:
    for classes, edge in split.joins.items():
        for branch, number in zip(split.branches, classes, strict=True):
            yield from ((end, edge.to) for end in branch.ends[number])


MAX_TYPES = 62
"""Bits of a mask, which is stored as a signed 64-bit integer; one bit stays free."""


class Role(IntEnum):
    """What the events of a type mean for their chain."""

    STEP = 0
    REQUESTED = 1
    """Starts it."""
    STARTED = 2
    """Reports that the work has started: the action `started`."""
    COMPLETED = 3
    """Ends it successfully."""
    FAILED = 4
    """Ends it in failure."""


@dataclass(frozen=True)
class Conformance:
    """Roles, type bits and accepted sets of the chains of one catalog."""

    catalog: Sections

    def classify(self, event_type: str) -> tuple[str | None, Role]:
        """The chain that an event type belongs to, and its role there.

        The chain is None for a type of several chains or of none; a type of none is a step.
        """
        return self._classes.get(event_type, (None, Role.STEP))

    @cached_property
    def _classes(self) -> dict[str, tuple[str | None, Role]]:
        classes: dict[str, tuple[str | None, Role]] = {}
        for chain in self.catalog.chains.values():
            for state in chain.states.values():
                owner, _ = classes.get(state.emits, (chain.name, None))
                classes[state.emits] = (chain.name if owner == chain.name else None, role_of(chain, state))
        return classes

    @cached_property
    def type_bits(self) -> Mapping[str, int]:
        """A bit number from 0 to 61 for each event type of a chain; the types of one chain have different numbers.

        Raises:
            CatalogError: the chains share so many types that 62 bits are not enough.
        """
        return assign_bits(types_of(chain) for chain in self.catalog.chains.values())

    @cached_property
    def accepted(self) -> Mapping[str, frozenset[int]]:
        """For each chain, the masks (bits of `type_bits`) of the event types of every complete path.

        Raises:
            TooManyPaths: a chain has more than 10,000 masks.
        """
        return {
            chain.name: frozenset(self.mask(types) for types in accepted_sets(chain))
            for chain in self.catalog.chains.values()
        }

    def mask(self, event_types: Iterable[str]) -> int:
        """The mask of event types; types of no chain have no bit."""
        bits = 0
        for event_type in event_types:
            bits |= 1 << self.type_bits[event_type] if event_type in self.type_bits else 0
        return bits

    def explain(self, chain: str, seen: Collection[str], ended: bool) -> list[str]:
        """What is missing or unexpected compared with the most similar path through the chain; empty if nothing is.

        Args:
            chain: name of a chain of the catalog.
            seen: the event types seen so far.
            ended: whether a terminal event is among them, or no more events are expected.

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
    """Give each type the lowest number that no other type of its groups has.

    Raises:
        CatalogError: a type would need a number of 62 or more.
    """
    neighbours: dict[str, set[str]] = {}
    for group in map(set, groups):
        for name in group:
            neighbours.setdefault(name, set()).update(group - {name})
    numbers: dict[str, int] = {}
    for name in sorted(neighbours, key=lambda n: (-len(neighbours[n]), n)):  # the most constrained first
        used = {numbers[neighbour] for neighbour in neighbours[name] if neighbour in numbers}
        numbers[name] = next(number for number in range(len(used) + 1) if number not in used)
        if numbers[name] >= MAX_TYPES:
            raise CatalogError(f"the chains share too many event types: {MAX_TYPES} bits do not tell them apart")
    return numbers


def explain(chain: Chain, seen: TypeSet, ended: bool) -> list[str]:
    """See `Conformance.explain`."""
    if ended:
        return _differences(chain, seen, _nearest(seen, accepted_sets(chain)))
    onward = partial_sets(chain)
    nearest = _nearest(seen, onward)
    following = [name for name in types_of(chain) if name in onward[nearest]]
    return [*_differences(chain, seen, nearest), f"not ended yet: {' or '.join(following)} may come next"]


def _nearest(seen: TypeSet, sets: Collection[TypeSet]) -> TypeSet:
    """The set that contains most of the types seen; of several, the one with the fewest missing, then by name."""
    return min(sets, key=lambda types: (len(seen - types), len(types - seen), sorted(types)))


def _differences(chain: Chain, seen: TypeSet, accepted: TypeSet) -> list[str]:
    chain_types = types_of(chain)
    missing = [
        f"{name} is missing{_expected_after(chain, name, accepted)}" for name in chain_types if name in accepted - seen
    ]
    excess = [f"{name} cannot occur together with the other events" for name in chain_types if name in seen - accepted]
    foreign = [f"{name} does not belong to {chain.name}" for name in sorted(seen - set(chain_types))]
    return missing + excess + foreign


def _expected_after(chain: Chain, event_type: str, accepted: TypeSet) -> str:
    before = preceding_types(chain, event_type)
    previous = next((name for name in types_of(chain) if name in before & accepted - {event_type}), None)
    return f": it is expected after {previous}" if previous else ": it starts the chain"
