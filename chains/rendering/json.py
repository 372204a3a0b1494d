"""The JSON event, and CloudEvents 1.0 made of it: structured (JSON) and binary (attributes as record headers).

CloudEvents are written directly by their formats, or converted from JSON events that are there already; both give the
same bytes. Sources: github.com/cloudevents/spec, the JSON event format, the Kafka protocol binding, and the extensions
correlation (`correlationid`, `causationid`), partitioning (`partitionkey`) and distributed tracing (`traceparent`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import numpy as np
import orjson

from eventbus.catalog import PayloadField
from eventbus.catalog.model.draws import FilledText
from eventbus.chains.rendering.columns import json_numbers, windows
from eventbus.chains.rendering.fixed import EventSpec, FixedField, TemplateBuilder
from eventbus.chains.rendering.placeholders import (
    PayloadCompiler,
    PlaceholderField,
    Segment,
    TextColumn,
    filled_segments,
    is_listed,
)
from eventbus.errors import InvalidEvent
from eventbus.event import Event, Header, format_timestamp
from eventbus.record import ProducerRecord

# The JSON event: one line each.


class JsonValueEncoder:
    """Values as JSON; many numbers in one go, cut at the commas."""

    def text(self, value: Any) -> bytes:
        return orjson.dumps(value)

    def texts(self, numbers: Any) -> list[bytes]:
        return orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")

    def column(self, numbers: Any) -> TextColumn:
        memory, starts, lengths = json_numbers(numbers)
        width = int(lengths.max())
        padded = np.concatenate((memory, np.zeros(width, np.uint8)))
        return TextColumn(windows(padded, np.dtype(f"V{width}")), starts, lengths)


ENCODER = JsonValueEncoder()


class InnerTextEncoder(JsonValueEncoder):
    """Values as they stand within a text.

    Args:
        escape: encodes a part of the text.
    """

    def __init__(self, escape: Callable[[str], bytes]) -> None:
        self._escape = escape

    def text(self, value: Any) -> bytes:
        return self._escape(value if isinstance(value, str) else orjson.dumps(value).decode())


def _escaped(text: str) -> bytes:
    """A text as JSON has it between quotation marks."""
    return orjson.dumps(text)[1:-1]


JSON_TEXT = InnerTextEncoder(_escaped)  # no lambda: workers get encoders pickled
PLAIN_TEXT = InnerTextEncoder(str.encode)


def json_object(
    payload: PayloadCompiler, fields: tuple[PayloadField, ...], path: tuple[str, ...] = ()
) -> list[Segment]:
    """An object, in order."""
    parts: list[Segment] = [b"{"]
    for number, field in enumerate(fields):
        parts.append((b"," if number else b"") + orjson.dumps(field.name) + b":")
        parts += _value(payload, field, (*path, field.name))
    return [*parts, b"}"]


def _value(payload: PayloadCompiler, field: PayloadField, path: tuple[str, ...]) -> list[Segment]:
    if field.fields is not None:
        return json_object(payload, field.fields, path)
    placeholder = payload.placeholder(field, path)
    if isinstance(placeholder, FilledText):
        return [b'"', *filled_segments(placeholder, JSON_TEXT), b'"']
    if placeholder.is_constant:
        return [orjson.dumps(placeholder.constant_value)]
    if is_listed(placeholder) or placeholder.template is None:
        return [PlaceholderField(placeholder, ENCODER)]
    before, behind = map(orjson.dumps, placeholder.around)
    return [before[:-1], PlaceholderField(placeholder.without_template(), ENCODER), behind[1:]]


class JsonFormat:
    """Ten fields in the documented order (see `eventbus.event`)."""

    def template(self, spec: EventSpec) -> TemplateBuilder:
        text, event, envelope = TemplateBuilder(), spec.event, spec.envelope
        text.constant(b'{"event_id":"')
        text.field(FixedField.EVENT_ID)
        text.constant(b'","event_type":' + orjson.dumps(event.name) + b',"timestamp":"')
        text.field(FixedField.TIMESTAMP)
        text.constant(b'","correlation_id":"')
        text.field(FixedField.CORRELATION_ID)
        text.constant(b'","causation_id":' + (b"null" if spec.is_root else b'"'))
        if not spec.is_root:
            text.field(FixedField.CAUSATION_ID)
            text.constant(b'"')
        text.constant(b',"tenant_id":"')
        text.tenant(envelope)
        constants = {
            "namespace": envelope.namespace,
            "source": event.source,
            "schema_version": event.schema_version,
        }
        text.constant(b'",' + orjson.dumps(constants)[1:-1] + b',"payload":')
        text.parts = [*json_object(spec.payload, event.payload), b"}\n"]
        text.tail = 1
        return text


JSON = JsonFormat()


UUID = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
PLAIN = rb"[ !#-\[\]-~]+"  # ASCII that means the same in JSON and in a header
REFERENCE = rb"[A-Za-z0-9._~/-]+"  # a URI reference without anything to encode

WRITTEN = re.compile(
    rb'\{"event_id":"(%b)","event_type":"(%b)","timestamp":"(%b)","correlation_id":"(%b)",'
    rb'"causation_id":(?:null|"(%b)"),"tenant_id":"(%b)","namespace":"(%b)","source":"(%b)",'
    rb'"schema_version":"(%b)","payload":(\{.*\})\}' % (UUID, PLAIN, PLAIN, UUID, UUID, PLAIN, PLAIN, REFERENCE, PLAIN),
    re.DOTALL,
)
"""An event as this package writes it; matching takes a quarter of the time of decoding."""

STRUCTURED = ("content-type", b"application/cloudevents+json; charset=UTF-8")
CONTENT_TYPE = ("content-type", b"application/json")
SPECVERSION = ("ce_specversion", b"1.0")


class CloudEventAttributes(NamedTuple):
    """The texts of an event that become attributes, UTF-8, and its data."""

    id: bytes
    type: bytes
    time: bytes
    correlation: bytes
    causation: bytes | None
    tenant: bytes
    namespace: bytes
    source: bytes
    schema_version: bytes
    data: bytes

    @property
    def traceparent(self) -> bytes:
        """W3C Trace Context: where the transmission starts, as in the plain header."""
        return b"00-%b-%b-01" % (self.correlation.replace(b"-", b""), self.id[19:23] + self.id[24:])


def structured_json(value: bytes) -> bytes:
    """An event in its JSON form as a CloudEvent in its JSON form; what is no event is returned as it is."""
    parts = _parts(value)
    return value if parts is None else _json(parts)


def structured_lines(text: bytes) -> bytes:
    """Events as lines of JSON, each as a CloudEvent; other lines stay as they are."""
    return b"\n".join(map(structured_json, text.split(b"\n")))


def structured(record: ProducerRecord) -> ProducerRecord:
    """A record whose value is a CloudEvent; a tombstone, and what is no event, stays as it is."""
    parts = _parts(record.value)
    if parts is None:
        return record
    return record._replace(value=_json(parts), headers=(STRUCTURED, ("traceparent", parts.traceparent)))


def binary(record: ProducerRecord) -> ProducerRecord:
    """A record whose headers are a CloudEvent's attributes, and whose value is its data alone: the payload."""
    parts = _parts(record.value)
    if parts is None:
        return record
    trace = parts.traceparent
    cause = () if parts.causation is None else (("ce_causationid", parts.causation),)
    headers = (
        *repeated(parts.type, parts.source, parts.tenant, parts.namespace, parts.schema_version),
        ("ce_id", parts.id),
        ("ce_time", parts.time),
        ("ce_correlationid", parts.correlation),
        ("ce_partitionkey", parts.correlation),
        ("ce_traceparent", trace),
        ("traceparent", trace),
        *cause,
    )
    return record._replace(value=parts.data, headers=headers)


