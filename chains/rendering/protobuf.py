"""Protocol Buffers' binary encoding: constants, fixed fields and slots as in JSON, with lengths before nested messages.

Times have a fixed width, so their varints are padded with zero digits, which every decoder accepts. Sources:
protobuf.dev, "Encoding"; Confluent's wire format.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from eventbus.catalog import PayloadField
from eventbus.catalog.export.typed import Array, Message, Scalar, ScalarKind, Shape, Struct, StructField
from eventbus.catalog.export.typed_text import PAYLOAD
from eventbus.catalog.model.draws import FilledText
from eventbus.chains.rendering.columns import varint, varints
from eventbus.chains.rendering.fixed import EventSpec, FixedField, TemplateBuilder, WireFormat, begin_value
from eventbus.chains.rendering.json import ENCODER as DIGITS
from eventbus.chains.rendering.json import PLAIN_TEXT
from eventbus.chains.rendering.placeholders import (
    PayloadCompiler,
    PlaceholderField,
    Segment,
    TextColumn,
    filled_segments,
    is_listed,
)
from eventbus.chains.rendering.render import length_of

VARINT, FIXED64, DELIMITED = 0, 1, 2
"""Wire types."""
WIRE_TYPES: dict[ScalarKind, int] = {
    "string": DELIMITED,
    "json": DELIMITED,
    "integer": VARINT,
    "boolean": VARINT,
    "number": FIXED64,
}
TWO_BYTE_SIZE = 1 << 14
"""Sizes below this take two bytes as a varint."""
FIRST = varint(0)
"""Confluent's message index for the first message of a file."""


def tag(number: int, wire_type: int) -> bytes:
    """The tag of a field."""
    return varint(number << 3 | wire_type)


def delimited(content: bytes) -> bytes:
    return varint(len(content)) + content


ENCODERS: dict[ScalarKind, Callable[[Any], bytes]] = {
    "string": lambda value: delimited(value.encode()),
    "json": lambda value: delimited(orjson.dumps(value)),
    "integer": varint,
    "boolean": lambda value: b"\1" if value else b"\0",
    "number": lambda value: struct.pack("<d", value),
}


def protobuf_field(number: int, shape: Shape, value: Any) -> bytes:
    """Encodes a field with its tag; null is nothing."""
    if value is None:
        return b""
    match shape:
        case Scalar(kind):
            return tag(number, WIRE_TYPES[kind]) + ENCODERS[kind](value)
        case Array(Scalar(kind)) if WIRE_TYPES[kind] != DELIMITED:
            return tag(number, DELIMITED) + delimited(b"".join(map(ENCODERS[kind], value)))
        case Array(item):
            return b"".join(protobuf_field(number, item, element) for element in value)
        case Struct(members):
            fields = (
                protobuf_field(index, member.shape, value.get(member.name)) for index, member in enumerate(members, 1)
            )
            return tag(number, DELIMITED) + delimited(b"".join(fields))


@dataclass(frozen=True)
class ProtobufFieldEncoder:
    """Encodes values of one field, each with its tag."""

    number: int
    member: StructField

    def text(self, value: Any) -> bytes:
        return protobuf_field(self.number, self.member.shape, value)

    def texts(self, numbers: Any) -> list[bytes]:
        return list(map(self.text, numbers.tolist()))

    def column(self, numbers: Any) -> TextColumn:
        if self.member.shape == Scalar("number"):
            texts, wire_type = numbers.astype("<f8").view("V8"), FIXED64
            lengths = np.full(texts.size, texts.itemsize)
        else:
            (texts, lengths), wire_type = varints(numbers.view(np.uint64)), VARINT
        before = np.frombuffer(tag(self.number, wire_type), np.uint8)
        rows = np.empty((texts.size, before.size + texts.itemsize), np.uint8)
        rows[:, : before.size] = before
        rows[:, before.size :] = texts.view(np.uint8).reshape(texts.size, -1)
        return TextColumn(rows.view(f"V{rows.shape[1]}").reshape(-1), np.arange(texts.size), lengths + before.size)


