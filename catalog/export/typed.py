"""Typed views of events, for Avro and Protocol Buffers: the shapes of payloads and the messages that hold them.

Where the catalog gives only values, the type is inferred from them.
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

INTEGER_LIMIT = 1 << 63
"""Integers are signed and have 64 bits."""


@dataclass(frozen=True)
class Scalar:
    """A single value; `json` is any value as JSON text in a string."""

    kind: ScalarKind


@dataclass(frozen=True)
class Array:
    """An array whose items have one shape."""

    item: Shape


@dataclass(frozen=True)
class Struct:
    """An object."""

    members: tuple[StructField, ...]


@dataclass(frozen=True)
class StructField:
    """A member of an object."""

    name: str
    symbol: str
    """The name in a schema language: letters, digits and underscores."""
    shape: Shape
    optional: bool
    """Whether it may be null or missing."""
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
    """Names valid in schema languages; they stay distinct even if case and underscores are ignored."""
    by_key: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
        plain = plain if plain[:1].isalpha() else f"x{plain}"
        symbol, count = plain, 1
        while (key := symbol.replace("_", "").lower()) in by_key:
            count += 1
            symbol = f"{plain}_{count}"
        by_key[key] = symbol
    return list(by_key.values())


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
    """The shape of non-null values; any value if there are none."""
    for kind, fits in SCALAR_TESTS.items():
        if values and all(map(fits, values)):
            return Scalar(kind)
    if values and all(isinstance(value, list) for value in values):
        return _array([item for value in values for item in value])
    if values and all(isinstance(value, dict) for value in values):
        return _object(values)
    return ANYTHING


def _array(items: Sequence[Any]) -> Shape:
    """The shape of an array; one that holds arrays or nulls is JSON, since Protocol Buffers support neither."""
    shape = _inferred(items) if items else Scalar("string")
    return ANYTHING if isinstance(shape, Array) or any(item is None for item in items) else Array(shape)


def _object(values: Sequence[dict[str, Any]]) -> Struct:
    names = list(dict.fromkeys(name for value in values for name in value))
    members = []
    for name, symbol in zip(names, symbols(names), strict=True):
        present = [value[name] for value in values if value.get(name) is not None]
        members.append(StructField(name, symbol, _inferred(present), optional=len(present) < len(values)))
    return Struct(tuple(members))


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -INTEGER_LIMIT <= value < INTEGER_LIMIT


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
"""Descriptions of the fields before the payload."""


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
        """Name of its field in a message of several types: `execution_started_v1`."""
        words = re.findall("[A-Z][^A-Z]*|[^A-Z]+", self.name.removesuffix("Payload"))
        return "_".join(word.strip("_").lower() for word in words)


@dataclass(frozen=True)
class Message:
    """An envelope with the payload of its only type, or of one of several."""

    namespace: str
    """What the types have in common, at most two words: `omninode.agent`."""
    name: str
    """`ExecutionStartedV1`, or `Event` for several types."""
    payloads: tuple[Payload, ...]

    @property
    def full_name(self) -> str:
        return f"{self.namespace}.{self.name}"

    def branch(self, event_type: str) -> int | None:
        """Index of a type's payload; None if the message has only one type."""
        if len(self.payloads) == 1:
            return None
        return [payload.event_type for payload in self.payloads].index(event_type)


def message(catalog: Sections, event_types: Sequence[str]) -> Message:
    """The message for events of these types, in this order.

    Raises:
        UnknownName: the catalog has no such event type.
    """
    split = [catalog.event_type(name).name.split(".") for name in event_types]
    common = takewhile(lambda words: len(set(words)) == 1, zip(*split, strict=False))
    shared = [word for word, *_ in common][:2]
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
