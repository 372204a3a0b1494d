"""Confluent's wire format: the number of the schema goes before each record's value, and headers say what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eventbus.chains.formats.layout import Draft, Subject
from eventbus.chains.writing.fields import Field

MAGIC = b"\0"


@dataclass(frozen=True)
class Wire:
    """How the values of records begin, and what their headers are."""

    content_type: str
    schema_ids: Mapping[str, int]
    """In the registry, by event type."""
    index: bytes = b""
    """Behind the number."""

    def prefix(self, event_type: str) -> bytes:
        """Before each value."""
        return MAGIC + self.schema_ids[event_type].to_bytes(4, "big") + self.index


def begin_value(text: Draft, subject: Subject, wire: Wire | None) -> None:
    """Lays out what comes before a record: ids and trace for its headers, which may not begin before the value does."""
    if wire is None:
        return
    kind = subject.event.name.encode()
    text.headers = (("content-type", wire.content_type.encode()), ("event_type", kind))
    text.varying.append(("correlation_id", text.field(Field.CORRELATION_ID)))
    if not subject.is_root:
        text.varying.append(("causation_id", text.field(Field.CAUSATION_ID)))
    text.varying.append(("traceparent", text.traceparent()))
    text.value_at = len(text.head)
    text.constant(wire.prefix(subject.event.name))
