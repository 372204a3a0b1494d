"""Infers payload fields from JSON Schema properties: each field gets a source of values, named or guessed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from eventbus.catalog.errors import Location
from eventbus.catalog.infer.chains import slug, unique_name, words
from eventbus.catalog.infer.jsonschema import MAX_DEPTH as DEEPEST
from eventbus.catalog.infer.jsonschema import Document, Schema, flatten, type_of
from eventbus.catalog.infer.texts import FORMATS, matching_texts, numbered_values, values_by_name
from eventbus.catalog.model import FieldType, PayloadField
from eventbus.catalog.model.json_types import SAFE, fits
from eventbus.catalog.model.sources import NO_SOURCE, Source
from eventbus.catalog.sources import Choices, ElapsedTime, FixedValue, JsonEntry, ListPick, NumberRange, named_sources

# Made-up values for texts of which only a format or a name is known.


# A few texts that match a regular expression.


# Values for a schema: those it names, else some that fit it.


RANGES_BY_NAME: tuple[tuple[set[str], tuple[float, float]], ...] = (
    ({"percent", "percentage"}, (0, 100)),
    ({"confidence", "ratio", "probability", "score", "share"}, (0, 1)),
    ({"latitude", "lat"}, (-90, 90)),
    ({"longitude", "lng", "lon"}, (-180, 180)),
    ({"age"}, (18, 90)),
    ({"year"}, (2020, 2026)),
    ({"port"}, (1024, 65535)),
    ({"count", "quantity", "qty", "items", "retries", "attempt", "attempts", "number"}, (1, 10)),
    ({"price", "amount", "total", "cost", "cents"}, (1, 500)),
    ({"bytes", "size"}, (100, 100_000)),
    ({"ms", "millis", "milliseconds", "duration", "latency"}, (1, 2000)),
)
"""Likely bounds of a number, by words in its name."""


class Guess(NamedTuple):
    """Guessed values, with a comment."""

    values: list[Any]
    note: str | None


def text_values(schema: Schema, name: str) -> Guess:
    """Guesses texts for a schema of type string without values of its own."""
    pattern, text_format = schema.get("pattern"), str(schema.get("format"))
    if text_format in FORMATS:
        return Guess(FORMATS[text_format](name), f"verify: made up by the format {text_format}")
    if isinstance(pattern, str):
        matching = [text for text in matching_texts(pattern) if text == _fit_length(text, schema, name)]
        note = "verify: made up" + ("" if matching else f", does not match {pattern}")
        return Guess(matching or numbered_values(name), note)
    named = values_by_name(name)
    values = list(dict.fromkeys(_fit_length(text, schema, name) for text in named or numbered_values(name)))
    return Guess(values, "verify: made up" + (" by the field's name" if named else ""))


def number_bounds(schema: Schema, name: str, kind: FieldType) -> tuple[float, float, int, str | None]:
    """Minimum, maximum and decimals of a number, with a comment if they are guessed."""
    low, high = _bound(schema, "inimum", kind, 1), _bound(schema, "aximum", kind, -1)
    decimals = _decimals(schema) if kind == "number" else 0
    likely = next(
        (pair for known, pair in RANGES_BY_NAME if known & set(words(name))), (0, 1 if _is_share(schema) else 1000)
    )
    note = None if low is not None and high is not None else "verify: bounds are a guess"
    width = max(likely[1] - likely[0], 1)
    if low is None:
        low = likely[0] if high is None or likely[0] <= high else high - width
    if high is None:
        high = likely[1] if likely[1] >= low else low + width
    low, high = (max(-SAFE, min(SAFE, bound)) for bound in (low, high))
    if kind == "integer":
        low, high = math.ceil(low), math.floor(high)
    if low > high:
        high, note = low, "verify: the schema allows no number"
    return low, high, decimals, note


def sample_values(document: Document, schema: Any, name: str, depth: int = 0) -> list[Any]:
    """A few values of a schema, for the items of arrays."""
    flat, _ = flatten(document, schema)
    kind = type_of(flat) or "string"
    named = [flat["const"]] if "const" in flat else flat.get("enum") or flat.get("examples")
    if fitting := [value for value in named or () if fits[kind](value)]:
        return fitting
    if kind == "boolean":
        return [True, False]
    if kind in {"integer", "number"}:
        low, high, decimals, _ = number_bounds(flat, name, kind)
        numbers = [low + (high - low) * step / 4 for step in range(1, 4)]
        return [int(number) if kind == "integer" else round(number, decimals) for number in numbers]
    if kind == "object":
        members = flat.get("properties", {}) if depth < DEEPEST else {}
        values = {key: sample_values(document, inner, key, depth + 1) for key, inner in members.items()}
        return [{key: choices[index % len(choices)] for key, choices in values.items()} for index in range(3)]
    return array_values(document, flat, name, depth) if kind == "array" else text_values(flat, name).values


def array_values(document: Document, schema: Schema, name: str, depth: int = 0) -> list[Any]:
    """A few arrays for a schema of type array."""
    if depth >= DEEPEST:
        return [[]]
    if isinstance(schema.get("prefixItems"), list):
        return [[sample_values(document, item, name, depth + 1)[0] for item in schema["prefixItems"]]]
    items = sample_values(document, schema.get("items", {}), name.removesuffix("s"), depth + 1)
    low = int(schema.get("minItems", 0 if "maxItems" in schema else 1))
    high = int(schema.get("maxItems", max(low, 3)))
    sizes = range(low, min(high, low + 2) + 1)
    return [[items[index % len(items)] for index in range(size)] for size in sizes]


def _bound(schema: Schema, word: str, kind: FieldType, inside: int) -> float | None:
    """`minimum` or `maximum`, or the nearest number within an exclusive one."""
    bound = schema.get(f"m{word}")
    exclusive = schema.get(f"exclusiveM{word}")
    if isinstance(exclusive, bool):  # draft 4
        bound, exclusive = (None, bound) if exclusive else (bound, None)
    if isinstance(exclusive, int | float):
        step = 1.0 if kind == "integer" else 10.0 ** -_decimals(schema)
        inner = (math.floor(exclusive) if inside > 0 else math.ceil(exclusive)) if kind == "integer" else exclusive
        nearest = inner + inside * step
        bound = nearest if bound is None else max(bound, nearest) if inside > 0 else min(bound, nearest)
    return bound if isinstance(bound, int | float) else None


def _decimals(schema: Schema) -> int:
    step = schema.get("multipleOf")
    if not isinstance(step, int | float) or step <= 0:
        return 3 if _is_share(schema) else 2
    return next((digits for digits in range(9) if abs(step * 10**digits - round(step * 10**digits)) < 1e-9), 9)


def _is_share(schema: Schema) -> bool:
    return isinstance(maximum := schema.get("maximum"), int | float) and maximum <= 1


def _fit_length(text: str, schema: Schema, name: str) -> str:
    """Cuts or pads a text to the length that the schema allows."""
    max_length, min_length = schema.get("maxLength", len(text)), schema.get("minLength", 0)
    if len(text) > max_length:  # values differ at their ends
        text = text[-max_length:] if max_length else ""
    while len(text) < min_length:
        text = f"{text}-{name or 'text'}"[: max(min_length, 1)]
    return text


MAX_CHOICES, MAX_CHOICES_LENGTH = 12, 80
"""Values, and characters of all of them, that stand at the field itself instead of in a list."""
ELAPSED = {"duration", "elapsed", "took", "latency", "runtime"}
MILLISECONDS = {"ms", "millis", "milliseconds"}


@dataclass
class PayloadInference:
    """Infers payloads.

    Attributes:
        document: the document that holds the schemas.
        lists: lists added for fields.
        notes: comments by location in the catalog.
    """

    document: Document
    lists: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    notes: dict[Location, list[str]] = field(default_factory=dict)

    def payload(self, event: str, schema: Any, *, begins: bool = False) -> tuple[PayloadField, ...]:
        """The fields of an event.

        Args:
            event: the event type.
            schema: JSON Schema of its payload.
            begins: whether the event begins its chain, so that no time has passed since its cause.

        Raises:
            CatalogError: a reference cannot be resolved.
        """
        flat, notes = flatten(self.document, schema)
        self._note(("events", event, "payload"), *notes)
        return tuple(self._properties(flat, ("events", event, "payload"), begins))

    def _properties(self, schema: Schema, place: Location, begins: bool) -> Iterator[PayloadField]:
        required = set(schema.get("required", ()))
        for name, inner in schema.get("properties", {}).items():
            flat, notes = flatten(self.document, inner)
            location = (*place, name)
            payload_field = self._field(name, flat, location, begins)
            if payload_field is None:
                self._note(place, f"{name} is left out: it can only be null")
                continue
            self._note(location, *notes)
            yield payload_field if name in required else replace(payload_field, required=False)

    def _field(self, name: str, schema: Schema, place: Location, begins: bool) -> PayloadField | None:
        if schema.get("type") == "null" or schema.get("const", ...) is None:
            return None
        declared = type_of(schema)
        if declared is None:
            self._note(place, "verify: the schema allows anything")
        kind = declared or "string"
        about: dict[str, Any] = {"name": name, "description": " ".join(str(schema.get("description", "")).split())}
        if isinstance(known := schema.get("x-source"), dict):
            return PayloadField(type=kind, **about, source=_exported_source(known), examples=_exported_examples(known))
        if kind == "object" and schema.get("properties") and len(place) < DEEPEST:
            inner = tuple(self._properties(schema, (*place, "fields"), begins))
            return PayloadField(type="object", **about, fields=inner) if inner else None
        return PayloadField(type=kind, **about, source=self._guess(name, kind, schema, place, begins))

    def _guess(self, name: str, kind: FieldType, schema: Schema, place: Location, begins: bool) -> Source:
        """The source of a field's values."""
        if fits[kind](schema.get("const")):
            return FixedValue(schema["const"])
        if named := [value for value in schema.get("enum", ()) if fits[kind](value)]:
            return self._values(name, named)
        if kind == "integer" and not begins and is_elapsed_name(name):
            return ElapsedTime()
        if named := [value for value in _examples(schema) if fits[kind](value)]:
            self._note(place, "verify: the examples of the schema")
            return self._values(name, named)
        if kind in {"integer", "number"}:
            low, high, decimals, note = number_bounds(schema, name, kind)
            self._note(place, note)
            return NumberRange(low, high, decimals)
        return self._made_up(name, kind, schema, place)

    def _made_up(self, name: str, kind: FieldType, schema: Schema, place: Location) -> Source:
        if kind == "boolean":
            return Choices((True, False))
        if kind == "object":
            self._note(place, "verify: an object of any fields")
            return FixedValue({})
        if kind == "array":
            self._note(place, "verify: made up")
            return Choices(tuple(array_values(self.document, schema, name)))
        guess = text_values(schema, name)
        self._note(place, guess.note)
        return self._values(name, guess.values)

    def _values(self, name: str, values: list[Any]) -> Source:
        """The source of given values: at the field if they are few and short, otherwise as a list."""
        if len(values) == 1:
            return FixedValue(values[0])
        if len(values) <= MAX_CHOICES and sum(len(str(value)) for value in values) <= MAX_CHOICES_LENGTH:
            return Choices(tuple(values))
        label = slug(name)
        if self.lists.get(label, tuple(values)) != tuple(values):
            label = unique_name(label, self.lists)
        self.lists[label] = tuple(values)
        return ListPick(label)

    def _note(self, place: Location, *notes: str | None) -> None:
        for note in filter(None, notes):
            self.notes.setdefault(place, []).append(note)


def is_elapsed_name(name: str) -> bool:
    parts = words(name)
    return bool(ELAPSED & set(parts)) and bool(MILLISECONDS & set(parts))


def _examples(schema: Schema) -> tuple[Any, ...]:
    examples = schema.get("examples")
    if isinstance(examples, list) and examples:
        return tuple(examples)
    return tuple(schema[word] for word in ("example", "default") if word in schema)[:1]


def _exported_source(document: dict[str, Any]) -> Source:
    """The source that our own export names."""
    return next(iter(named_sources(JsonEntry(document))), NO_SOURCE)


def _exported_examples(document: dict[str, Any]) -> tuple[Any, ...]:
    examples = document.get("examples")
    return tuple(examples) if isinstance(examples, list) else ()
