"""The catalog in the course of a run: as it is, and as each phase makes it."""

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
from eventbus.chains.verification.streams import EventSummary, id_time

# Finds the walks of the catalog that leave a tree of event types: which event is which node of a chain's graph.


REMEMBERED = 20_000
"""Shapes of which the walks are kept."""


class Shape(NamedTuple):
    """The events of a chain without what makes them single: types and causes, a cause before its effects."""

    types: tuple[str, ...]
    causes: tuple[int, ...]
    """For each event, the number of its cause; -1 for the root."""


class Step(NamedTuple):
    """An event at its place in a graph."""

    event: int
    """Number in the shape."""
    node: int
    cause: int = -1
    ways: tuple[Edge, ...] = ()
    """The edges, one of which led here; several where they differ in nothing but their delays."""


class CausedWalk(NamedTuple):
    """A chain that an event caused."""

    event: int
    """That which caused it."""
    walked: MatchedWalk


class MatchedWalk(NamedTuple):
    """A complete walk through a chain."""

    chain: str
    steps: tuple[Step, ...]
    """None for a session of visitors: what they do is no matter of edges."""
    caused: tuple[CausedWalk, ...] = ()


class Matcher:
    """Finds walks; every shape is looked at once, the last ones at least."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._roots = catalog.weighted
        self._known: dict[Shape, tuple[MatchedWalk, ...]] = {}

    def walks(self, shape: Shape) -> tuple[MatchedWalk, ...]:
        """At most two: more would say no more."""
        if shape not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            reading = _Reading(self._catalog, shape)
            found = (walked for chain in self._roots for walked in reading.walks(chain, 0))
            self._known[shape] = tuple(islice(found, 2))
        return self._known[shape]


class _Segment(NamedTuple):
    """A walk up to an event after which the walk, or the branch, has ended."""

    steps: tuple[Step, ...]
    onward: tuple[int, ...]
    """Events of the chain that the last one causes nevertheless: what comes behind a join."""

    @property
    def end(self) -> Step:
        return self.steps[-1]


class _Reading:
    """One shape, read as this chain or that."""

    def __init__(self, catalog: Catalog, shape: Shape) -> None:
        self._catalog = catalog
        self._types = shape.types
        self._effects: list[list[int]] = [[] for _ in shape.types]
        for event, cause in enumerate(shape.causes):
            if cause >= 0:
                self._effects[cause].append(event)

    def walks(self, chain: Chain, root: int) -> Iterator[MatchedWalk]:
        """The walks of a chain that leave exactly the events from a root on."""
        if chain.root != self._types[root]:
            return
        own = self._own(root, set(types_of(chain)))
        if chain.visitors is not None:
            if self._fits(graph_of(chain), [self._types[event] for event in own]):
                yield from self._with_caused(chain, own, ())
            return
        if len(own) > chain.max_steps:
            return
        inside = set(own)
        for segment in self._segments(graph_of(chain), Step(root, 0), inside):
            if not segment.onward and len(segment.steps) == len(own):
                yield from self._with_caused(chain, own, segment.steps)

    def _own(self, root: int, types: set[str]) -> list[int]:
        """The events from a root on that are of these types, in their order."""
        found, ahead = [root], [root]
        while ahead:
            effects = [event for event in self._effects[ahead.pop()] if self._types[event] in types]
            found += effects
            ahead += effects
        return sorted(found)

    def _segments(self, graph: Graph, first: Step, inside: set[int]) -> Iterator[_Segment]:
        """The ways from an event on to an end; those through a split go on behind its join."""
        ahead: list[tuple[Step, ...]] = [(first,)]
        while ahead:
            steps = ahead.pop()
            node = graph.nodes[steps[-1].node]
            effects = tuple(event for event in self._effects[steps[-1].event] if event in inside)
            if node.split is not None:
                ends, further = self._joined(graph, node.split, steps, effects, inside)
                yield from ends
                ahead += further
            elif not node.edges or (node.abandon > 0 and not effects):
                yield _Segment(steps, effects)
            elif len(effects) == 1:
                ahead += [(*steps, step) for step in self._next(graph, node.edges, steps[-1].event, effects[0])]

    def _next(self, graph: Graph, edges: Sequence[Edge], cause: int, effect: int) -> Iterator[Step]:
        ways: dict[int, list[Edge]] = {}
        for edge in edges:
            if edge.weight > 0 and graph.state(edge.to).emits == self._types[effect]:
                ways.setdefault(edge.to, []).append(edge)
        for to, some in ways.items():
            yield Step(effect, to, cause, tuple(some))

    def _joined(
        self, graph: Graph, split: Split, steps: tuple[Step, ...], effects: tuple[int, ...], inside: set[int]
    ) -> tuple[list[_Segment], list[tuple[Step, ...]]]:
        """Behind the join of a split; and where a branch was abandoned, so that there is none, the end."""
        ended: list[_Segment] = []
        further: list[tuple[Step, ...]] = []
        for firsts in self._entered(graph, split, steps[-1].event, effects):
            walked = [list(self._segments(graph, first, inside)) for first in firsts]
            for parts in product(*walked):
                every = sum((part.steps for part in parts), steps)
                onward = [(part.end.event, event) for part in parts for event in part.onward]
                kinds = tuple(graph.nodes[part.end.node].end for part in parts)
                if None in kinds and not onward:
                    ended.append(_Segment(every, ()))
                elif len(onward) == 1 and (edge := split.joins.get(kinds)):  # type: ignore[arg-type]  # None is in none
                    further += [(*every, step) for step in self._next(graph, [edge], *onward[0])]
        return ended, further

    def _entered(self, graph: Graph, split: Split, cause: int, effects: Iterable[int]) -> Iterator[tuple[Step, ...]]:
        """Which effect begins which branch: every way to deal them out by their types."""
        dealt: list[tuple[tuple[Step, ...], frozenset[int]]] = [((), frozenset(effects))]
        for branch in split.branches:
            edge = branch.edge
            wanted = graph.state(edge.to).emits
            dealt = [
                ((*steps, Step(event, edge.to, cause, (edge,))), left - {event})
                for steps, left in dealt
                for event in sorted(left)
                if self._types[event] == wanted
            ]
        return (steps for steps, left in dealt if not left)

    def _fits(self, graph: Graph, types: list[str]) -> bool:
        """Whether some walk emits these types one after the other, whatever caused what."""
        here = {0}
        for wanted in types[1:]:
            targets = {edge.to for number in here for edge in graph.nodes[number].edges if edge.weight > 0}
            here = {number for number in targets if graph.state(number).emits == wanted}
        return any(not graph.nodes[number].continues or graph.nodes[number].abandon > 0 for number in here)

    def _with_caused(self, chain: Chain, own: list[int], steps: tuple[Step, ...]) -> Iterator[MatchedWalk]:
        """The walk together with one for each chain that it caused; none if an event remains."""
        inside = set(own)
        foreign = [(event, effect) for event in own for effect in self._effects[event] if effect not in inside]
        allowed = {(state.emits, one.chain) for state in chain.states.values() for one in state.causes}
        found = [
            [
                CausedWalk(event, walked)
                for name in sorted(chain.caused)
                if (self._types[event], name) in allowed
                for walked in self.walks(self._catalog.chain(name), effect)
            ]
            for event, effect in foreign
        ]
        for caused in product(*found):
            yield MatchedWalk(chain.name, steps, caused)


SECOND = 1_000_000


class PhasedCatalog:
    """Which catalog a chain is judged by.

    Args:
        phases: in the order of their moments.
        start: of the run, microseconds since the Unix epoch.
        doubt: by how much the run may have started earlier.
    """

    def __init__(self, catalog: Catalog, phases: Sequence[Phase] = (), start: int = 0, doubt: int = 0) -> None:
        #: The catalog before all phases, and in each of them.
        self.catalogs = [catalog, *(_changed(catalog, phase) for phase in phases)]
        #: What to add to a sentence about chains of each.
        self.marks = ["", *(f" from {phase.at:g} s on" for phase in phases)]
        self._moments = [start + round(phase.at * SECOND) for phase in phases]
        self._doubt = doubt

    def numbers(self, began: int) -> range:
        """Of the catalogs that may hold for a chain that began at a time, microseconds since the Unix epoch."""
        surely, perhaps = (sum(moment <= time for moment in self._moments) for time in (began, began + self._doubt))
        return range(surely, perhaps + 1)


def _changed(catalog: Catalog, phase: Phase) -> Catalog:
    return replace(catalog, chains={name: phase.apply(chain) for name, chain in catalog.chains.items()})


# The events of each chain, causes before their effects, and the walks of the catalog that fit them.


GUESSES = 200
"""Where events whose cause is not known might hang, at most."""


class Trace(NamedTuple):
    """The events of one correlation id, each once."""

    events: tuple[EventSummary, ...]
    """A cause before its effects, else by the times in their ids."""
    whole: bool
    """Each event but the root was caused by another of them."""
    walks: tuple[MatchedWalk, ...]
    """That leave exactly these event types: none, one, or the first two of several."""
    catalog: int | None = 0
    """Which one of the run's course they are of; None: that is in doubt."""

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(event.event_type for event in self.events)