Convert = Callable[[ProducerRecord], ProducerRecord]

CONVERSIONS: dict[str, Convert] = {"cloudevents": structured, "cloudevents-binary": binary}
"""How records of JSON events take a format."""


class Publisher(Protocol):
    """Takes records."""

    async def publish_many(self, events: Iterable[Event | ProducerRecord]) -> int: ...


class ConvertedBus:
    """Gives records a format on their way to a bus; the generator publishes into it as into that bus."""

    def __init__(self, bus: Publisher, convert: Convert) -> None:
        self._bus = bus
        self._convert = convert

    async def publish_many(self, records: Iterable[ProducerRecord]) -> int:
        return await self._bus.publish_many(map(self._convert, records))


def reference(source: str) -> str:
    """A source as the URI reference that the specification wants."""
    return quote(source, safe="/._~-:?#@!$&'()*+,;=%")


@lru_cache(maxsize=4096)
def repeated(kind: bytes, source: bytes, tenant: bytes, namespace: bytes, schema_version: bytes) -> tuple[Header, ...]:
    """The headers that many events share."""
    return (
        CONTENT_TYPE,
        SPECVERSION,
        ("ce_source", source),
        ("ce_type", kind),
        ("ce_tenantid", tenant),
        ("ce_namespace", namespace),
        ("ce_schemaversion", schema_version),
    )


