"""What a format decides about the events of an emitter, worked out once: constant text, gaps and the payload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import orjson

from eventbus.catalog import EventType
from eventbus.chains.tenants import Tenancy
from eventbus.chains.writing.cutter import RecordShape, Stretch
from eventbus.chains.writing.fields import Field
from eventbus.chains.writing.payload import Part, PayloadCompiler
from eventbus.event import Header


@dataclass(frozen=True)
class Envelope:
    """The fields that are the same in all events of a generator."""

    tenant_id: str
    namespace: str
    tenancy: Tenancy | None = None
    """Several tenants instead."""


class Subject(NamedTuple):
    """What an emitter's events are."""

    event: EventType
    envelope: Envelope
    is_root: bool
    payload: PayloadCompiler


class Gap(NamedTuple):
    """A place in the head that is filled for each event."""

    field: Field
    at: int


class Draft:
    """The text of an emitter's events while it is laid out, from left to right."""

    def __init__(self) -> None:
        self.head = b""
        self.gaps: list[Gap] = []
        #: What comes behind the head.
        self.parts: list[Part] = []
        self.value_at = self.tail = 0
        self.headers: tuple[Header, ...] | None = None
        self.varying: list[tuple[str, Stretch]] = []

    def constant(self, text: bytes) -> None:
        self.head += text

    def field(self, field: Field) -> Stretch:
        """Leaves room for a field; returns where."""
        gap = Gap(field, len(self.head))
        self.gaps.append(gap)
        self.head += b"0" * field.width
        return Stretch(gap.at, field.width)

    def tenant(self, envelope: Envelope) -> Stretch:
        """The tenant's name, as JSON has it between quotation marks; returns where."""
        if envelope.tenancy is not None:
            return self.field(Field.TENANT)
        at, text = len(self.head), orjson.dumps(envelope.tenant_id)[1:-1]
        self.constant(text)
        return Stretch(at, len(text))

    def traceparent(self) -> Stretch:
        """W3C Trace Context: the trace is the chain, and the transmission starts at this event."""
        at = len(self.head)
        self.constant(b"00-")
        self.field(Field.TRACE)
        self.constant(b"-")
        self.field(Field.SPAN)
        self.constant(b"-01")
        return Stretch(at, len(self.head) - at)

    def first(self, field: Field) -> int:
        """Where the first gap for a field is."""
        return next(gap.at for gap in self.gaps if gap.field == field)

    @property
    def shape(self) -> RecordShape:
        key_at = self.first(Field.CORRELATION_ID)
        return RecordShape(key_at, self.value_at, self.tail, self.headers, tuple(self.varying))


class Layout(Protocol):
    """A format: lays out the events of an emitter. It must be possible to send it to another process."""

    def draft(self, subject: Subject) -> Draft: ...
