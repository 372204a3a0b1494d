"""Avro's binary encoding: a record is its values in order, so an event is constants, fixed fields and slots as in JSON.

Sources: Avro 1.11 specification, "Binary Encoding" and "Object Container Files"; Confluent's wire format.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson

from eventbus.catalog import PayloadField
from eventbus.catalog.export.typed import Array, Message, Scalar, ScalarKind, Shape, Struct, StructField
from eventbus.catalog.export.typed_text import avro_schema
from eventbus.catalog.model.draws import FilledText
from eventbus.chains.rendering.columns import varint, varints, zigzag
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

NULL, PRESENT = varint(zigzag(0)), varint(zigzag(1))
"""Branches of a union with null."""
DOUBLE = np.dtype("V8")


def avro_long(number: int) -> bytes:
    return varint(zigzag(number))


def avro_string(text: str) -> bytes:
    encoded = text.encode()
    return avro_long(len(encoded)) + encoded


def avro_value(shape: Shape, value: Any) -> bytes:
    """Encodes a value that is not null."""
    match shape:
        case Scalar(kind):
            return ENCODERS[kind](value)
        case Array(item):
            items = b"".join(avro_value(item, element) for element in value)
            return (avro_long(len(value)) + items if value else b"") + avro_long(0)
        case Struct(members):
            return b"".join(avro_member(member, value.get(member.name)) for member in members)


def avro_member(member: StructField, value: Any) -> bytes:
    """Encodes the value of a member, which may be null."""
    if not member.optional:
        return avro_value(member.shape, value)
    return NULL if value is None else PRESENT + avro_value(member.shape, value)


ENCODERS: dict[ScalarKind, Callable[[Any], bytes]] = {
    "string": avro_string,
    "integer": avro_long,
    "number": lambda value: struct.pack("<d", value),
    "boolean": lambda value: b"\1" if value else b"\0",
    "json": lambda value: avro_string(orjson.dumps(value).decode()),
}


@dataclass(frozen=True)
class AvroValueEncoder:
    """Encodes values of one member of a record."""

    member: StructField

    def text(self, value: Any) -> bytes:
        return avro_member(self.member, value)

    def texts(self, numbers: Any) -> list[bytes]:
        return [avro_value(self.member.shape, number) for number in numbers.tolist()]

    def column(self, numbers: Any) -> TextColumn:
        if self.member.shape == Scalar("number"):
            rows = numbers.astype("<f8").view(DOUBLE)
            return TextColumn(rows, np.arange(rows.size), np.full(rows.size, DOUBLE.itemsize))
        rows, lengths = varints(((numbers << 1) ^ (numbers >> 63)).view(np.uint64))
        return TextColumn(rows, np.arange(rows.size), lengths)


def avro_record(
    payload: PayloadCompiler, fields: tuple[PayloadField, ...], shape: Struct, path: tuple[str, ...] = ()
) -> list[Segment]:
    """The segments of an object's members, in order."""
    parts: list[Segment] = []
    for field, member in zip(fields, shape.members, strict=True):
        parts += _member(payload, field, member, (*path, field.name))
    return parts


def _member(payload: PayloadCompiler, field: PayloadField, member: StructField, path: tuple[str, ...]) -> list[Segment]:
    present = [PRESENT] if member.optional else []
    if field.fields is not None and isinstance(member.shape, Struct):
        return [*present, *avro_record(payload, field.fields, member.shape, path)]
    placeholder = payload.placeholder(field, path)
    if isinstance(placeholder, FilledText):
        parts = filled_segments(placeholder, PLAIN_TEXT)
        return [*present, length_of(parts, avro_long), *parts]
    if placeholder.is_constant:
        return [avro_member(member, placeholder.constant_value)]
    if placeholder.values is not None:
        return [PlaceholderField(placeholder, AvroValueEncoder(member))]
    if is_listed(placeholder) or placeholder.template is None:
        return [*present, PlaceholderField(placeholder, AvroValueEncoder(replace(member, optional=False)))]
    before, after = (text.encode() for text in placeholder.around)
    text: list[Segment] = [before, PlaceholderField(placeholder.without_template(), DIGITS), after]
    return [*present, length_of(text, avro_long), *text]


class AvroFormat:
    """Writes events as Avro records.

    Args:
        messages: the record of each event type.
        wire: header of a record in Kafka; None for records in a file, which have none.
    """

    def __init__(self, messages: Mapping[str, Message], wire: WireFormat | None = None) -> None:
        self._messages = messages
        self._wire = wire

    def template(self, spec: EventSpec) -> TemplateBuilder:
        text, event, envelope = TemplateBuilder(), spec.event, spec.envelope
        begin_value(text, spec, self._wire)
        message = self._messages[event.name]
        _field(text, FixedField.EVENT_ID)
        text.constant(avro_string(event.name))
        text.field(FixedField.MICROS)
        _field(text, FixedField.CORRELATION_ID)
        text.constant(NULL if spec.is_root else PRESENT)
        if not spec.is_root:
            _field(text, FixedField.CAUSATION_ID)
        if envelope.tenancy is None:
            text.constant(avro_string(envelope.tenant_id))
        else:
            _field(text, FixedField.TENANT)
        for constant in (envelope.namespace, event.source, event.schema_version):
            text.constant(avro_string(constant))
        branch = message.branch(event.name)
        text.constant(b"" if branch is None else avro_long(branch))
        shape = message.payloads[branch or 0].shape
        text.parts = avro_record(spec.payload, event.payload, shape)
        return text


def _field(text: TemplateBuilder, field: FixedField) -> None:
    """A string of fixed length."""
    text.constant(avro_long(field.width))
    text.field(field)


class AvroFile:
    """An object container file.

    Args:
        message: the record type of its events.
    """

    def __init__(self, message: Message) -> None:
        schema = orjson.dumps(avro_schema(message))
        self._sync = hashlib.md5(schema, usedforsecurity=False).digest()
        metadata = avro_long(2) + _entry("avro.codec", b"null") + _entry("avro.schema", schema) + avro_long(0)
        self.head = b"Obj\1" + metadata + self._sync
        """Header of the file."""

    def framed(self, events: int, text: bytes | memoryview) -> bytes:
        """Frames encoded events as a data block."""
        return b"".join((avro_long(events), avro_long(len(text)), text, self._sync))


def _entry(name: str, value: bytes) -> bytes:
    return avro_string(name) + avro_long(len(value)) + value