def _json(parts: CloudEventAttributes) -> bytes:
    """The members are texts that JSON does not escape, so they are put together as they are."""
    cause = b"" if parts.causation is None else b'"causationid":"%b",' % parts.causation
    return (
        b'{"specversion":"1.0","id":"%b","source":"%b","type":"%b","datacontenttype":"application/json","time":"%b",'
        b'"correlationid":"%b",%b"tenantid":%b,"namespace":%b,"schemaversion":%b,'
        b'"partitionkey":"%b","traceparent":"%b","data":%b}'
        % (
            parts.id, parts.source, parts.type, parts.time, parts.correlation, cause, _quoted(parts.tenant),
            _quoted(parts.namespace), _quoted(parts.schema_version), parts.correlation, parts.traceparent, parts.data,
        )
    )  # fmt: skip


def _parts(value: bytes | None) -> CloudEventAttributes | None:
    """None: not an event."""
    if match := WRITTEN.fullmatch(value or b""):
        parts = CloudEventAttributes(*match.groups())
        if _is_object(parts.data):
            return parts
    return _decoded(value or b"")


def _is_object(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


def _decoded(value: bytes) -> CloudEventAttributes | None:
    """Any event, however it is written."""
    try:
        event = Event.from_bytes(value)
    except InvalidEvent:
        return None
    return CloudEventAttributes(
        id=event.event_id.encode(),
        type=event.event_type.encode(),
        time=format_timestamp(event.timestamp).encode(),
        correlation=event.correlation_id.encode(),
        causation=None if event.causation_id is None else event.causation_id.encode(),
        tenant=event.tenant_id.encode(),
        namespace=event.namespace.encode(),
        source=reference(event.source).encode(),
        schema_version=event.schema_version.encode(),
        data=orjson.dumps(event.payload),
    )


@lru_cache
def _quoted(text: bytes) -> bytes:
    return orjson.dumps(text.decode())


# CloudEvents, written directly.


class StructuredCloudEvents:
    """The JSON format, a line each."""

    def template(self, spec: EventSpec) -> TemplateBuilder:
        text, event, envelope = TemplateBuilder(), spec.event, spec.envelope
        text.constant(b'{"specversion":"1.0","id":"')
        text.field(FixedField.EVENT_ID)
        about = {"source": reference(event.source), "type": event.name, "datacontenttype": "application/json"}
        text.constant(b'",' + orjson.dumps(about)[1:-1] + b',"time":"')
        text.field(FixedField.TIMESTAMP)
        text.constant(b'","correlationid":"')
        text.field(FixedField.CORRELATION_ID)
        if not spec.is_root:
            text.constant(b'","causationid":"')
            text.field(FixedField.CAUSATION_ID)
        text.constant(b'","tenantid":"')
        text.tenant(envelope)
        about = {"namespace": envelope.namespace, "schemaversion": event.schema_version}
        text.constant(b'",' + orjson.dumps(about)[1:-1] + b',"partitionkey":"')
        text.field(FixedField.CORRELATION_ID)
        text.constant(b'","traceparent":"')
        text.headers, text.varying = (STRUCTURED,), [("traceparent", text.traceparent())]
        text.constant(b'","data":')
        text.parts = [*json_object(spec.payload, event.payload), b"}\n"]
        text.tail = 1
        return text


class BinaryCloudEvents:
    """The binary mode of the Kafka binding: attributes are headers, cut from the text before the payload."""

    def template(self, spec: EventSpec) -> TemplateBuilder:
        text, event, envelope = TemplateBuilder(), spec.event, spec.envelope
        identity, time = text.field(FixedField.EVENT_ID), text.field(FixedField.TIMESTAMP)
        correlation, trace = text.field(FixedField.CORRELATION_ID), text.traceparent()
        attributes = (reference(event.source), envelope.tenant_id, envelope.namespace, event.schema_version)
        text.headers = repeated(event.name.encode(), *(attribute.encode() for attribute in attributes))
        text.varying = [
            ("ce_id", identity),
            ("ce_time", time),
            ("ce_correlationid", correlation),
            ("ce_partitionkey", correlation),
            ("ce_traceparent", trace),
            ("traceparent", trace),
        ]
        if not spec.is_root:
            text.varying.append(("ce_causationid", text.field(FixedField.CAUSATION_ID)))
        if envelope.tenancy is not None:
            text.headers = tuple(header for header in text.headers if header[0] != "ce_tenantid")
            text.varying.append(("ce_tenantid", text.tenant(envelope)))
        text.value_at = len(text.head)
        text.parts = json_object(spec.payload, event.payload)
        return text


CLOUDEVENTS = StructuredCloudEvents()
CLOUDEVENTS_BINARY = BinaryCloudEvents()
