"""Catalog → JSON Schema (draft 2020-12): one schema for each event, and one for any event of the catalog."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from eventbus.catalog.model import EventType, PayloadField

if TYPE_CHECKING:
    from eventbus.catalog.catalog import Catalog


DIALECT = "https://json-schema.org/draft/2020-12/schema"
UUID: dict[str, Any] = {"type": "string", "format": "uuid"}
TEXT: dict[str, Any] = {"type": "string", "minLength": 1}

Schema = dict[str, Any]


def catalog_schema(catalog: Catalog) -> Schema:
    """A schema that accepts exactly the events of the catalog; each type's own is among its `$defs`."""
    return {
        "$schema": DIALECT,
        "$id": "urn:eventbus:catalog",
        "title": "Any event of the catalog",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in catalog.events],
        "$defs": {name: event_schema(event) for name, event in catalog.events.items()},
    }


def event_schema(event: EventType) -> Schema:
    """The schema of one event type: the ten fields every event has, and its payload."""
    return _object(
        {
            "event_id": {**UUID, "description": "UUID of this event, version 7 layout"},
            "event_type": {"const": event.name},
            "timestamp": {
                "type": "string",
                "format": "date-time",
                "pattern": r"Z$",
                "description": "Event time, ISO 8601 UTC",
            },
            "correlation_id": {**UUID, "description": "Shared by the whole chain: the event_id of its first event"},
            "causation_id": {
                "type": ["string", "null"],
                "format": "uuid",
                "description": "The event_id of the event that caused this one; null on the first of a chain",
            },
            "tenant_id": TEXT,
            "namespace": TEXT,
            "source": {**TEXT, "description": "Who emits it", "examples": [event.source]},
            "schema_version": {**TEXT, "examples": [event.schema_version]},
            "payload": payload_schema(event),
        },
        title=event.name,
        description=event.description,
    )


def payload_schema(event: EventType) -> Schema:
    """The schema of an event type's payload."""
    return _fields(event.payload)


def _fields(fields: Iterable[PayloadField], description: str = "") -> Schema:
    fields = tuple(fields)
    required = [one.name for one in fields if one.required]
    return _object({one.name: _field(one) for one in fields}, required, description=description)


def _object(properties: Schema, required: list[str] | None = None, **about: str) -> Schema:
    words = {name: text for name, text in about.items() if text}
    return {
        **words,
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


def _field(one: PayloadField) -> Schema:
    if one.fields is not None:
        return _fields(one.fields, one.description)
    schema: Schema = {"type": one.type}
    if one.description:
        schema["description"] = one.description
    if one.value is not None:
        return schema | {"const": one.value}
    if one.choices is not None:
        return schema | {"enum": _distinct(one.choices)}
    if one.elapsed:
        schema["minimum"] = 0
    if one.minimum is not None:
        schema["minimum"] = one.minimum
    if one.maximum is not None:
        schema["maximum"] = one.maximum
    if examples := one.examples or (one.allowed or ())[:3]:
        schema["examples"] = _distinct(examples)
    return schema


def _distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once, in order; values may be lists or mappings."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
