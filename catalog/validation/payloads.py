"""Rules for payload fields: values that fit the type, references that lead somewhere, states that can give a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from eventbus.catalog.errors import Location, Problems, did_you_mean, join_names
from eventbus.catalog.graph.expand import graph_of
from eventbus.catalog.graph.graph import Edge, GraphNode
from eventbus.catalog.model.chains import Chain
from eventbus.catalog.model.delays import longest as longest_of
from eventbus.catalog.model.draws import Placeholder
from eventbus.catalog.model.events import EventType, PayloadField, dotted, every_field
from eventbus.catalog.model.sections import Sections
from eventbus.catalog.model.sources import Lists
from eventbus.catalog.sources import ComputedNumber, ListPick, NumberRange, PayloadDraws, TextTemplate, misfits
from eventbus.catalog.sources.simulated import SESSION_MS
from eventbus.catalog.validation.chains import max_factor


def payload_problems(event: EventType, lists: Lists, chains: list[Chain]) -> Problems:
    """What is wrong with the payload of an event that these chains emit."""
    for path, field in every_field(event.payload):
        for key, problem in _field_problems(field, lists, chains):
            yield ("events", event.name, "payload", *path, *key), problem
    yield from (
        (("events", event.name, "payload", *key), problem) for key, problem in _use_problems(event, lists, chains)
    )
    yield from _pick_problems(event)


def _field_problems(field: PayloadField, lists: Lists, chains: list[Chain]) -> Problems:
    if field.fields is not None and field.type != "object":
        yield ("type",), f"a field with `fields` is an object, got {field.type}"
    yield from field.source.problems(field.type, lists, chains)
    for index, problem in misfits(field.type, field.examples):
        yield ("examples", index), problem


def _use_problems(event: EventType, lists: Lists, chains: list[Chain]) -> Problems:
    """References to other fields that lead nowhere, to a value of another type, or in a circle."""
    fields = {dotted(path): (path, field) for path, field in every_field(event.payload)}
    needed: dict[str, list[str]] = {}
    for name, (path, field) in fields.items():
        for use in field.source.uses(field.type, lists, chains):
            target = fields[use.path][1] if use.path in fields else None
            if target is None:
                near = did_you_mean(use.path, fields)
                yield (*path, *use.key), f"no field {use.path!r} in the payload{near}; it has {join_names(fields)}"
            elif target.type not in use.types:
                expected = join_names(use.types)
                yield (*path, *use.key), f"expected a field of type {expected}, but {use.path!r} is {target.type}"
            elif isinstance(target.source, TextTemplate):
                yield (*path, *use.key), f"{use.path!r} is filled from other fields itself"
            else:
                needed.setdefault(name, []).append(use.path)
    for name in needed:
        if name in _reachable(name, needed):
            yield fields[name][0], f"the value of {name!r} depends on itself"


def _reachable(name: str, needed: Mapping[str, list[str]]) -> set[str]:
    """The fields that a field needs, and those that these need."""
    reached: set[str] = set()
    pending = [*needed.get(name, ())]
    while pending:
        field = pending.pop()
        if field not in reached:
            reached.add(field)
            pending += needed.get(field, ())
    return reached


def _pick_problems(event: EventType) -> Problems:
    """Picks of one list with different conditions: they could not be of one item."""
    conditions: dict[str, Any] = {}
    for path, field in every_field(event.payload):
        source = field.source.source if isinstance(field.source, TextTemplate) else field.source
        if not isinstance(source, ListPick):
            continue
        condition = source.where, source.distinct
        if conditions.setdefault(source.list_name, condition) != condition:
            place: Location = ("events", event.name, "payload", *path, "pick")
            yield place, f"all picks of list {source.list_name!r} in one event need the same `where` and `distinct`"


def size_problems(chain: Chain, sections: Sections) -> Problems:
    """Numbers that depend on others and may be too large to be computed; everything else has to be right."""
    events, longest = sections.events, _longest_delays(chain, sections.chains.values())
    for state in chain.states.values():
        payload = events[state.emits].payload if state.emits in events else ()
        draws = PayloadDraws(sections.lists, chain, state.name, payload, longest.get(state.name, 0))
        for path, field in every_field(payload):
            if isinstance(field.source, NumberRange | ComputedNumber):
                placeholder = draws.placeholder(field, path[::2])
                if isinstance(placeholder, Placeholder) and placeholder.bounds_problem:
                    yield ("events", state.emits, "payload", *path), placeholder.bounds_problem


def _longest_delays(chain: Chain, chains: Iterable[Chain]) -> dict[str, int]:
    """The longest delay before each state that has one, microseconds; everything else has to be right.

    Args:
        chains: all of the catalog; some may cause this one.
    """
    if chain.visitors:
        return dict.fromkeys(chain.states, SESSION_MS * 1000)
    nodes = graph_of(chain).nodes
    causes = (cause for causing in chains for state in causing.states.values() for cause in state.causes)
    delays = [(chain.start, longest_of(cause.delay)) for cause in causes if cause.chain == chain.name]
    for edge in (edge for node in nodes for edge in _edges_of(node)):
        factor = max_factor(chain.variables[edge.scaled_by]) if edge.scaled_by else 1.0
        delays.append((nodes[edge.to].state, longest_of(edge.delay) * factor))
    longest: dict[str, int] = {}
    for name, delay in delays:
        longest[name] = max(longest.get(name, 0), round(delay * 1000))
    return longest


def _edges_of(node: GraphNode) -> Iterator[Edge]:
    yield from node.edges
    if node.split:
        yield from (branch.edge for branch in node.split.branches)
        yield from node.split.joins.values()


def emission_problems(chain: Chain, events: Mapping[str, EventType], *, is_caused: bool) -> Problems:
    """Payload fields that have no value in a state that emits their event.

    Args:
        is_caused: whether other chains cause the chain.
    """
    for state in chain.states.values():
        event = events.get(state.emits)
        for path, field in every_field(event.payload) if event else ():
            problem = field.source.emission_problem(chain, state.name, is_caused=is_caused)
            if problem:
                place: Location = ("chains", chain.name, "states", state.name, "emits")
                yield place, f"the payload field {dotted(path)!r} of {state.emits} {problem}"
