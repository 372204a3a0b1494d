"""JSON documents and schemas: references resolved, `allOf` merged, alternatives chosen, envelopes unwrapped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from eventbus.catalog.errors import CatalogError, format_value, join_names
from eventbus.catalog.model import FieldType

Schema = dict[str, Any]

MAX_REFERENCES = 64
"""Length of a chain of references."""


class Document:
    """A document whose local references can be resolved.

    Args:
        root: the whole document.
    """

    def __init__(self, root: Any) -> None:
        self.root = root

    def resolved(self, value: Any) -> Schema:
        """Replaces a reference by its target; keywords next to `$ref` take precedence.

        Raises:
            CatalogError: the reference leaves the document, has no target, or is circular.
        """
        siblings: Schema = {}
        for _ in range(MAX_REFERENCES):
            if not isinstance(value, dict):
                return siblings  # `true`, which allows anything
            if not isinstance(reference := value.get("$ref"), str):
                return {**value, **siblings}
            siblings = {**{keyword: inner for keyword, inner in value.items() if keyword != "$ref"}, **siblings}
            value = self.target(reference)
        raise CatalogError(f"the reference {reference!r} leads in a circle")

    def target(self, reference: str) -> Any:
        """The target of a reference."""
        base, _, fragment = reference.partition("#")
        if base and base != self._id:
            raise CatalogError(
                f"{reference!r} refers to another document: only references within the file are followed,"
                " such as #/$defs/order; put what it refers to into the file"
            )
        if fragment and not fragment.startswith("/"):
            return self._anchored(self.root, fragment) or self._lost(reference)
        target = self.root
        for token in fragment.split("/")[1:]:
            target = self._member(target, unquote(token).replace("~1", "/").replace("~0", "~"), reference)
        return target

    @property
    def _id(self) -> str | None:
        identity = self.root.get("$id") if isinstance(self.root, dict) else None
        return identity.rstrip("#") if isinstance(identity, str) else None

    def _member(self, value: Any, token: str, reference: str) -> Any:
        if isinstance(value, list) and token.isdecimal() and int(token) < len(value):
            return value[int(token)]
        if isinstance(value, Mapping) and token in value:
            return value[token]
        names = join_names(map(str, value)) if isinstance(value, Mapping) else format_value(value)
        raise CatalogError(f"the reference {reference!r} leads to nothing: there is no {token!r} among {names}")

    def _anchored(self, value: Any, name: str) -> Any:
        if isinstance(value, dict):
            if value.get("$anchor") == name:
                return value
            return next((target for inner in value.values() if (target := self._anchored(inner, name))), None)
        if isinstance(value, list):
            return next((target for inner in value if (target := self._anchored(inner, name))), None)
        return None

    def _lost(self, reference: str) -> Any:
        raise CatalogError(f"the reference {reference!r} leads to nothing: there is no such $anchor")


MAX_DEPTH = 12
"""Levels of objects in a payload."""
TYPE_KEYWORDS: tuple[tuple[FieldType, tuple[str, ...]], ...] = (
    ("object", ("properties", "additionalProperties", "required", "patternProperties")),
    ("array", ("items", "prefixItems", "minItems", "maxItems")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
    ("string", ("format", "pattern", "minLength", "maxLength")),
)
"""Keywords that imply a type where none is given."""


def flatten(document: Document, schema: Any, depth: int = 0) -> tuple[Schema, list[str]]:
    """Resolves a schema's references, merges `allOf` and chooses the first of several alternatives.

    Returns:
        The flat schema, and notes about what was chosen.

    Raises:
        CatalogError: a reference cannot be resolved.
    """
    flat = document.resolved(schema)
    notes: list[str] = []
    parts = [flatten(document, part, depth + 1) for part in flat.get("allOf", ())] if depth < MAX_DEPTH else []
    for part, part_notes in parts:
        flat = _merge(part, flat)
        notes += part_notes
    for keyword in ("oneOf", "anyOf"):
        resolved = [document.resolved(alternative) for alternative in flat.get(keyword, ())]
        alternatives = [
            alternative
            for alternative in resolved
            if alternative.get("type") != "null" and alternative.get("const", ...) is not None
        ]
        if alternatives and depth < MAX_DEPTH:
            chosen, chosen_notes = flatten(document, alternatives[0], depth + 1)
            flat = _merge(chosen, {name: value for name, value in flat.items() if name != keyword})
            if len(alternatives) > 1:
                notes.append(f"verify: the first of {len(alternatives)} alternatives")
            notes += chosen_notes
    return {name: value for name, value in flat.items() if name not in {"allOf", "oneOf", "anyOf"}}, notes


def type_of(schema: Schema) -> FieldType | None:
    """The JSON type of a flat schema; None if any type is allowed."""
    named = schema.get("type")
    names = [name for name in (named if isinstance(named, list) else [named]) if name not in {"null", None}]
    if names:
        return names[0] if names[0] in {"string", "integer", "number", "boolean", "object", "array"} else None
    values = [schema["const"]] if "const" in schema else [v for v in schema.get("enum", ()) if v is not None]
    if values:
        return type_of_value(values[0])
    return next((kind for kind, keywords in TYPE_KEYWORDS if any(keyword in schema for keyword in keywords)), None)


def type_of_value(value: Any) -> FieldType | None:
    """The JSON type of a value; None for null."""
    if isinstance(value, bool):
        return "boolean"
    kinds: tuple[tuple[type, FieldType], ...] = (
        (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object"),
    )  # fmt: skip
    return next((name for kind, name in kinds if isinstance(value, kind)), None)


def _merge(first: Schema, second: Schema) -> Schema:
    """Merges two schemas; the second takes precedence."""
    properties = {**first.get("properties", {}), **second.get("properties", {})}
    required = [*first.get("required", ()), *second.get("required", ())]
    merged = {**first, **second}
    return merged | ({"properties": properties} if properties else {}) | ({"required": required} if required else {})


class EventSchema(NamedTuple):
    """A message or schema of one event."""

    name: str
    """Name in the document."""
    payload: Any
    """JSON Schema of the payload."""
    description: str = ""
    source: str | None = None
    version: str | None = None


ENVELOPES = (("event_type", "payload"), ("type", "data"), ("eventType", "payload"), ("eventType", "data"))
"""Fields of common envelopes: the event type, and the payload."""


def unwrap_envelope(document: Document, event: EventSchema) -> EventSchema:
    """Takes event type and payload out of the envelope, if the schema describes one."""
    schema, _ = flatten(document, event.payload)
    properties = schema.get("properties", {})
    for kind, inner in ENVELOPES:
        name = _constant(document, properties.get(kind))
        if name is not None and inner in properties:
            return event._replace(
                name=name,
                payload=properties[inner],
                description=event.description or str(schema.get("description", "")),
                source=_example(document, properties.get("source")),
                version=_example(document, properties.get("schema_version")),
            )
    return event


def schema_events(document: Document, name: str) -> Iterator[EventSchema]:
    """The events of a JSON Schema: its alternatives, list items or definitions, or the schema itself.

    Args:
        document: the schema.
        name: name of the event, if the schema has none.
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
            yield _named(document, schema, _reference_name(schema) or f"{name}_{index}")
    elif definitions and not {"properties", "allOf", "$ref", "items"} & root.keys():
        used = set(_references(definitions))
        for key, schema in definitions.items():
            if key not in used and "properties" in flatten(document, schema)[0]:
                yield _named(document, schema, key)
    else:
        yield _named(document, root, name)


def _named(document: Document, schema: Any, name: str) -> EventSchema:
    resolved = document.resolved(schema)
    title = resolved.get("title")
    label = title if isinstance(title, str) and len(title.split()) <= 4 else name
    return unwrap_envelope(document, EventSchema(label, schema, str(resolved.get("description", ""))))


def _reference_name(schema: Any) -> str | None:
    reference = schema.get("$ref") if isinstance(schema, dict) else None
    return reference.rsplit("/", 1)[-1] if isinstance(reference, str) else None


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if name := _reference_name(value):
            yield name
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _constant(document: Document, schema: Any) -> str | None:
    resolved: Schema = document.resolved(schema) if schema is not None else {}
    values = [resolved["const"]] if "const" in resolved else resolved.get("enum", [])
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None


def _example(document: Document, schema: Any) -> str | None:
    resolved: Schema = document.resolved(schema) if schema is not None else {}
    examples = resolved.get("examples") or [None]
    constant = _constant(document, schema)
    return constant or (examples[0] if isinstance(examples[0], str) else None)
