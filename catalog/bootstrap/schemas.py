"""A JSON Schema made plain: references followed, `allOf` joined, one of several alternatives chosen."""

from __future__ import annotations

from typing import Any

from eventbus.catalog.bootstrap.references import Document, Schema
from eventbus.catalog.model_events import FieldType

DEEPEST = 12
"""Levels of objects in a payload."""
HINTS: tuple[tuple[FieldType, tuple[str, ...]], ...] = (
    ("object", ("properties", "additionalProperties", "required", "patternProperties")),
    ("array", ("items", "prefixItems", "minItems", "maxItems")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
    ("string", ("format", "pattern", "minLength", "maxLength")),
)
"""Words that tell the type where it is not given."""


def plain(document: Document, schema: Any, depth: int = 0) -> tuple[Schema, list[str]]:
    """A schema without references, `allOf` and alternatives, and notes about what was chosen.

    Raises:
        CatalogError: a reference cannot be followed.
    """
    found = document.resolved(schema)
    notes: list[str] = []
    parts = [plain(document, part, depth + 1) for part in found.get("allOf", ())] if depth < DEEPEST else []
    for part, more in parts:
        found = _joined(part, found)
        notes += more
    for word in ("oneOf", "anyOf"):
        alternatives = [document.resolved(one) for one in found.get(word, ())]
        filled = [one for one in alternatives if one.get("type") != "null" and one.get("const", ...) is not None]
        if filled and depth < DEEPEST:
            chosen, more = plain(document, filled[0], depth + 1)
            found = _joined(chosen, {name: value for name, value in found.items() if name != word})
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
    return next((kind for kind, words in HINTS if any(word in schema for word in words)), None)


def type_of_value(value: Any) -> FieldType | None:
    """The JSON type of a value; None for null."""
    if isinstance(value, bool):
        return "boolean"
    kinds: tuple[tuple[type, FieldType], ...] = (
        (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object"),
    )  # fmt: skip
    return next((name for kind, name in kinds if isinstance(value, kind)), None)


def _joined(one: Schema, other: Schema) -> Schema:
    """Both schemas; the second counts where they differ."""
    properties = {**one.get("properties", {}), **other.get("properties", {})}
    required = [*one.get("required", ()), *other.get("required", ())]
    joined = {**one, **other}
    return joined | ({"properties": properties} if properties else {}) | ({"required": required} if required else {})
