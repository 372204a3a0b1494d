"""The events of a document, whatever kind of document it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from eventbus.catalog.errors import CatalogError, format_value, join_names
from eventbus.catalog.model import FieldType

# A JSON document whose `$ref`s are followed, as long as they stay inside it.


Schema = dict[str, Any]

MAX_REFERENCES = 64
"""References to references that are followed."""


class Document:
    """Args:
    root: the whole document.
    """

    def __init__(self, root: Any) -> None:
        self.root = root

    def resolved(self, value: Any) -> Schema:
        """An object in place of its reference; what stands beside the reference wins.

        Raises:
            CatalogError: the reference leads out of the document, to nothing, or in a circle.
        """
        beside: Schema = {}
        for _ in range(MAX_REFERENCES):
            if not isinstance(value, dict):
                return beside  # `true`, which allows anything
            if not isinstance(reference := value.get("$ref"), str):
                return {**value, **beside}
            beside = {**{name: inner for name, inner in value.items() if name != "$ref"}, **beside}
            value = self.target(reference)
        raise CatalogError(f"the reference {reference!r} leads in a circle")

    def target(self, reference: str) -> Any:
        """What a reference refers to."""
        base, _, fragment = reference.partition("#")
        if base and base != self._id:
            raise CatalogError(
                f"{reference!r} refers to another document: only references within the file are followed,"
                " such as #/$defs/order; put what it refers to into the file"
            )
        if fragment and not fragment.startswith("/"):
            return self._anchored(self.root, fragment) or self._lost(reference)
        found = self.root
        for step in fragment.split("/")[1:]:
            found = self._below(found, unquote(step).replace("~1", "/").replace("~0", "~"), reference)
        return found

    @property
    def _id(self) -> str | None:
        identity = self.root.get("$id") if isinstance(self.root, dict) else None
        return identity.rstrip("#") if isinstance(identity, str) else None

    def _below(self, value: Any, step: str, reference: str) -> Any:
        if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            return value[int(step)]
        if isinstance(value, Mapping) and step in value:
            return value[step]
        names = join_names(map(str, value)) if isinstance(value, Mapping) else format_value(value)
        raise CatalogError(f"the reference {reference!r} leads to nothing: there is no {step!r} among {names}")

    def _anchored(self, value: Any, name: str) -> Any:
        if isinstance(value, dict):
            if value.get("$anchor") == name:
                return value
            return next((found for inner in value.values() if (found := self._anchored(inner, name))), None)
        if isinstance(value, list):
            return next((found for inner in value if (found := self._anchored(inner, name))), None)
        return None

    def _lost(self, reference: str) -> Any:
        raise CatalogError(f"the reference {reference!r} leads to nothing: there is no such $anchor")


# A JSON Schema made plain: references followed, `allOf` joined, one of several alternatives chosen.


MAX_DEPTH = 12
"""Levels of objects in a payload."""
TYPE_KEYWORDS: tuple[tuple[FieldType, tuple[str, ...]], ...] = (
    ("object", ("properties", "additionalProperties", "required", "patternProperties")),
    ("array", ("items", "prefixItems", "minItems", "maxItems")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
    ("string", ("format", "pattern", "minLength", "maxLength")),
)
"""Words that tell the type where it is not given."""


def flatten(document: Document, schema: Any, depth: int = 0) -> tuple[Schema, list[str]]:
    """A schema without references, `allOf` and alternatives, and notes about what was chosen.

    Raises:
        CatalogError: a reference cannot be followed.
    """
    found = document.resolved(schema)
    notes: list[str] = []
    parts = [flatten(document, part, depth + 1) for part in found.get("allOf", ())] if depth < MAX_DEPTH else []
    for part, more in parts:
        found = _merge(part, found)
        notes += more
    for word in ("oneOf", "anyOf"):
        alternatives = [document.resolved(one) for one in found.get(word, ())]
        filled = [one for one in alternatives if one.get("type") != "null" and one.get("const", ...) is not None]
        if filled and depth < MAX_DEPTH:
            chosen, more = flatten(document, filled[0], depth + 1)
            found = _merge(chosen, {name: value for name, value in found.items() if name != word})
            notes += [f"verify: the first of {len(filled)} alternatives" for _ in filled[1:2]] + more
    return {name: value for name, value in found.items() if name not in {"allOf", "oneOf", "anyOf"}}, notes


def type_of(schema: Schema) -> FieldType | None:
    """The JSON type of a plain schema; None if it may be anything."""
    named = schema.get("type")
    names = [name for name in (named if isinstance(named, list) else [named]) if name not in {"null", None}]
    if names:
        return names[0] if names[0] in {"string", "integer", "number", "boolean", "object", "array"} else None
    values = [schema["const"]] if "const" in schema else [v for v in schema.get("enum", ()) if v is not None]
    if values:
        return type_of_value(values[0])
    return next((kind for kind, words in TYPE_KEYWORDS if any(word in schema for word in words)), None)


def type_of_value(value: Any) -> FieldType | None:
    """The JSON type of a value; None for null."""
    if isinstance(value, bool):
        return "boolean"
    kinds: tuple[tuple[type, FieldType], ...] = (
        (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object"),
    )  # fmt: skip
    return next((name for kind, name in kinds if isinstance(value, kind)), None)


def _merge(one: Schema, other: Schema) -> Schema:
    """Both schemas; the second counts where they differ."""
    properties = {**one.get("properties", {}), **other.get("properties", {})}
    required = [*one.get("required", ()), *other.get("required", ())]
    joined = {**one, **other}
    return joined | ({"properties": properties} if properties else {}) | ({"required": required} if required else {})


class EventSchema(NamedTuple):
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


def unwrap_envelope(document: Document, found: EventSchema) -> EventSchema:
    """An event whose schema is that of an envelope, by what is inside."""
    schema, _ = flatten(document, found.payload)
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


def schema_events(document: Document, name: str) -> Iterator[EventSchema]:
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
    called = title if isinstance(title, str) and len(title.split()) <= 4 else name
    return unwrap_envelope(document, EventSchema(called, schema, str(resolved.get("description", ""))))


def _reference_name(schema: Any) -> str | None:
    reference = schema.get("$ref") if isinstance(schema, dict) else None
    return reference.rsplit("/", 1)[-1] if isinstance(reference, str) else None


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if last := _reference_name(value):
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
