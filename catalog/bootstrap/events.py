"""The events of a document, whatever kind of document it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from eventbus.catalog.bootstrap.references import Document, Schema
from eventbus.catalog.bootstrap.schemas import plain


class Found(NamedTuple):
    """A message or schema that describes one event."""

    name: str
    """As the document calls it."""
    payload: Any
    """Its schema."""
    description: str = ""
    source: str | None = None
    version: str | None = None


ENVELOPES = (("event_type", "payload"), ("type", "data"), ("eventType", "payload"), ("eventType", "data"))
"""Pairs of fields that say what an event is, and hold what it says."""


def unwrapped(document: Document, found: Found) -> Found:
    """An event whose schema is that of an envelope, by what is inside."""
    schema, _ = plain(document, found.payload)
    properties = schema.get("properties", {})
    for kind, inner in ENVELOPES:
        name = _constant(document, properties.get(kind))
        if name is not None and inner in properties:
            return found._replace(
                name=name,
                payload=properties[inner],
                description=found.description or str(schema.get("description", "")),
                source=_example(document, properties.get("source")),
                version=_example(document, properties.get("schema_version")),
            )
    return found


def schema_events(document: Document, name: str) -> Iterator[Found]:
    """The events of a JSON Schema: alternatives, items of a list, definitions, or the whole.

    Args:
        name: of the event, if the schema does not name it.
    """
    root = document.root
    if isinstance(root, list):
        for index, schema in enumerate(root, 1):
            yield _named(document, schema, f"{name}_{index}")
        return
    alternatives = root.get("oneOf") or root.get("anyOf")
    definitions = {**root.get("definitions", {}), **root.get("$defs", {})}
    if alternatives:
        for index, schema in enumerate(alternatives, 1):
            yield _named(document, schema, _last(schema) or f"{name}_{index}")
    elif definitions and not {"properties", "allOf", "$ref", "items"} & root.keys():
        used = set(_references(definitions))
        for key, schema in definitions.items():
            if key not in used and "properties" in plain(document, schema)[0]:
                yield _named(document, schema, key)
    else:
        yield _named(document, root, name)


def _named(document: Document, schema: Any, name: str) -> Found:
    resolved = document.resolved(schema)
    title = resolved.get("title")
    called = title if isinstance(title, str) and len(title.split()) <= 4 else name
    return unwrapped(document, Found(called, schema, str(resolved.get("description", ""))))


def _last(schema: Any) -> str | None:
    reference = schema.get("$ref") if isinstance(schema, dict) else None
    return reference.rsplit("/", 1)[-1] if isinstance(reference, str) else None


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if last := _last(value):
            yield last
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _constant(document: Document, schema: Any) -> str | None:
    found: Schema = document.resolved(schema) if schema is not None else {}
    values = [found["const"]] if "const" in found else found.get("enum", [])
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None


def _example(document: Document, schema: Any) -> str | None:
    found: Schema = document.resolved(schema) if schema is not None else {}
    examples = found.get("examples") or [None]
    constant = _constant(document, schema)
    return constant or (examples[0] if isinstance(examples[0], str) else None)
