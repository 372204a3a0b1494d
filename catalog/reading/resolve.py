"""Where a payload field's values come from, followed through picks and variables to the lists themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from eventbus.catalog.model import Chain, emitters
from eventbus.catalog.model_events import EventType, PayloadField, split
from eventbus.catalog.visitors import COUNTED

if TYPE_CHECKING:
    from eventbus.catalog.catalog import Catalog


def resolved(catalog: Catalog) -> dict[str, EventType]:
    """The catalog's event types with `allowed` of every payload field filled in, where it is known."""
    emitting = emitters(catalog.chains)
    return {
        name: replace(event, payload=tuple(_resolved(f, catalog, emitting.get(name, [])) for f in event.payload))
        for name, event in catalog.events.items()
    }


def _resolved(one: PayloadField, catalog: Catalog, chains: list[Chain]) -> PayloadField:
    if one.fields is not None:
        return replace(one, fields=tuple(_resolved(inner, catalog, chains) for inner in one.fields))
    return replace(one, allowed=_allowed(one, catalog, chains))


def _allowed(one: PayloadField, catalog: Catalog, chains: list[Chain]) -> tuple[Any, ...] | None:
    if one.value is not None:
        return (one.value,)
    if one.pick is not None:
        return _values(catalog, *split(one.pick))
    if one.var is not None:
        return _of_variable(one.var, catalog, chains)
    if one.visit is not None:
        return _of_visits(one.visit, chains)
    return one.choices


def _of_variable(reference: str, catalog: Catalog, chains: list[Chain]) -> tuple[Any, ...] | None:
    """The values of all chains together; None when one of them draws a number between bounds, or no chain emits it."""
    name, attribute = split(reference)
    lists = [chain.variables[name].list for chain in chains]
    if not lists or None in lists:
        return None
    return tuple(value for items in dict.fromkeys(lists) if items for value in _values(catalog, items, attribute))


def _of_visits(visit: str, chains: list[Chain]) -> tuple[Any, ...] | None:
    """The texts of the sites of all chains; None for whole numbers, and referrers, which may lie elsewhere."""
    if visit in COUNTED or visit == "referrer":
        return None
    return tuple(text for chain in chains if chain.visitors for text in dict.fromkeys(chain.visitors.texts(visit)))


def _values(catalog: Catalog, name: str, attribute: str | None) -> tuple[Any, ...]:
    items = catalog.lists[name]
    return items if attribute is None else tuple(item[attribute] for item in items)
