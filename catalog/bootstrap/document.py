"""A catalog as the document that a file of it holds: the inverse of the loader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from catalog.asyncapi import delay_document
from catalog.catalog import Catalog
from catalog.model import Chain, EventType, PayloadField, State, Transition, Variable

Document = dict[str, Any]

SOURCES = {"value": "value", "choices": "choices", "pick": "pick", "var": "var", "minimum": "min", "maximum": "max"}
"""What gives a payload field its value: attribute → name in a file."""


def catalog_document(catalog: Catalog) -> Document:
    """A file that stands on its own."""
    lists = {name: list(items) for name, items in catalog.lists.items()}
    sections = {
        "lists": lists,
        "events": {name: event_document(event) for name, event in catalog.events.items()},
        "chains": {name: chain_document(chain) for name, chain in catalog.chains.items()},
    }
    return {"alone": True, **_domain(catalog), **{name: section for name, section in sections.items() if section}}


def _domain(catalog: Catalog) -> Document:
    """The file's domain where all event types have one, and the partitions of its topic, or of all topics."""
    domains = list(dict.fromkeys(event.domain for event in catalog.events.values()))
    if len(domains) != 1:
        return _said({"partitions": dict(catalog.partitions)})
    return {"domain": domains[0]} | _said({"partitions": catalog.partitions.get(domains[0])})


def event_document(event: EventType) -> Document:
    """An event type."""
    version = {} if event.schema_version == "1.0.0" else {"schema_version": event.schema_version}
    about = _said({"description": event.description, "source": event.source})
    return about | version | _said({"payload": {one.name: field_document(one) for one in event.payload}})


def field_document(one: PayloadField) -> Document:
    """A payload field."""
    about = _said({"description": one.description, "examples": list(one.examples)})
    optional = {} if one.required else {"required": False}
    if one.fields is not None:
        return {**about, **optional, "fields": {inner.name: field_document(inner) for inner in one.fields}}
    return {"type": one.type, **source_document(one), **about, **optional}


def source_document(one: PayloadField) -> Document:
    """Where a field gets its value."""
    found = {name: getattr(one, attribute) for attribute, name in SOURCES.items()}
    document = {name: list(v) if isinstance(v, tuple) else v for name, v in found.items() if v is not None}
    decimals = {"decimals": one.decimals} if one.decimals else {}
    return ({"elapsed": True} if one.elapsed else {}) | document | decimals


def chain_document(chain: Chain) -> Document:
    """A chain."""
    steps = {} if chain.max_steps == 64 else {"max_steps": chain.max_steps}
    return {
        **_said({"description": chain.description}),
        "weight": chain.weight,
        **_said({"variables": {name: variable_document(one) for name, one in chain.variables.items()}}),
        **steps,
        "start": chain.start,
        "states": {name: state_document(state) for name, state in chain.states.items()},
    }


def variable_document(one: Variable) -> Document:
    """A variable of a chain."""
    return {"list": one.list} if one.list is not None else {"min": one.minimum, "max": one.maximum}


def state_document(state: State) -> Document:
    """A state."""
    if not state.next:
        return {"emits": state.emits, "outcome": state.outcome}
    total = {} if state.total == 100 else {"total": state.total}
    only = len(state.next) == 1
    return {"emits": state.emits, **total, "next": [_transition(way, only=only) for way in state.next]}


def _transition(way: Transition, *, only: bool) -> Document:
    weight = {} if only else {"weight": way.weight}
    return {"to": way.to, **weight, "delay": delay_document(way.delay)}


def _said(members: Mapping[str, Any]) -> Document:
    """Without what is empty."""
    return {name: value for name, value in members.items() if value}
