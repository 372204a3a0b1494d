"""The short body of web analytics, made from an event."""

from __future__ import annotations

import orjson

from eventbus.catalog.model.visitors import short_name
from eventbus.event import Event
from eventbus.record import ProducerRecord

OWN_FIELDS = ("site_id", "path", "user_id", "session_id")


def analytics_body(record: ProducerRecord) -> bytes:
    """`{"site_id", "event_type", "path", "user_id", "timestamp", "session_id", "properties"}`.

    What the payload does not say comes from the envelope: the site is the tenant, and a session is a chain.

    Raises:
        InvalidEvent: the record is no event.
    """
    event = Event.from_bytes(record.value or b"")
    payload = event.payload
    fields = event.to_dict()
    return orjson.dumps(
        {
            "site_id": payload.get("site_id", event.tenant_id),
            "event_type": short_name(event.event_type),
            "path": payload.get("path"),
            "user_id": payload.get("user_id"),
            "timestamp": fields["timestamp"],
            "session_id": payload.get("session_id", event.correlation_id),
            "properties": {name: value for name, value in payload.items() if name not in OWN_FIELDS},
        }
    )
