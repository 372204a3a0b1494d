"""Catalog → JSON Schema (draft 2020-12): one schema for each event, and one for any event of the catalog."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eventbus.catalog.model import EventType, PayloadField, Sections
from eventbus.catalog.sources import distinct

DIALECT = "https://json-schema.org/draft/2020-12/schema"
UUID: dict[str, Any] = {"type": "string", "format": "uuid"}
TEXT: dict[str, Any] = {"type": "string", "minLength": 1}

Schema = dict[str, Any]


def catalog_schema(catalog: Sections) -> Schema:
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
    required = [field.name for field in fields if field.required]
    return _object({field.name: _field(field) for field in fields}, required, description=description)


def _object(properties: Schema, required: list[str] | None = None, **about: str) -> Schema:
    words = {name: text for name, text in about.items() if text}
    return {
        **words,
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


def _field(field: PayloadField) -> Schema:
    if field.fields is not None:
        return _fields(field.fields, field.description)
    schema: Schema = {"type": field.type}
    if field.description:
        schema["description"] = field.description
    schema |= field.source.schema()
    examples = field.examples or (field.allowed or ())[:3]
    if examples and field.source.accepted is None:
        schema["examples"] = distinct(examples)
    return schema
