"""Events as typed schemas see them: the shapes of payloads, and the messages that hold them.

What has a name in a payload gets a type, also where the catalog only has values: the type is inferred from them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

from eventbus.catalog.model import EventType, FieldType, PayloadField, Sections
from eventbus.catalog.sources import with_allowed_values

ScalarKind = Literal["string", "integer", "number", "boolean", "json"]

LARGEST = 1 << 63
"""Whole numbers have 64 bits, with sign."""


@dataclass(frozen=True)
class Scalar:
    """One value; `json`: any value, as JSON text in a string."""

    kind: ScalarKind


@dataclass(frozen=True)
class Array:
    """A list whose values have one shape."""

    item: Shape


@dataclass(frozen=True)
class Struct:
    """An object."""

    members: tuple[StructField, ...]


@dataclass(frozen=True)
class StructField:
    """One of an object's values."""

    name: str
    symbol: str
    """The name as a schema language allows it: letters, digits and underscores."""
    shape: Shape
    optional: bool
    """It may be null or missing."""
    description: str = ""


Shape = Scalar | Array | Struct

ANYTHING = Scalar("json")


def payload_shapes(catalog: Sections) -> dict[str, Struct]:
    """The shape of each event type's payload."""
    return {name: payload_shape(event) for name, event in with_allowed_values(catalog).items()}


def payload_shape(event: EventType) -> Struct:
    """The shape of a payload whose fields know their `allowed` values."""
    return _struct(event.payload)


def symbols(names: Iterable[str]) -> list[str]:
    """Names as schema languages allow them, which stay different also where case and underscores do not count."""
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
        plain = plain if plain[:1].isalpha() else f"x{plain}"
        symbol, count = plain, 1
        while (key := symbol.replace("_", "").lower()) in found:
            count += 1
            symbol = f"{plain}_{count}"
        found[key] = symbol
    return list(found.values())


def _struct(fields: Sequence[PayloadField]) -> Struct:
    named = zip(fields, symbols(field.name for field in fields), strict=True)
    return Struct(tuple(_member(field, symbol) for field, symbol in named))


def _member(field: PayloadField, symbol: str) -> StructField:
    if field.fields is not None:
        return StructField(field.name, symbol, _struct(field.fields), not field.required, field.description)
    listed = field.source.accepted or field.allowed or ()
    values = [value for value in listed if value is not None]
    optional = not field.required or len(values) < len(listed)
    return StructField(field.name, symbol, _shape(field.type, values), optional, field.description)


def _shape(type: FieldType, values: Sequence[Any]) -> Shape:
    match type:
        case "object" | "array":
            return _inferred(values)
        case scalar:
            return Scalar(scalar)


def _inferred(values: Sequence[Any]) -> Shape:
    """The shape of values that are not null; any, if there are none."""
    for kind, fits in SCALAR_TESTS.items():
        if values and all(map(fits, values)):
            return Scalar(kind)
    if values and all(isinstance(value, list) for value in values):
        return _listing([item for value in values for item in value])
    if values and all(isinstance(value, dict) for value in values):
        return _mapping(values)
    return ANYTHING


def _listing(items: Sequence[Any]) -> Shape:
    """The shape of a list; one with lists or nulls in it is JSON, as Protocol Buffers have neither."""
    shape = _inferred(items) if items else Scalar("string")
    return ANYTHING if isinstance(shape, Array) or any(item is None for item in items) else Array(shape)


def _mapping(values: Sequence[dict[str, Any]]) -> Struct:
    names = list(dict.fromkeys(name for value in values for name in value))
    members = []
    for name, symbol in zip(names, symbols(names), strict=True):
        there = [value[name] for value in values if value.get(name) is not None]
        members.append(StructField(name, symbol, _inferred(there), optional=len(there) < len(values)))
    return Struct(tuple(members))


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -LARGEST <= value < LARGEST


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


SCALAR_TESTS: dict[ScalarKind, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": _is_number,
}


ENVELOPE = {
    "event_id": "UUID, version 7",
    "event_type": "",
    "timestamp": "Event time",
    "correlation_id": "Shared by the whole chain: the event_id of its first event",
    "causation_id": "The event_id of the event that caused this one; null on the first of a chain",
    "tenant_id": "",
    "namespace": "",
    "source": "Who emits it",
    "schema_version": "",
}
"""The fields before the payload, and what they mean."""


@dataclass(frozen=True)
class Payload:
    """The payload of one event type."""

    event_type: str
    name: str
    """`ExecutionStartedV1Payload`."""
    description: str
    shape: Struct

    @property
    def field(self) -> str:
        """What it is called among others: `execution_started_v1`."""
        words = re.findall("[A-Z][^A-Z]*|[^A-Z]+", self.name.removesuffix("Payload"))
        return "_".join(word.strip("_").lower() for word in words)


@dataclass(frozen=True)
class Message:
    """An envelope with a payload: of its one type, or one of several."""

    namespace: str
    """`omninode.agent`: as much as all its types have in common, two words at most."""
    name: str
    """`ExecutionStartedV1`; `Event` if there are several types."""
    payloads: tuple[Payload, ...]

    @property
    def full_name(self) -> str:
        return f"{self.namespace}.{self.name}"

    def branch(self, event_type: str) -> int | None:
        """The place of a type's payload among those of several types; None where it is the only one."""
        if len(self.payloads) == 1:
            return None
        return [payload.event_type for payload in self.payloads].index(event_type)


def message(catalog: Sections, event_types: Sequence[str]) -> Message:
    """The message for events of some types, which keep their order.

    Raises:
        UnknownName: the catalog has no such event type.
    """
    split = [catalog.event_type(name).name.split(".") for name in event_types]
    same = takewhile(lambda words: len(set(words)) == 1, zip(*split, strict=False))
    shared = [word for word, *_ in same][:2]
    names = symbols(f"{camel(words[len(shared) :])}Payload" for words in split)
    shapes = payload_shapes(catalog)
    payloads = tuple(
        Payload(event_type, name, catalog.event_type(event_type).description, shapes[event_type])
        for event_type, name in zip(event_types, names, strict=True)
    )
    name = payloads[0].name.removesuffix("Payload") if len(payloads) == 1 else "Event"
    return Message(".".join(word.replace("-", "_") for word in shared) or "events", name, payloads)


def camel(words: Sequence[str]) -> str:
    """`execution`, `started-late`, `v1` → `ExecutionStartedLateV1`."""
    return "".join(part[:1].upper() + part[1:] for word in words for part in re.split("[_-]", word))