def traces(events: Iterable[EventSummary], course: PhasedCatalog) -> list[Trace]:
    """All chains, in the order of their first lines.

    Args:
        events: each once.
    """
    groups: dict[str, list[EventSummary]] = {}
    for event in events:
        groups.setdefault(event.correlation_id, []).append(event)
    matchers = [Matcher(catalog) for catalog in course.catalogs]
    found = []
    for correlation_id, group in groups.items():
        numbers = course.numbers(id_time(correlation_id))
        several = [_trail(group, matchers[number])._replace(catalog=number) for number in numbers]
        best = next((trail for trail in several if trail.walks), several[0])
        found.append(best if len(several) == 1 else best._replace(catalog=None))
    return found


def _trail(group: list[EventSummary], matcher: Matcher) -> Trace:
    events, whole = ordered(group)
    types = tuple(event.event_type for event in events)
    places = {event.event_id: number for number, event in enumerate(events)}
    causes = [places.get(event.causation_id or "", -1) for event in events]
    if whole:
        return Trace(events, True, matcher.walks(Shape(types, tuple(causes))))
    return Trace(events, False, _guessed(types, causes, matcher))


def ordered(group: Sequence[EventSummary]) -> tuple[tuple[EventSummary, ...], bool]:
    """Events with causes before effects, else by their ids; and whether all hang together on one root."""
    known = {event.event_id for event in group}
    effects: dict[str, list[EventSummary]] = {}
    ready: list[tuple[str, EventSummary]] = []
    for event in group:
        if event.causation_id in known:
            effects.setdefault(event.causation_id or "", []).append(event)
        else:
            ready.append((event.event_id, event))
    roots = [event for _, event in ready]
    heapify(ready)
    found: list[EventSummary] = []
    while ready:
        found.append(heappop(ready)[1])
        for event in effects.get(found[-1].event_id, ()):
            heappush(ready, (event.event_id, event))
    whole = len(roots) == 1 and roots[0].event_id == roots[0].correlation_id and len(found) == len(group)
    circular = known - {event.event_id for event in found}
    return (*found, *sorted(event for event in group if event.event_id in circular)), whole


def _guessed(types: tuple[str, ...], causes: list[int], matcher: Matcher) -> tuple[MatchedWalk, ...]:
    """The walks that fit if events without a known cause hang on earlier ones, the nearest first."""
    candidates = [
        range(number - 1, -1, -1) if cause < 0 and number else (cause,) for number, cause in enumerate(causes)
    ]
    if any(cause >= number for number, cause in enumerate(causes)):  # circular
        return ()
    shapes = (Shape(types, guess) for guess in islice(product(*candidates), GUESSES))
    return next((walks for shape in shapes if (walks := matcher.walks(shape))), ())
