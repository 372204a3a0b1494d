"""Traces: the events of each chain, matched with the walks of the catalog that produce them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush
from itertools import islice, product
from typing import NamedTuple

from eventbus.catalog import Catalog, Chain
from eventbus.catalog.graph.conformance import types_of
from eventbus.catalog.graph.expand import graph_of
from eventbus.catalog.graph.graph import Edge, Graph, Split
from eventbus.catalog.model import Phase
from eventbus.chains.table import SECOND
from eventbus.chains.verification.spool import EventSummary
from eventbus.chains.verification.streams import id_time

CACHE_SIZE = 20_000
"""Shapes whose walks are cached."""


class Shape(NamedTuple):
    """What matching needs of a chain's events: types and causes, causes before their effects."""

    types: tuple[str, ...]
    causes: tuple[int, ...]
    """For each event, the index of its cause; -1 for the root."""


class Step(NamedTuple):
    """An event, matched with a node of a chain's graph."""

    event: int
    """Index in the shape."""
    node: int
    cause: int = -1
    edges: tuple[Edge, ...] = ()
    """One of these led here; several if they differ only in their delays."""


class CausedWalk(NamedTuple):
    """A chain that an event caused."""

    event: int
    """Index of the event that caused it."""
    walk: MatchedWalk


class MatchedWalk(NamedTuple):
    """A complete walk through a chain that produces the events of a shape."""

    chain: str
    steps: tuple[Step, ...]
    """Empty for a session of visitors, which does not follow edges."""
    caused: tuple[CausedWalk, ...] = ()


