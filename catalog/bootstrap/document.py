"""A catalog as the document that a file of it holds: the inverse of the loader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventbus.catalog.bootstrap.states import state_document
from eventbus.catalog.bootstrap.visitors import visitors_document
from eventbus.catalog.catalog import Catalog
from eventbus.catalog.model import Chain, Variable
from eventbus.catalog.model_events import EventType, PayloadField

Document = dict[str, Any]

SOURCES = {
    **{name: name for name in ("value", "choices", "pick", "var", "template", "visit")},
    **{"minimum": "min", "maximum": "max"},
}
"""What gives a payload field its value: attribute → name in a file."""
FLAGS = ("elapsed", "attempt")
"""The same, where it is no more than true."""


def catalog_document(catalog: Catalog, beneath: Catalog | None = None) -> Document:
    """A file that stands on its own, or has what differs from a catalog on top of which it will be read."""
    sections = {
        "lists": {name: list(items) for name, items in catalog.lists.items() if _is_new(beneath, "lists", name, items)},
        "events": {n: event_document(e) for n, e in catalog.events.items() if _is_new(beneath, "events", n, e)},
        "chains": {n: chain_document(c) for n, c in catalog.chains.items() if _is_new(beneath, "chains", n, c)},
    }
    head = {} if beneath else {"alone": True, **_domain(catalog)}
    return {**head, **_said(sections)}


def _is_new(beneath: Catalog | None, section: str, name: str, value: Any) -> bool:
    return beneath is None or getattr(beneath, section).get(name) != value


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
    flags = {name: True for name in FLAGS if getattr(one, name)}
    return {**flags, **document, **_said({"decimals": one.decimals})}


def chain_document(chain: Chain) -> Document:
    """A chain."""
    steps = {} if chain.visitors or chain.max_steps == 64 else {"max_steps": chain.max_steps}
    return {
        **_said({"description": chain.description}),
        "weight": chain.weight,
        **_said({"variables": {name: variable_document(one) for name, one in chain.variables.items()}}),
        **steps,
        "start": chain.start,
        "states": {name: state_document(state) for name, state in chain.states.items()},
        **({"visitors": visitors_document(chain.visitors)} if chain.visitors else {}),
    }


def variable_document(one: Variable) -> Document:
    """A variable of a chain."""
    bounds = {"list": one.list} if one.list is not None else {"min": one.minimum, "max": one.maximum}
    factor = {} if one.factor is None else {"factor": {"p95": one.factor}}
    return {**bounds, **_said({"by": one.by, "zipf": one.zipf}), **factor}


def _domain(catalog: Catalog) -> Document:
    """The file's domain where all event types have one, and the partitions of its topic, or of all topics."""
    domains = list(dict.fromkeys(event.domain for event in catalog.events.values()))
    if len(domains) != 1:
        return _said({"partitions": dict(catalog.partitions)})
    return {"domain": domains[0]} | _said({"partitions": catalog.partitions.get(domains[0])})


def _said(members: Mapping[str, Any]) -> Document:
    """Without what is empty."""
    return {name: value for name, value in members.items() if value}
