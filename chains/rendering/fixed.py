"""The head of an event: fields of fixed width, the envelope and its tenants, and how a format lays them out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import orjson

from eventbus.catalog import EventType
from eventbus.catalog.model import Tenants
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.randomness import Integers, Words, draw, fraction, purpose, shares
from eventbus.chains.rendering.block import RecordShape, Span
from eventbus.chains.rendering.columns import (
    TIMESTAMP_WIDTH,
    UUID_FIELDS,
    UUID_WIDTH,
    Identifiers,
    Rows,
    identifiers,
    joined,
    padded,
    table,
    timestamps,
)
from eventbus.chains.rendering.placeholders import PayloadCompiler, Segment
from eventbus.chains.table import SECOND, EventTable
from eventbus.event import Header

# Tenants: shares by Zipf's law over the day, and in each hour by the tenants' own hours.


TENANT_PURPOSE = purpose("tenant")
MOST = 9999
TENANT_WIDTH = len("tenant-0001")
HOURS, HOUR = 24, 3_600_000_000
"""Of a day, and microseconds in one."""
ROUNDS = 12
"""Of fitting: shares are then as exact as anyone could count."""


class Tenancy:
    """Draws the tenants of chains.

    Raises:
        InvalidSetting: there are none or too many, or the numbers make no sense.
    """

    def __init__(self, tenants: Tenants) -> None:
        if not 1 <= tenants.count <= MOST:
            raise InvalidSetting(f"expected 1 to {MOST:,} tenants, got {tenants.count:,}")
        if not (0 <= tenants.exponent <= 5 and 0 <= tenants.swing < 1):
            raise InvalidSetting(f"expected an exponent of 0 to 5 and a swing of 0 to less than 1, got {tenants}")
        self._count = tenants.count
        self._names = table([b"tenant-%04d" % (number + 1) for number in range(tenants.count)])
        edges = [shares(hour) for hour in _hourly(tenants)]
        #: Of all hours one after the other, each in its own 2^32 parts.
        self._edges = (np.array(edges, np.uint64) + (np.arange(HOURS, dtype=np.uint64) << 32)[:, None]).ravel()

    def rows(self, keys: Words, began: Integers) -> Rows:
        """The names of the tenants of chains.

        Args:
            keys: of the chains.
            began: when they did, microseconds since the Unix epoch.
        """
        hour = began // HOUR % HOURS
        places = fraction(draw(keys, TENANT_PURPOSE)) + (hour.view(np.uint64) << np.uint64(32))
        return self._names.take(self._edges.searchsorted(places, side="right") - hour * self._count)


def _hourly(tenants: Tenants) -> list[list[float]]:
    """The share of each tenant in each hour of the day (UTC), such that its share of all hours is what Zipf says.

    Each share follows its tenant's hours, then the shares of each hour and of each tenant are made right in turns
    (iterative proportional fitting).
    """
    sizes = [(number + 1) ** -tenants.exponent for number in range(tenants.count)]
    peaks = (draw(np.arange(tenants.count).astype(np.uint64), TENANT_PURPOSE) % np.uint64(HOURS)).tolist()
    hours = [
        [size * (1 + tenants.swing * _height(hour - peak)) for size, peak in zip(sizes, peaks, strict=True)]
        for hour in range(HOURS)
    ]
    for _ in range(ROUNDS):
        totals = [math.fsum(column) for column in zip(*hours, strict=True)]
        hours = [[a * size / total for a, size, total in zip(row, sizes, totals, strict=True)] for row in hours]
        hours = [[a / whole for a in row] for row in hours for whole in (math.fsum(row),)]
    return hours


def _height(distance: int) -> float:
    """1 at the peak, -1 twelve hours away from it, and a straight line between the two."""
    away = abs(distance) % HOURS
    return 1 - min(away, HOURS - away) / 6


# Fields of fixed width: ids, times, traces and sizes.


SPAN_PARTS = ("at19", "at24", "at28", "at32")
TRACE_PARTS = tuple(UUID_FIELDS.names or ())


class FixedField(Enum):
    """A field of fixed width in the head, and its width in bytes."""

    EVENT_ID = ("event_id", UUID_WIDTH)
    CORRELATION_ID = ("correlation_id", UUID_WIDTH)
    CAUSATION_ID = ("causation_id", UUID_WIDTH)
    TIMESTAMP = ("timestamp", TIMESTAMP_WIDTH)
    TRACE = ("trace", 32)
    """The correlation id without its dashes: W3C Trace Context's trace id."""
    SPAN = ("span", 16)
    """The last 16 digits of the event id: W3C Trace Context's parent id."""
    TENANT = ("tenant", TENANT_WIDTH)
    """Where there are several of them."""
    MICROS = ("micros", 8)
    """The time as an Avro long, microseconds since the Unix epoch."""
    SECONDS = ("seconds", 5)
    """Of the time, as a varint."""
    NANOS = ("nanos", 5)
    """What is left of the time, as a varint."""
    SIZE = ("size", 2)
    """Bytes behind it in the event, fewer than 2^14, as a varint."""
    LONG_SIZE = ("long size", 5)
    """The same for any event."""

    @property
    def width(self) -> int:
        return self.value[1]