class Matcher:
    """Finds the walks of a catalog that produce a shape; results are cached."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._roots = catalog.weighted
        self._cache: dict[Shape, tuple[MatchedWalk, ...]] = {}

    def walks(self, shape: Shape) -> tuple[MatchedWalk, ...]:
        """At most two, which is enough to tell that the shape is ambiguous."""
        if shape not in self._cache:
            if len(self._cache) >= CACHE_SIZE:
                self._cache.clear()
            search = _Search(self._catalog, shape)
            walks = (walk for chain in self._roots for walk in search.walks(chain, 0))
            self._cache[shape] = tuple(islice(walks, 2))
        return self._cache[shape]


class _Segment(NamedTuple):
    """A walk up to the end of its chain or branch."""

    steps: tuple[Step, ...]
    onward: tuple[int, ...]
    """Events of the chain that the last event caused: those after a join."""

    @property
    def end(self) -> Step:
        return self.steps[-1]


class _Search:
    """The search for walks that produce one shape."""

    def __init__(self, catalog: Catalog, shape: Shape) -> None:
        self._catalog = catalog
        self._types = shape.types
        self._effects: list[list[int]] = [[] for _ in shape.types]
        for event, cause in enumerate(shape.causes):
            if cause >= 0:
                self._effects[cause].append(event)

    def walks(self, chain: Chain, root: int) -> Iterator[MatchedWalk]:
        """The walks of a chain that produce exactly the events from a root on."""
        if chain.root != self._types[root]:
            return
        own = self._descendants(root, set(types_of(chain)))
        if chain.visitors is not None:
            if self._is_path(graph_of(chain), [self._types[event] for event in own]):
                yield from self._with_caused(chain, own, ())
            return
        if len(own) > chain.max_steps:
            return
        inside = set(own)
        for segment in self._segments(graph_of(chain), Step(root, 0), inside):
            if not segment.onward and len(segment.steps) == len(own):
                yield from self._with_caused(chain, own, segment.steps)

    def _descendants(self, root: int, types: set[str]) -> list[int]:
        """The root and the events of these types that descend from it through such events, in order."""
        events, pending = [root], [root]
        while pending:
            effects = [event for event in self._effects[pending.pop()] if self._types[event] in types]
            events += effects
            pending += effects
        return sorted(events)

    def _segments(self, graph: Graph, first: Step, inside: set[int]) -> Iterator[_Segment]:
        """All walks from an event to the end of its chain or branch; after a split they continue behind its join."""
        pending: list[tuple[Step, ...]] = [(first,)]
        while pending:
            steps = pending.pop()
            node = graph.nodes[steps[-1].node]
            effects = tuple(event for event in self._effects[steps[-1].event] if event in inside)
            if node.split is not None:
                ended, continued = self._through_split(graph, node.split, steps, effects, inside)
                yield from ended
                pending += continued
            elif not node.edges or (node.abandon > 0 and not effects):
                yield _Segment(steps, effects)
            elif len(effects) == 1:
                pending += [(*steps, step) for step in self._next(graph, node.edges, steps[-1].event, effects[0])]

    def _next(self, graph: Graph, edges: Sequence[Edge], cause: int, effect: int) -> Iterator[Step]:
        """A step for each node that the effect may be."""
        by_target: dict[int, list[Edge]] = {}
        for edge in edges:
            if edge.weight > 0 and graph.state(edge.to).emits == self._types[effect]:
                by_target.setdefault(edge.to, []).append(edge)
        for target, parallel in by_target.items():
            yield Step(effect, target, cause, tuple(parallel))

    def _through_split(
        self, graph: Graph, split: Split, steps: tuple[Step, ...], effects: tuple[int, ...], inside: set[int]
    ) -> tuple[list[_Segment], list[tuple[Step, ...]]]:
        """Walks that end inside a split, of which a branch was abandoned, and those that continue after its join."""
        ended: list[_Segment] = []
        continued: list[tuple[Step, ...]] = []
        for firsts in self._assignments(graph, split, steps[-1].event, effects):
            branches = [list(self._segments(graph, first, inside)) for first in firsts]
            for parts in product(*branches):
                joined = sum((part.steps for part in parts), steps)
                onward = [(part.end.event, event) for part in parts for event in part.onward]
                ends = tuple(graph.nodes[part.end.node].end for part in parts)
                if None in ends and not onward:
                    ended.append(_Segment(joined, ()))
                elif len(onward) == 1 and (edge := split.joins.get(ends)):  # type: ignore[arg-type]  # no key has None
                    continued += [(*joined, step) for step in self._next(graph, [edge], *onward[0])]
        return ended, continued

    def _assignments(
        self, graph: Graph, split: Split, cause: int, effects: Iterable[int]
    ) -> Iterator[tuple[Step, ...]]:
        """Every assignment of the effects to the branches that they may begin, by their types."""
        partial: list[tuple[tuple[Step, ...], frozenset[int]]] = [((), frozenset(effects))]
        for branch in split.branches:
            edge = branch.edge
            emits = graph.state(edge.to).emits
            partial = [
                ((*steps, Step(event, edge.to, cause, (edge,))), remaining - {event})
                for steps, remaining in partial
                for event in sorted(remaining)
                if self._types[event] == emits
            ]
        return (steps for steps, remaining in partial if not remaining)

    def _is_path(self, graph: Graph, types: list[str]) -> bool:
        """Whether some walk emits these types in sequence, whatever caused what."""
        nodes = {0}
        for event_type in types[1:]:
            targets = {edge.to for number in nodes for edge in graph.nodes[number].edges if edge.weight > 0}
            nodes = {number for number in targets if graph.state(number).emits == event_type}
        return any(not graph.nodes[number].continues or graph.nodes[number].abandon > 0 for number in nodes)

    def _with_caused(self, chain: Chain, own: list[int], steps: tuple[Step, ...]) -> Iterator[MatchedWalk]:
        """The walk, combined with walks of the chains that it caused; none if an event belongs to no chain."""
        inside = set(own)
        foreign = [(event, effect) for event in own for effect in self._effects[event] if effect not in inside]
        allowed = {(state.emits, caused.chain) for state in chain.states.values() for caused in state.causes}
        candidates = [
            [
                CausedWalk(event, walk)
                for name in sorted(chain.caused)
                if (self._types[event], name) in allowed
                for walk in self.walks(self._catalog.chain(name), effect)
            ]
            for event, effect in foreign
        ]
        for caused in product(*candidates):
            yield MatchedWalk(chain.name, steps, caused)


class PhasedCatalog:
    """The catalog before all phases of a run, and in each of them.

    Args:
        phases: by their start.
        start: of the run, microseconds since the Unix epoch.
        doubt: microseconds by which the run may have started earlier.
    """

    def __init__(self, catalog: Catalog, phases: Sequence[Phase] = (), start: int = 0, doubt: int = 0) -> None:
        self.catalogs = [catalog, *(_in_phase(catalog, phase) for phase in phases)]
        #: Of each catalog: what to append to a sentence about its chains.
        self.suffixes = ["", *(f" from {phase.at:g} s on" for phase in phases)]
        #: Of each catalog.
        self.matchers = [Matcher(catalog) for catalog in self.catalogs]
        self._starts = [start + round(phase.at * SECOND) for phase in phases]
        self._doubt = doubt

    def candidates(self, time: int) -> range:
        """Indices of the catalogs that may apply to a chain that began at a time, microseconds since the Unix epoch."""
        first, last = (sum(start <= latest for start in self._starts) for latest in (time, time + self._doubt))
        return range(first, last + 1)


def _in_phase(catalog: Catalog, phase: Phase) -> Catalog:
    return replace(catalog, chains={name: phase.apply(chain) for name, chain in catalog.chains.items()})


MAX_GUESSES = 200
"""Combinations of causes that are tried for events whose causes are missing."""


class Trace(NamedTuple):
    """The events of one correlation id, each once."""

    events: tuple[EventSummary, ...]
    """Causes before their effects, otherwise by the times in their ids."""
    whole: bool
    """Whether every event but the root was caused by another one of the trace."""
    walks: tuple[MatchedWalk, ...]
    """Walks of the catalog that produce exactly these event types: none, one, or the first two of several."""
    catalog: int | None = 0
    """Index of the catalog that applies. None: several may."""

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(event.event_type for event in self.events)


def group_traces(events: Iterable[EventSummary], phased: PhasedCatalog) -> list[Trace]:
    """Group events by correlation id, in the order of first appearance, and match them with walks.

    Args:
        events: each once.
    """
    groups: dict[str, list[EventSummary]] = {}
    for event in events:
        groups.setdefault(event.correlation_id, []).append(event)
    traces = []
    for correlation_id, group in groups.items():
        numbers = phased.candidates(id_time(correlation_id))
        matches = [_match(group, phased.matchers[number])._replace(catalog=number) for number in numbers]
        best = next((trace for trace in matches if trace.walks), matches[0])
        traces.append(best if len(matches) == 1 else best._replace(catalog=None))
    return traces


def _match(group: list[EventSummary], matcher: Matcher) -> Trace:
    events, whole = sort_by_cause(group)
    types = tuple(event.event_type for event in events)
    numbers = {event.event_id: number for number, event in enumerate(events)}
    causes = [numbers.get(event.causation_id or "", -1) for event in events]
    if whole:
        return Trace(events, True, matcher.walks(Shape(types, tuple(causes))))
    return Trace(events, False, _match_incomplete(types, causes, matcher))


def sort_by_cause(group: Sequence[EventSummary]) -> tuple[tuple[EventSummary, ...], bool]:
    """Sort events topologically, otherwise by id; also tells whether all of them descend from one root."""
    event_ids = {event.event_id for event in group}
    effects: dict[str, list[EventSummary]] = {}
    ready: list[tuple[str, EventSummary]] = []
    for event in group:
        if event.causation_id in event_ids:
            effects.setdefault(event.causation_id or "", []).append(event)
        else:
            ready.append((event.event_id, event))
    roots = [event for _, event in ready]
    heapify(ready)
    events: list[EventSummary] = []
    while ready:
        events.append(heappop(ready)[1])
        for event in effects.get(events[-1].event_id, ()):
            heappush(ready, (event.event_id, event))
    whole = len(roots) == 1 and roots[0].event_id == roots[0].correlation_id and len(events) == len(group)
    circular = event_ids - {event.event_id for event in events}
    return (*events, *sorted(event for event in group if event.event_id in circular)), whole


def _match_incomplete(types: tuple[str, ...], causes: list[int], matcher: Matcher) -> tuple[MatchedWalk, ...]:
    """The walks that match if events with a missing cause were caused by earlier ones; the nearest are tried first."""
    candidates = [
        range(number - 1, -1, -1) if cause < 0 and number else (cause,) for number, cause in enumerate(causes)
    ]
    if any(cause >= number for number, cause in enumerate(causes)):  # circular
        return ()
    shapes = (Shape(types, guess) for guess in islice(product(*candidates), MAX_GUESSES))
    return next((walks for shape in shapes if (walks := matcher.walks(shape))), ())
