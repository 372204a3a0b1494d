"""The payload of an event from its schema: each property becomes a field with a source of values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from eventbus.catalog.bootstrap.document import FLAGS, SOURCES
from eventbus.catalog.bootstrap.guesses import bounds, lists, texts
from eventbus.catalog.bootstrap.names import dashed, unique, words
from eventbus.catalog.bootstrap.references import Document, Schema
from eventbus.catalog.bootstrap.schemas import DEEPEST, plain, type_of
from eventbus.catalog.checks.payloads import fits
from eventbus.catalog.model_events import FieldType, PayloadField
from eventbus.catalog.words import Place

MOST_CHOICES, LONGEST_CHOICES = 12, 80
"""Values, and characters of them, that stand at the field itself rather than in a list."""
ELAPSED = {"duration", "elapsed", "took", "latency", "runtime"}
MILLISECONDS = {"ms", "millis", "milliseconds"}


@dataclass
class Fields:
    """Reads payloads.

    Attributes:
        lists: that were made for fields.
        notes: comments by place in the catalog.
    """

    document: Document
    lists: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    notes: dict[Place, list[str]] = field(default_factory=dict)

    def payload(self, event: str, schema: Any, *, begins: bool = False) -> tuple[PayloadField, ...]:
        """The fields of an event.

        Args:
            begins: the event starts its chain, so that no time has passed since its cause.

        Raises:
            CatalogError: a reference cannot be followed.
        """
        found, notes = plain(self.document, schema)
        self._note(("events", event, "payload"), *notes)
        return tuple(self._properties(found, ("events", event, "payload"), begins))

    def _properties(self, schema: Schema, place: Place, begins: bool) -> Iterator[PayloadField]:
        required = set(schema.get("required", ()))
        for name, inner in schema.get("properties", {}).items():
            found, notes = plain(self.document, inner)
            here = (*place, name)
            made = self._field(name, found, here, begins)
            if made is None:
                self._note(place, f"{name} is left out: it can only be null")
                continue
            self._note(here, *notes)
            yield made if name in required else replace(made, required=False)

    def _field(self, name: str, schema: Schema, place: Place, begins: bool) -> PayloadField | None:
        if schema.get("type") == "null" or schema.get("const", ...) is None:
            return None
        known_kind = type_of(schema)
        if known_kind is None:
            self._note(place, "verify: the schema allows anything")
        kind = known_kind or "string"
        about: dict[str, Any] = {"name": name, "description": " ".join(str(schema.get("description", "")).split())}
        if isinstance(known := schema.get("x-source"), dict):
            return PayloadField(type=kind, **about, **_source(known))
        if kind == "object" and schema.get("properties") and len(place) < DEEPEST:
            inner = tuple(self._properties(schema, (*place, "fields"), begins))
            return PayloadField(type="object", **about, fields=inner) if inner else None
        return PayloadField(type=kind, **about, **self._guess(name, kind, schema, place, begins))

    def _guess(self, name: str, kind: FieldType, schema: Schema, place: Place, begins: bool) -> dict[str, Any]:
        """Where the values come from."""
        if fits[kind](schema.get("const")):
            return {"value": schema["const"]}
        if named := [value for value in schema.get("enum", ()) if fits[kind](value)]:
            return self._values(name, named)
        if kind == "integer" and not begins and _is_elapsed(name):
            return {"elapsed": True}
        if named := [value for value in _examples(schema) if fits[kind](value)]:
            self._note(place, "verify: the examples of the schema")
            return self._values(name, named)
        if kind in {"integer", "number"}:
            low, high, decimals, note = bounds(schema, name, kind)
            self._note(place, note)
            return {"minimum": low, "maximum": high, "decimals": decimals}
        return self._made_up(name, kind, schema, place)

    def _made_up(self, name: str, kind: FieldType, schema: Schema, place: Place) -> dict[str, Any]:
        if kind == "boolean":
            return {"choices": (True, False)}
        if kind == "object":
            self._note(place, "verify: an object of any fields")
            return {"value": {}}
        if kind == "array":
            self._note(place, "verify: made up")
            return {"choices": tuple(lists(self.document, schema, name))}
        guess = texts(schema, name)
        self._note(place, guess.note)
        return self._values(name, guess.values)

    def _values(self, name: str, values: list[Any]) -> dict[str, Any]:
        """At the field if they are few and short, else as a list."""
        if len(values) == 1:
            return {"value": values[0]}
        if len(values) <= MOST_CHOICES and sum(len(str(value)) for value in values) <= LONGEST_CHOICES:
            return {"choices": tuple(values)}
        label = dashed(name)
        if self.lists.get(label, tuple(values)) != tuple(values):
            label = unique(label, self.lists)
        self.lists[label] = tuple(values)
        return {"pick": label}

    def _note(self, place: Place, *notes: str | None) -> None:
        for note in filter(None, notes):
            self.notes.setdefault(place, []).append(note)


def _is_elapsed(name: str) -> bool:
    parts = words(name)
    return bool(ELAPSED & set(parts)) and bool(MILLISECONDS & set(parts))


def _examples(schema: Schema) -> tuple[Any, ...]:
    found = schema.get("examples")
    if isinstance(found, list) and found:
        return tuple(found)
    return tuple(schema[word] for word in ("example", "default") if word in schema)[:1]


def _source(known: dict[str, Any]) -> dict[str, Any]:
    """The source that our own export names."""
    attributes = {**{name: attribute for attribute, name in SOURCES.items()}, **{name: name for name in FLAGS}}
    found = {attributes[name]: value for name, value in known.items() if name in attributes}
    tuples = {name: tuple(known[name]) for name in ("choices", "examples") if isinstance(known.get(name), list)}
    decimals = {"decimals": known["decimals"]} if isinstance(known.get("decimals"), int) else {}
    return found | tuples | decimals