def protobuf_message(
    payload: PayloadCompiler, fields: tuple[PayloadField, ...], shape: Struct, path: tuple[str, ...] = ()
) -> list[Segment]:
    """The segments of an object's fields, in order."""
    parts: list[Segment] = []
    for number, (field, member) in enumerate(zip(fields, shape.members, strict=True), 1):
        parts += _field(payload, field, member, number, (*path, field.name))
    return parts


def nested(number: int, parts: list[Segment]) -> list[Segment]:
    """A nested field: its tag, the length of its segments, and the segments."""
    return [tag(number, DELIMITED), length_of(parts, varint), *parts]


def _field(
    payload: PayloadCompiler, field: PayloadField, member: StructField, number: int, path: tuple[str, ...]
) -> list[Segment]:
    if field.fields is not None and isinstance(member.shape, Struct):
        return nested(number, protobuf_message(payload, field.fields, member.shape, path))
    placeholder = payload.placeholder(field, path)
    if isinstance(placeholder, FilledText):
        return nested(number, filled_segments(placeholder, PLAIN_TEXT))
    if placeholder.is_constant:
        return [protobuf_field(number, member.shape, placeholder.constant_value)]
    if is_listed(placeholder) or placeholder.template is None:
        return [PlaceholderField(placeholder, ProtobufFieldEncoder(number, member))]
    before, after = (text.encode() for text in placeholder.around)
    return nested(number, [before, PlaceholderField(placeholder.without_template(), DIGITS), after])


class ProtobufFormat:
    """Writes events as Protocol Buffers messages.

    Args:
        messages: the message of each event type.
        wire: header of a message in Kafka; None for messages in a file, which are preceded by their size.
    """

    def __init__(self, messages: Mapping[str, Message], wire: WireFormat | None = None) -> None:
        self._messages = messages
        self._wire = wire

    def template(self, spec: EventSpec) -> TemplateBuilder:
        event = spec.event
        message = self._messages[event.name]
        branch = message.branch(event.name) or 0
        inner = protobuf_message(spec.payload, event.payload, message.payloads[branch].shape)
        text = TemplateBuilder()
        text.parts = nested(PAYLOAD + branch, inner)
        if self._wire is None:
            longest = _width(_envelope(TemplateBuilder(), spec).head, *text.parts)
            text.field(FixedField.SIZE if longest < TWO_BYTE_SIZE else FixedField.LONG_SIZE)
        else:
            begin_value(text, spec, self._wire)
        return _envelope(text, spec)


def _envelope(text: TemplateBuilder, spec: EventSpec) -> TemplateBuilder:
    """Lays out the fields before the payload."""
    event, envelope = spec.event, spec.envelope
    _text(text, 1, FixedField.EVENT_ID)
    text.constant(protobuf_field(2, STRING, event.name))
    seconds, nanos = tag(1, VARINT), tag(2, VARINT)
    size = len(seconds) + FixedField.SECONDS.width + len(nanos) + FixedField.NANOS.width
    text.constant(tag(3, DELIMITED) + varint(size) + seconds)
    text.field(FixedField.SECONDS)
    text.constant(nanos)
    text.field(FixedField.NANOS)
    _text(text, 4, FixedField.CORRELATION_ID)
    if not spec.is_root:
        _text(text, 5, FixedField.CAUSATION_ID)
    if envelope.tenancy is None:
        text.constant(protobuf_field(6, STRING, envelope.tenant_id))
    else:
        _text(text, 6, FixedField.TENANT)
    for number, constant in enumerate((envelope.namespace, event.source, event.schema_version), 7):
        text.constant(protobuf_field(number, STRING, constant))
    return text


STRING = Scalar("string")


def _text(text: TemplateBuilder, number: int, field: FixedField) -> None:
    """A string of fixed length."""
    text.constant(tag(number, DELIMITED) + varint(field.width))
    text.field(field)


def _width(*parts: Segment) -> int:
    """Upper bound of the size, in bytes."""
    return sum(len(part) if isinstance(part, bytes) else part.width for part in parts)
