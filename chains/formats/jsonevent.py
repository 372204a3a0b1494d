"""The JSON event, a line each."""

from __future__ import annotations

import orjson

from chains.fields import Field
from chains.formats.layout import Draft, Subject


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
        constants = {
            "tenant_id": envelope.tenant_id,
            "namespace": envelope.namespace,
            "source": event.source,
            "schema_version": event.schema_version,
        }
        text.constant(b"," + orjson.dumps(constants)[1:-1] + b',"payload":')
        text.parts = [*subject.payload.parts(event.payload), b"}\n"]
        text.tail = 1
        return text


JSON = JsonLayout()
