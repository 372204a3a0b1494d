"""The graph of a chain: nodes and weighted edges in which retries are counted, timeouts are edges of their own, and
compensations are spelled out.

The generator walks this graph and verification matches chains against it, so neither knows retries, timeouts or
compensation. `expand` builds it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain as concatenated

from eventbus.catalog.errors import Location
from eventbus.catalog.model import Chain, Delay, Fixed, State, Target, Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A transition from one node to another."""

    to: int
    """Number of a node."""
    weight: float
    delay: Delay
    scaled_by: str | None = None
    """A variable with a `factor`, which multiplies the delay."""
    is_retry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One of the branches that a node splits into."""

    edge: Edge
    """To its first node."""
    ends: tuple[frozenset[int], ...]
    """The nodes in which it may end, by class: the class alone decides where the chain continues."""
    min_events: tuple[int, ...]
    """Number of events on the shortest path to each class; 0: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Branches that run in parallel; the end of the last one causes what comes next."""

    branches: tuple[Branch, ...]
    joins: Mapping[tuple[int, ...], Edge]
    """The edge that follows, by the class of each branch's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNode:
    """A state at one point of a chain: it emits one event, then one edge is taken, or all branches are."""

    state: str
    edges: tuple[Edge, ...] = ()
    abandon: float = 0.0
    """Weight of the chains that are abandoned here, beside those of the edges."""
    split: Split | None = None
    end: int | None = None
    """The class of the node if a branch ends here."""
    fan_out: int = 1
    """The maximum number of branches that run in parallel here, this one included."""

    @property
    def continues(self) -> bool:
        """Whether anything may follow on the same path."""
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
    """All paths of a chain. Branches are closed: their edges lead to nodes of the same branch only."""

    chain: Chain
    nodes: tuple[GraphNode, ...]
    """By number; the first is the start."""

    def state(self, number: int) -> State:
        """The state of a node."""
        return self.chain.states[self.nodes[number].state]

    def ends(self) -> list[int]:
        """The nodes in which the chain ends with an outcome."""
        return [n for n, node in enumerate(self.nodes) if not node.continues and self.state(n).outcome]

    def trapped(self) -> list[int]:
        """The nodes from which no path leads to an end, not even of their branch; a valid chain has none."""
        leaves = [number for number, node in enumerate(self.nodes) if not node.continues]
        lengths = self.distances(leaves)
        return [number for number in range(len(self.nodes)) if number not in lengths]

    @cached_property
    def max_distance(self) -> int:
        """The largest distance of any node to its nearest end."""
        return max(self.distances(self.ends()).values(), default=0)

    def distances(self, goals: Iterable[int]) -> dict[int, int]:
        """The smallest number of further events from each node to a goal; nodes that cannot reach one are absent."""
        return distances(dict(enumerate(self.nodes)), goals)


def distances(nodes: Mapping[int, GraphNode], goals: Iterable[int]) -> dict[int, int]:
    """Like `Graph.distances`, for a subset of the nodes."""
    lengths = dict.fromkeys(goals, 0)
    backwards = sorted(nodes, reverse=True)
    while sum(_shorten(number, nodes[number], lengths) for number in backwards):
        pass
    return lengths


def _shorten(number: int, node: GraphNode, lengths: dict[int, int]) -> bool:
    """Enter a node's distance if it is shorter than the known one; returns whether it was."""
    options = _lengths(node, lengths)
    if not options or min(options) >= lengths.get(number, min(options) + 1):
        return False
    lengths[number] = min(options)
    return True


def _lengths(node: GraphNode, lengths: Mapping[int, int]) -> Collection[int]:
    if node.split is None:
        return [lengths[edge.to] + 1 for edge in node.edges if edge.weight > 0 and edge.to in lengths]
    branches = node.split.branches
    return [
        sum(branch.min_events[end] for branch, end in zip(branches, ends, strict=True)) + lengths[edge.to] + 1
        for ends, edge in node.split.joins.items()
        if edge.to in lengths and all(branch.min_events[end] for branch, end in zip(branches, ends, strict=True))
    ]


# States, before they are expanded into nodes.


def located_targets(state: State) -> Iterator[tuple[Location, Target]]:
    """The targets of a state in its own description, each with its path there; caused chains are not among them."""
    for number, transition in enumerate(state.next):
        yield (
            ("next", number),
            Target(to=transition.to, delay=transition.delay, compensate=transition.compensate),
        )
        if transition.retry:
            yield ("next", number, "retry", "else"), transition.retry.otherwise
    if state.timeout:
        yield ("timeout",), Target(to=state.timeout.to, delay=Fixed(value=state.timeout.after))
    if state.compensation:
        yield ("compensation",), state.compensation
    if state.fork:
        yield from ((("fork", "branches", number), branch) for number, branch in enumerate(state.fork.branches))
        yield ("fork", "join"), state.fork.join
        yield from ((("fork", "join", "unless", number), rule.target) for number, rule in enumerate(state.fork.unless))


def targets(state: State) -> Iterator[Target]:
    """The targets of a state in its own description."""
    return (target for _, target in located_targets(state))


def retried_transitions(chain: Chain) -> list[tuple[str, Transition]]:
    """The transitions of a chain that have a retry limit, each with the name of its state."""
    return [
        (state.name, transition) for state in chain.states.values() for transition in state.next if transition.retry
    ]


class Reachability:
    """The states reachable from each state: retry counts and compensations that no longer matter can be forgotten."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._targets: dict[str, list[Target]] = {name: list(targets(state)) for name, state in chain.states.items()}
        self._retried = [name for name, _ in retried_transitions(chain)]
        self.after: Mapping[str, frozenset[str]] = self._closure()
        for state in chain.states.values():
            if state.fork:
                self._add_joins(state)
        self.after = self._closure()

    def retries_open(self, state: str) -> list[bool]:
        """For each retried transition of the chain, whether it can still be reached from a state."""
        return [name in self.after[state] for name in self._retried]

    def may_compensate(self, state: str) -> bool:
        """Whether a target that runs compensations can still be reached from a state."""
        return any(target.compensate for name in self.after[state] for target in self._targets[name])

    def _add_joins(self, forking: State) -> None:
        """Let the join of a fork follow the states in which its branches end."""
        assert forking.fork
        inside = concatenated.from_iterable(self.after[branch.to] for branch in forking.fork.branches)
        for name in {name for name in inside if _ends_branch(self._chain.states[name])}:
            self._targets[name] += [forking.fork.join, *(rule.target for rule in forking.fork.unless)]

    def _closure(self) -> Mapping[str, frozenset[str]]:
        return {name: frozenset(self._reachable(name)) for name in self._chain.states}

    def _reachable(self, start: str) -> set[str]:
        reached, pending = set(), [start]
        while pending:
            name = pending.pop()
            if name not in reached:
                reached.add(name)
                pending += [target.to for target in self._targets[name]]
        return reached


def _ends_branch(state: State) -> bool:
    return not state.next and not state.fork and not state.outcome
