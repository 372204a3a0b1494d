"""The JSON event, a line each."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from eventbus.catalog import PayloadField
from eventbus.chains.formats.layout import Draft, Subject
from eventbus.chains.writing.fields import Field
from eventbus.chains.writing.payload import Part, PayloadCompiler, Value
from eventbus.chains.writing.slots import Column
from eventbus.chains.writing.text import windows


class JsonEncoder:
    """Values as JSON; many numbers in one go, cut at the commas."""

    def text(self, value: Any) -> bytes:
        return orjson.dumps(value)

    def texts(self, numbers: Any) -> list[bytes]:
        return orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")

    def column(self, numbers: Any) -> Column:
        text = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)
        memory = np.frombuffer(text, np.uint8)
        commas = np.flatnonzero(memory == ord(","))
        starts = np.concatenate(([1], commas + 1))
        lengths = np.concatenate((commas, [len(text) - 1])) - starts
        width = int(lengths.max())
        padded = np.concatenate((memory, np.zeros(width, np.uint8)))
        return Column(windows(padded, np.dtype(f"V{width}")), starts, lengths)


ENCODER = JsonEncoder()


def json_object(payload: PayloadCompiler, fields: tuple[PayloadField, ...], path: str = "") -> list[Part]:
    """An object, in order."""
    parts: list[Part] = [b"{"]
    for number, field in enumerate(fields):
        parts.append((b"," if number else b"") + orjson.dumps(field.name) + b":")
        parts += _value(payload, field, f"{path}/{field.name}")
    return [*parts, b"}"]


def _value(payload: PayloadCompiler, field: PayloadField, path: str) -> list[Part]:
    if field.fields is not None:
        return json_object(payload, field.fields, path)
    hole = payload.hole(field, path)
    if hole is None:
        return [orjson.dumps(field.value)]
    if hole.is_listed or hole.template is None:
        return [Value(hole, ENCODER)]
    before, behind = map(orjson.dumps, hole.around)
    return [before[:-1], Value(hole.bare(), ENCODER), behind[1:]]


class JsonLayout:
    """Ten fields in the documented order (see `eventbus.event`)."""

    def draft(self, subject: Subject) -> Draft:
        text, event, envelope = Draft(), subject.event, subject.envelope
        text.constant(b'{"event_id":"')
        text.field(Field.EVENT_ID)
        text.constant(b'","event_type":' + orjson.dumps(event.name) + b',"timestamp":"')
        text.field(Field.TIMESTAMP)
        text.constant(b'","correlation_id":"')
        text.field(Field.CORRELATION_ID)
        text.constant(b'","causation_id":' + (b"null" if subject.is_root else b'"'))
        if not subject.is_root:
            text.field(Field.CAUSATION_ID)
            text.constant(b'"')
        text.constant(b',"tenant_id":"')
        text.tenant(envelope)
        constants = {
            "namespace": envelope.namespace,
            "source": event.source,
            "schema_version": event.schema_version,
        }
        text.constant(b'",' + orjson.dumps(constants)[1:-1] + b',"payload":')
        text.parts = [*json_object(subject.payload, event.payload), b"}\n"]
        text.tail = 1
        return text


JSON = JsonLayout()
