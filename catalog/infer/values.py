"""The payload of an event from its schema: each property becomes a field with a source of values."""

from __future__ import annotations

import base64
import math
import re
import string
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, NamedTuple

from eventbus.catalog.errors import Location
from eventbus.catalog.export.yaml import FLAGS, SOURCES
from eventbus.catalog.infer.chains import dashed, unique, words
from eventbus.catalog.infer.jsonschema import SCHEMAS_DEEPEST as DEEPEST
from eventbus.catalog.infer.jsonschema import Document, Schema, plain, type_of
from eventbus.catalog.model import FieldType, PayloadField
from eventbus.catalog.validation.payloads import SAFE, fits

# Made-up values for texts of which only a format or a name is known.


PEOPLE = ("ada.lovelace", "grace.hopper", "alan.turing", "mary.jackson", "donald.knuth", "barbara.liskov")
FEW = 6


def _numbered(text: str) -> Callable[[str], list[str]]:
    return lambda _: [text.format(number=number) for number in range(1, FEW + 1)]


def _uuids(name: str) -> list[str]:
    return [str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:{name}:{number}")) for number in range(1, 21)]


FORMATS: Mapping[str, Callable[[str], list[str]]] = {
    "uuid": _uuids,
    "email": lambda _: [f"{person}@example.com" for person in PEOPLE],
    "idn-email": lambda _: [f"{person}@example.com" for person in PEOPLE],
    "date-time": lambda _: [f"2026-01-{day:02d}T{day + 7:02d}:30:00Z" for day in range(1, FEW + 1)],
    "date": lambda _: [f"2026-01-{day:02d}" for day in range(1, FEW + 1)],
    "time": lambda _: [f"{hour:02d}:30:00Z" for hour in range(8, 8 + FEW)],
    "duration": lambda _: ["PT30S", "PT5M", "PT1H", "P1D"],
    "uri": _numbered("https://example.com/item/{number}"),
    "url": _numbered("https://example.com/item/{number}"),
    "iri": _numbered("https://example.com/item/{number}"),
    "uri-reference": _numbered("/item/{number}"),
    "hostname": _numbered("host-{number}.example.com"),
    "idn-hostname": _numbered("host-{number}.example.com"),
    "ipv4": _numbered("192.0.2.{number}"),
    "ipv6": _numbered("2001:db8::{number}"),
    "byte": lambda name: [base64.b64encode(f"{name}-{number}".encode()).decode() for number in range(1, FEW + 1)],
}
"""By the `format` of a schema."""

NAMES: Mapping[str, str | tuple[str, ...]] = {
    "email": "email",
    "mail": "email",
    "uuid": "uuid",
    "guid": "uuid",
    "url": "url",
    "uri": "uri",
    "link": "url",
    "host": "hostname",
    "hostname": "hostname",
    "ip": "ipv4",
    "timestamp": "date-time",
    "datetime": "date-time",
    "at": "date-time",
    "date": "date",
    "currency": ("EUR", "USD", "GBP", "JPY", "CHF"),
    "country": ("DE", "FR", "GB", "JP", "US", "BR"),
    "language": ("de", "en", "es", "fr", "ja"),
    "locale": ("de-DE", "en-GB", "en-US", "fr-FR", "ja-JP"),
    "timezone": ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "UTC"),
    "city": ("Berlin", "Lyon", "Leeds", "Osaka", "Austin"),
    "firstname": ("Ada", "Grace", "Alan", "Mary", "Donald", "Barbara"),
    "lastname": ("Lovelace", "Hopper", "Turing", "Jackson", "Knuth", "Liskov"),
    "username": PEOPLE,
    "user": PEOPLE,
    "phone": ("+49 30 0000001", "+44 20 0000002", "+81 3 0000003", "+1 512 0000004"),
    "colour": ("red", "green", "blue"),
    "color": ("red", "green", "blue"),
    "status": ("ok", "pending", "error"),
    "method": ("GET", "POST", "PUT", "DELETE"),
    "version": ("1.0.0", "1.1.0", "2.0.0"),
    "reason": ("timeout", "unavailable", "invalid input"),
    "error": ("TimeoutError", "ConnectionError", "ValidationError"),
}
"""By the last word of a field's name, or its last two: a format, or values."""


def by_name(name: str) -> list[str] | None:
    """Values for a field that is called so; None if the name says nothing."""
    parts = words(name)
    for key in ("".join(parts[-2:]), parts[-1] if parts else ""):
        known = NAMES.get(key)
        if known is not None:
            return FORMATS[known](name) if isinstance(known, str) else list(known)
    return None


def numbered(name: str) -> list[str]:
    """`order-1`, `order-2`, …, for names that say nothing."""
    stem = "-".join(part for part in words(name) if part not in {"id", "key", "ref", "number", "code"}) or "value"
    return [f"{stem}-{number}" for number in range(1, FEW + 1)]