class FixedFieldRows:
    """The fixed fields of ordered events, computed on demand.

    Args:
        keys: the random key of each event's chain.
        lengths: of the events' texts.
        tenancy: where there are several tenants.
    """

    def __init__(self, events: EventTable, keys: Words, lengths: Integers, tenancy: Tenancy | None = None) -> None:
        self._events = events
        self._keys = keys
        self._lengths = lengths
        self._tenancy = tenancy

    def rows(self, field: FixedField) -> Rows:
        """A row for each event; the causation ids of roots are undefined."""
        match field:
            case FixedField.EVENT_ID:
                rows = self._known.event
            case FixedField.CORRELATION_ID:
                rows = self._known.correlation
            case FixedField.CAUSATION_ID:
                rows = self._known.causation
            case FixedField.TRACE:
                rows = joined(self._known.correlation, TRACE_PARTS)
            case FixedField.SPAN:
                rows = joined(self._known.event, SPAN_PARTS)
            case FixedField.TIMESTAMP:
                rows = timestamps(self._events.time)
            case FixedField.TENANT:
                assert self._tenancy is not None
                rows = self._tenancy.rows(self._keys, self._events.began)
            case FixedField.MICROS:
                rows = padded(self._events.time * 2, field.width)
            case FixedField.SECONDS:
                rows = padded(self._events.time // SECOND, field.width)
            case FixedField.NANOS:
                rows = padded(self._events.time % SECOND * 1000, field.width)
            case FixedField.SIZE | FixedField.LONG_SIZE:
                rows = padded(self._lengths - field.width, field.width)
        return rows

    @cached_property
    def _known(self) -> Identifiers:
        return identifiers(self._events, self._keys)


# Formats: what an emitter's events consist of, laid out once.


@dataclass(frozen=True)
class Envelope:
    """The fields that are the same in all events of a generator."""

    tenant_id: str
    namespace: str
    tenancy: Tenancy | None = None
    """Several tenants instead."""


class EventSpec(NamedTuple):
    """What a format lays out: the events of an emitter."""

    event: EventType
    envelope: Envelope
    is_root: bool
    payload: PayloadCompiler


class FieldPosition(NamedTuple):
    """Where in the head a fixed field is filled in for each event."""

    field: FixedField
    at: int


class TemplateBuilder:
    """Builds the template of an emitter's events from left to right."""

    def __init__(self) -> None:
        self.head = b""
        self.gaps: list[FieldPosition] = []
        #: What comes behind the head.
        self.parts: list[Segment] = []
        self.value_at = self.tail = 0
        self.headers: tuple[Header, ...] | None = None
        self.varying: list[tuple[str, Span]] = []

    def constant(self, text: bytes) -> None:
        self.head += text

    def field(self, field: FixedField) -> Span:
        """Reserve room for a field; returns its span."""
        gap = FieldPosition(field, len(self.head))
        self.gaps.append(gap)
        self.head += b"0" * field.width
        return Span(gap.at, field.width)

    def tenant(self, envelope: Envelope) -> Span:
        """Add the tenant, as JSON has it between quotation marks; returns its span."""
        if envelope.tenancy is not None:
            return self.field(FixedField.TENANT)
        at, text = len(self.head), orjson.dumps(envelope.tenant_id)[1:-1]
        self.constant(text)
        return Span(at, len(text))

    def traceparent(self) -> Span:
        """Add a W3C traceparent: the trace is the chain, the parent is this event. Returns its span."""
        at = len(self.head)
        self.constant(b"00-")
        self.field(FixedField.TRACE)
        self.constant(b"-")
        self.field(FixedField.SPAN)
        self.constant(b"-01")
        return Span(at, len(self.head) - at)

    def first(self, field: FixedField) -> int:
        """Offset of the first field of a kind."""
        return next(gap.at for gap in self.gaps if gap.field == field)

    @property
    def shape(self) -> RecordShape:
        key_at = self.first(FixedField.CORRELATION_ID)
        return RecordShape(key_at, self.value_at, self.tail, self.headers, tuple(self.varying))


class Format(Protocol):
    """A format of events. Workers get it pickled."""

    def template(self, spec: EventSpec) -> TemplateBuilder: ...


MAGIC = b"\0"


@dataclass(frozen=True)
class WireFormat:
    """Confluent's wire format: the bytes before each value, and the content type in the headers."""

    content_type: str
    schema_ids: Mapping[str, int]
    """In the registry, by event type."""
    index: bytes = b""
    """Behind the number."""

    def prefix(self, event_type: str) -> bytes:
        """Before each value."""
        return MAGIC + self.schema_ids[event_type].to_bytes(4, "big") + self.index


def begin_value(text: TemplateBuilder, spec: EventSpec, wire: WireFormat | None) -> None:
    """Lay out the header fields, then mark where the value starts."""
    if wire is None:
        return
    kind = spec.event.name.encode()
    text.headers = (("content-type", wire.content_type.encode()), ("event_type", kind))
    text.varying.append(("correlation_id", text.field(FixedField.CORRELATION_ID)))
    if not spec.is_root:
        text.varying.append(("causation_id", text.field(FixedField.CAUSATION_ID)))
    text.varying.append(("traceparent", text.traceparent()))
    text.value_at = len(text.head)
    text.constant(wire.prefix(spec.event.name))
