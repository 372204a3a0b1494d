"""A chain unfolded: plain nodes and weighted edges, with retries counted, things to undo remembered, timeouts split.

Whatever walks a chain, or judges a walk, does so here and needs to know nothing of retries, timeouts or compensation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain as joined

from eventbus.catalog.errors import Location
from eventbus.catalog.model import Chain, Delay, Fixed, State, Target, Transition

# What may still come after a state: only that is worth remembering while a chain's walks are unfolded.


def located_targets(state: State) -> Iterator[tuple[Location, Target]]:
    """Everything that a state leads to by itself, with its path in the state's description."""
    for number, one in enumerate(state.next):
        yield ("next", number), Target(to=one.to, delay=one.delay, compensate=one.compensate)
        if one.retry:
            yield ("next", number, "retry", "else"), one.retry.otherwise
    if state.timeout:
        yield ("timeout",), Target(to=state.timeout.to, delay=Fixed(value=state.timeout.after))
    if state.compensation:
        yield ("compensation",), state.compensation
    if state.fork:
        yield from ((("fork", "branches", number), way) for number, way in enumerate(state.fork.branches))
        yield ("fork", "join"), state.fork.join
        yield from ((("fork", "join", "unless", number), one.target) for number, one in enumerate(state.fork.unless))


def targets(state: State) -> Iterator[Target]:
    """Everything that a state leads to by itself."""
    return (way for _, way in located_targets(state))


def retried_transitions(chain: Chain) -> list[tuple[str, Transition]]:
    """The transitions of a chain that are taken a few times at most, with their states."""
    return [(state.name, one) for state in chain.states.values() for one in state.next if one.retry]


class Reachability:
    """The states that may follow each state, at once or later, and what may be done there."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._ways: dict[str, list[Target]] = {name: list(targets(state)) for name, state in chain.states.items()}
        self._retried = [name for name, _ in retried_transitions(chain)]
        self.after: Mapping[str, frozenset[str]] = self._closure()
        for state in chain.states.values():
            if state.fork:
                self._add_joins(state)
        self.after = self._closure()

    def retries_open(self, state: str) -> list[bool]:
        """For each retry of the chain, whether it may still be asked how often it was taken."""
        return [name in self.after[state] for name in self._retried]

    def may_undo(self, state: str) -> bool:
        """Whether a way that compensates may still be taken."""
        return any(way.compensate for name in self.after[state] for way in self._ways[name])

    def _add_joins(self, forking: State) -> None:
        """Where the branches of a fork end, its join follows."""
        assert forking.fork
        inside = joined.from_iterable(self.after[way.to] for way in forking.fork.branches)
        for name in {name for name in inside if _ends(self._chain.states[name])}:
            self._ways[name] += [forking.fork.join, *(one.target for one in forking.fork.unless)]

    def _closure(self) -> Mapping[str, frozenset[str]]:
        return {name: frozenset(self._following(name)) for name in self._chain.states}

    def _following(self, name: str) -> set[str]:
        found, ahead = set(), [name]
        while ahead:
            here = ahead.pop()
            if here not in found:
                found.add(here)
                ahead += [way.to for way in self._ways[here]]
        return found


def _ends(state: State) -> bool:
    return not state.next and not state.fork and not state.outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One way on."""

    to: int
    """Number of a node."""
    weight: float
    delay: Delay
    scaled_by: str | None = None
    """A variable with a `factor`, by which the delay is multiplied."""
    is_retry: bool = False
    """Whether taking it is a retry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One of the walks that a node splits into."""

    edge: Edge
    """To its first node."""
    ends: tuple[frozenset[int], ...]
    """The nodes in which it may end, in classes: where the chain goes on hangs on the class alone."""
    fewest: tuple[int, ...]
    """Events in the shortest walk to each class; 0: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Branches that run side by side; when the last has ended, its end causes what comes next."""

    branches: tuple[Branch, ...]
    joins: Mapping[tuple[int, ...], Edge]
    """The way on, by the class of each branch's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNode:
    """A state at one point of its walks: one event, and what may follow. One edge is taken, or all branches are."""

    state: str
    edges: tuple[Edge, ...] = ()
    stop: float = 0.0
    """Weight of walks that are abandoned here, beside those of the edges."""
    split: Split | None = None
    end: int | None = None
    """Where a branch ends: the class."""
    lanes: int = 1
    """How many branches may run side by side here, this one included."""

    @property
    def goes_on(self) -> bool:
        """Whether anything may follow in the same walk."""
        return bool(self.edges) or self.split is not None

    @property
    def targets(self) -> list[int]:
        """The nodes that may follow, those of the branches included."""
        if self.split is None:
            return [edge.to for edge in self.edges]
        entries = [branch.edge.to for branch in self.split.branches]
        return [*entries, *(edge.to for edge in self.split.joins.values())]


@dataclass(frozen=True, eq=False)
class Graph:
    """All walks of a chain. Branches are closed: their edges lead to nodes of the same branch only."""

    chain: Chain
    nodes: tuple[GraphNode, ...]
    """By number; the first is the start."""

    def state(self, number: int) -> State:
        """The state of a node."""
        return self.chain.states[self.nodes[number].state]

    def ends(self) -> list[int]:
        """The nodes in which the chain ends with an outcome."""
        return [n for n, node in enumerate(self.nodes) if not node.goes_on and self.state(n).outcome]

    def trapped(self) -> list[int]:
        """The nodes from which no walk comes to an end, of its branch at least; there should be none."""
        stops = [number for number, node in enumerate(self.nodes) if not node.goes_on]
        far = self.distances(stops)
        return [number for number in range(len(self.nodes)) if number not in far]

    @cached_property
    def farthest(self) -> int:
        """The most further events, on the shortest way, from any node to an end."""
        return max(self.distances(self.ends()).values(), default=0)

    def distances(self, goals: Iterable[int]) -> dict[int, int]:
        """Fewest further events from each node to a goal; a node that cannot reach one is absent."""
        return distances(dict(enumerate(self.nodes)), goals)


def distances(nodes: Mapping[int, GraphNode], goals: Iterable[int]) -> dict[int, int]:
    """See `Graph.distances`, for some of the nodes."""
    far = dict.fromkeys(goals, 0)
    backwards = sorted(nodes, reverse=True)
    while sum(_nearer(number, nodes[number], far) for number in backwards):
        pass
    return far


def _nearer(number: int, node: GraphNode, far: dict[int, int]) -> bool:
    """Notes a shorter way than known so far."""
    lengths = _lengths(node, far)
    if not lengths or min(lengths) >= far.get(number, min(lengths) + 1):
        return False
    far[number] = min(lengths)
    return True


def _lengths(node: GraphNode, far: Mapping[int, int]) -> Collection[int]:
    if node.split is None:
        return [far[edge.to] + 1 for edge in node.edges if edge.weight > 0 and edge.to in far]
    branches = node.split.branches
    return [
        sum(branch.fewest[kind] for branch, kind in zip(branches, kinds, strict=True)) + far[edge.to] + 1
        for kinds, edge in node.split.joins.items()
        if edge.to in far and all(branch.fewest[kind] for branch, kind in zip(branches, kinds, strict=True))
    ]