# A few texts that match a regular expression.


LONGEST = 4
"""Repetitions beyond the fewest."""
ANY = string.ascii_lowercase + string.digits
CLASSES = {"d": string.digits, "w": ANY, "s": " ", "D": string.ascii_lowercase, "W": "-", "S": ANY}


def matching(pattern: str, wanted: int = 5) -> list[str]:
    """Different texts that match; none if the pattern is more than this understands.

    Understood are characters, classes, groups, alternatives and repetitions, which is what patterns of names and
    numbers are made of.
    """
    found: dict[str, None] = {}
    try:
        expression = re.compile(pattern)
        for seed in range(40 * wanted):
            text = _Writer(pattern, seed).whole()
            if expression.search(text):
                found[text] = None
            if len(found) == wanted:
                break
    except (re.error, ValueError, IndexError, KeyError):
        return []
    return list(found)


class _Writer:
    """Reads a pattern and writes a text for it at the same time."""

    def __init__(self, pattern: str, seed: int) -> None:
        self._pattern = pattern
        self._at = 0
        self._numbers = (seed * 7919 + step * 104_729 + (seed * step) % 31 for step in count(1))

    def whole(self) -> str:
        text = self._alternatives()
        if self._at < len(self._pattern):
            raise ValueError(self._pattern)
        return text

    def _alternatives(self) -> str:
        ways = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            ways.append(self._sequence())
        return self._one(ways)

    def _sequence(self) -> str:
        parts = []
        while self._peek() not in {"", "|", ")"}:
            begin = self._at
            text = self._atom()
            fewest, most = self._times()
            wanted = fewest + next(self._numbers) % (most - fewest + 1)
            end = self._at
            parts += [text] if wanted else []
            for _ in range(wanted - 1):  # the same part of the pattern again, for another text
                self._at = begin
                parts.append(self._atom())
            self._at = end
        return "".join(parts)

    def _atom(self) -> str:
        character = self._next()
        if character in "^$":
            return ""
        if character == ".":
            return self._one(ANY)
        if character == "[":
            return self._one(self._class())
        if character == "(":
            return self._group()
        return self._one(self._escaped()) if character == "\\" else character

    def _group(self) -> str:
        if self._peek() == "?":
            if self._pattern[self._at : self._at + 2] != "?:":
                raise ValueError(self._pattern)  # looks around, or has a name
            self._at += 2
        text = self._alternatives()
        if self._next() != ")":
            raise ValueError(self._pattern)
        return text

    def _class(self) -> str:
        negated = self._peek() == "^"
        self._at += negated
        found = "".join(self._members())
        if not negated:
            return found
        return "".join(character for character in ANY + string.ascii_uppercase + "-_" if character not in found)

    def _members(self) -> Iterator[str]:
        first = True
        while (character := self._next()) != "]" or first:
            first = False
            members = self._escaped() if character == "\\" else character
            if self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] != "]" and len(members) == 1:
                self._at += 1
                last = self._next()
                last = self._escaped() if last == "\\" else last
                members = "".join(map(chr, range(ord(members), ord(last) + 1)))
            yield members

    def _escaped(self) -> str:
        character = self._next()
        if character in "bBAZ" or character.isdecimal():
            raise ValueError(self._pattern)
        return CLASSES.get(character) or {"t": "\t", "n": "\n"}.get(character, character)

    def _times(self) -> tuple[int, int]:
        bounds = {"*": (0, LONGEST), "+": (1, 1 + LONGEST), "?": (0, 1)}.get(self._peek())
        if bounds:
            self._at += 1
        elif found := re.compile(r"\{(\d+)(,(\d*))?\}").match(self._pattern, self._at):
            self._at = found.end()
            fewest = int(found[1])
            most = fewest if found[2] is None else int(found[3]) if found[3] else fewest + LONGEST
            bounds = (fewest, min(most, fewest + LONGEST))
        if self._peek() == "?" and bounds:  # a lazy repetition
            self._at += 1
        return bounds or (1, 1)

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _next(self) -> str:
        self._at += 1
        return self._pattern[self._at - 1]

    def _one(self, choices: str | list[str]) -> str:
        return choices[next(self._numbers) % len(choices)]


# Values for a schema: those it names, else some that fit it.


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
    notes: dict[Location, list[str]] = field(default_factory=dict)

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

    def _properties(self, schema: Schema, place: Location, begins: bool) -> Iterator[PayloadField]:
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

    def _field(self, name: str, schema: Schema, place: Location, begins: bool) -> PayloadField | None:
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

    def _guess(self, name: str, kind: FieldType, schema: Schema, place: Location, begins: bool) -> dict[str, Any]:
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

    def _made_up(self, name: str, kind: FieldType, schema: Schema, place: Location) -> dict[str, Any]:
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

    def _note(self, place: Location, *notes: str | None) -> None:
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
