"""Rules for payload fields: values that fit the type, references that lead somewhere, states that can give a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from eventbus.catalog.errors import Location
from eventbus.catalog.model.chains import Chain
from eventbus.catalog.model.events import EventType, PayloadField, dotted, every_field
from eventbus.catalog.model.sources import Lists
from eventbus.catalog.sources import misfits

Problems = Iterator[tuple[Location, str]]


def payload_problems(event: EventType, lists: Lists, chains: list[Chain]) -> Problems:
    """What is wrong with the payload of an event that these chains emit."""
    for path, field in every_field(event.payload):
        for key, problem in _field_problems(field, lists, chains):
            yield ("events", event.name, "payload", *path, *key), problem


def _field_problems(field: PayloadField, lists: Lists, chains: list[Chain]) -> Problems:
    if field.fields is not None and field.type != "object":
        yield ("type",), f"a field with `fields` is an object, got {field.type}"
    yield from field.source.problems(field.type, lists, chains)
    for index, problem in misfits(field.type, field.examples):
        yield ("examples", index), problem


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
