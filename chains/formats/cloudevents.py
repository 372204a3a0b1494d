"""CloudEvents 1.0, written at once (`chains.cloudevents` makes the same bytes of events that are JSON already)."""

from __future__ import annotations

import orjson

from eventbus.chains.cloudevents import STRUCTURED, reference, repeated
from eventbus.chains.formats.jsonevent import json_object
from eventbus.chains.formats.layout import Draft, Subject
from eventbus.chains.writing.fields import Field


class StructuredLayout:
    """The JSON format, a line each."""

    def draft(self, subject: Subject) -> Draft:
        text, event, envelope = Draft(), subject.event, subject.envelope
        text.constant(b'{"specversion":"1.0","id":"')
        text.field(Field.EVENT_ID)
        about = {"source": reference(event.source), "type": event.name, "datacontenttype": "application/json"}
        text.constant(b'",' + orjson.dumps(about)[1:-1] + b',"time":"')
        text.field(Field.TIMESTAMP)
        text.constant(b'","correlationid":"')
        text.field(Field.CORRELATION_ID)
        if not subject.is_root:
            text.constant(b'","causationid":"')
            text.field(Field.CAUSATION_ID)
        text.constant(b'","tenantid":"')
        text.tenant(envelope)
        about = {"namespace": envelope.namespace, "schemaversion": event.schema_version}
        text.constant(b'",' + orjson.dumps(about)[1:-1] + b',"partitionkey":"')
        text.field(Field.CORRELATION_ID)
        text.constant(b'","traceparent":"')
        text.headers, text.varying = (STRUCTURED,), [("traceparent", text.traceparent())]
        text.constant(b'","data":')
        text.parts = [*json_object(subject.payload, event.payload), b"}\n"]
        text.tail = 1
        return text


class BinaryLayout:
    """The binary mode of the Kafka binding: attributes are headers, cut from the text before the payload."""

    def draft(self, subject: Subject) -> Draft:
        text, event, envelope = Draft(), subject.event, subject.envelope
        identity, time = text.field(Field.EVENT_ID), text.field(Field.TIMESTAMP)
        correlation, trace = text.field(Field.CORRELATION_ID), text.traceparent()
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
        if not subject.is_root:
            text.varying.append(("ce_causationid", text.field(Field.CAUSATION_ID)))
        if envelope.tenancy is not None:
            text.headers = tuple(header for header in text.headers if header[0] != "ce_tenantid")
            text.varying.append(("ce_tenantid", text.tenant(envelope)))
        text.value_at = len(text.head)
        text.parts = json_object(subject.payload, event.payload)
        return text


CLOUDEVENTS = StructuredLayout()
CLOUDEVENTS_BINARY = BinaryLayout()
