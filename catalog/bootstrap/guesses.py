"""Values for a schema: those it names, else some that fit it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from eventbus.catalog.bootstrap.names import words
from eventbus.catalog.bootstrap.patterns import matching
from eventbus.catalog.bootstrap.references import Document, Schema
from eventbus.catalog.bootstrap.schemas import DEEPEST, plain, type_of
from eventbus.catalog.bootstrap.vocabulary import FORMATS, by_name, numbered
from eventbus.catalog.checks.payloads import SAFE, fits
from eventbus.catalog.model_events import FieldType

RANGES: tuple[tuple[set[str], tuple[float, float]], ...] = (
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
"""What numbers of such a name are likely to be."""


class Guess(NamedTuple):
    """Values, and what is to be said about them."""

    values: list[Any]
    note: str | None


def texts(schema: Schema, name: str) -> Guess:
    """Texts for a schema of type string that names none."""
    pattern, form = schema.get("pattern"), str(schema.get("format"))
    if form in FORMATS:
        return Guess(FORMATS[form](name), f"verify: made up by the format {form}")
    if isinstance(pattern, str):
        found = [text for text in matching(pattern) if text == _fitted(text, schema, name)]
        return Guess(found or numbered(name), "verify: made up" + ("" if found else f", does not match {pattern}"))
    known = by_name(name)
    made = list(dict.fromkeys(_fitted(text, schema, name) for text in known or numbered(name)))
    return Guess(made, "verify: made up" + (" by the field's name" if known else ""))


def bounds(schema: Schema, name: str, kind: FieldType) -> tuple[float, float, int, str | None]:
    """Smallest and largest number, decimals, and a note."""
    low, high = _bound(schema, "inimum", kind, 1), _bound(schema, "aximum", kind, -1)
    decimals = _decimals(schema) if kind == "number" else 0
    likely = next((pair for known, pair in RANGES if known & set(words(name))), (0, 1 if _is_share(schema) else 1000))
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


def samples(document: Document, schema: Any, name: str, depth: int = 0) -> list[Any]:
    """Some values of a schema, for the items of lists."""
    found, _ = plain(document, schema)
    kind = type_of(found) or "string"
    named = [found["const"]] if "const" in found else found.get("enum") or found.get("examples")
    if fitting := [value for value in named or () if fits[kind](value)]:
        return fitting
    if kind == "boolean":
        return [True, False]
    if kind in {"integer", "number"}:
        low, high, decimals, _ = bounds(found, name, kind)
        spread = [low + (high - low) * step / 4 for step in range(1, 4)]
        return [int(one) if kind == "integer" else round(one, decimals) for one in spread]
    if kind == "object":
        members = found.get("properties", {}) if depth < DEEPEST else {}
        values = {key: samples(document, inner, key, depth + 1) for key, inner in members.items()}
        return [{key: every[i % len(every)] for key, every in values.items()} for i in range(3)]
    return lists(document, found, name, depth) if kind == "array" else texts(found, name).values


def lists(document: Document, schema: Schema, name: str, depth: int = 0) -> list[Any]:
    """Some lists for a schema of type array."""
    if depth >= DEEPEST:
        return [[]]
    if isinstance(schema.get("prefixItems"), list):
        return [[samples(document, item, name, depth + 1)[0] for item in schema["prefixItems"]]]
    items = samples(document, schema.get("items", {}), name.removesuffix("s"), depth + 1)
    least = int(schema.get("minItems", 0 if "maxItems" in schema else 1))
    most = int(schema.get("maxItems", max(least, 3)))
    sizes = range(least, min(most, least + 2) + 1)
    return [[items[i % len(items)] for i in range(size)] for size in sizes]


def _bound(schema: Schema, word: str, kind: FieldType, inside: int) -> float | None:
    """`minimum` or `maximum`; of an exclusive one the nearest number inside."""
    found = schema.get(f"m{word}")
    exclusive = schema.get(f"exclusiveM{word}")
    if isinstance(exclusive, bool):  # as draft 4 has it
        found, exclusive = (None, found) if exclusive else (found, None)
    if isinstance(exclusive, int | float):
        step = 1.0 if kind == "integer" else 10.0 ** -_decimals(schema)
        inner = (math.floor(exclusive) if inside > 0 else math.ceil(exclusive)) if kind == "integer" else exclusive
        nearest = inner + inside * step
        found = nearest if found is None else max(found, nearest) if inside > 0 else min(found, nearest)
    return found if isinstance(found, int | float) else None


def _decimals(schema: Schema) -> int:
    step = schema.get("multipleOf")
    if not isinstance(step, int | float) or step <= 0:
        return 3 if _is_share(schema) else 2
    return next((digits for digits in range(9) if abs(step * 10**digits - round(step * 10**digits)) < 1e-9), 9)


def _is_share(schema: Schema) -> bool:
    return isinstance(most := schema.get("maximum"), int | float) and most <= 1


def _fitted(text: str, schema: Schema, name: str) -> str:
    """Not shorter or longer than the schema allows."""
    longest, shortest = schema.get("maxLength", len(text)), schema.get("minLength", 0)
    if len(text) > longest:  # what tells it apart is at the end
        text = text[-longest:] if longest else ""
    while len(text) < shortest:
        text = f"{text}-{name or 'text'}"[: max(shortest, 1)]
    return text
