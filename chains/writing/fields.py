"""The texts of fixed width that an event's time and its place in the chain decide: ids, times, traces."""

from __future__ import annotations

from enum import Enum
from functools import cached_property

from eventbus.chains.identity import Identifiers, identifiers
from eventbus.chains.randomness import Integers, Words
from eventbus.chains.table import EventTable
from eventbus.chains.tenants import TENANT_WIDTH, Tenancy
from eventbus.chains.writing.text import TIMESTAMP_WIDTH, UUID_FIELDS, UUID_WIDTH, Rows, joined, timestamps
from eventbus.chains.writing.varints import padded

SPAN_PARTS = ("at19", "at24", "at28", "at32")
SECOND = 1_000_000
TRACE_PARTS = tuple(UUID_FIELDS.names or ())


class Field(Enum):
    """What stands in a gap of a head, and how many bytes it takes."""

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


class FieldTexts:
    """The fields of ordered events, each worked out when it is first asked for.

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

    def rows(self, field: Field) -> Rows:
        """A row for each event; causes of roots are without meaning."""
        match field:
            case Field.EVENT_ID:
                rows = self._known.event
            case Field.CORRELATION_ID:
                rows = self._known.correlation
            case Field.CAUSATION_ID:
                rows = self._known.causation
            case Field.TRACE:
                rows = joined(self._known.correlation, TRACE_PARTS)
            case Field.SPAN:
                rows = joined(self._known.event, SPAN_PARTS)
            case Field.TIMESTAMP:
                rows = timestamps(self._events.time)
            case Field.TENANT:
                assert self._tenancy is not None
                rows = self._tenancy.rows(self._keys, self._events.began)
            case Field.MICROS:
                rows = padded(self._events.time * 2, field.width)
            case Field.SECONDS:
                rows = padded(self._events.time // SECOND, field.width)
            case Field.NANOS:
                rows = padded(self._events.time % SECOND * 1000, field.width)
            case Field.SIZE | Field.LONG_SIZE:
                rows = padded(self._lengths - field.width, field.width)
        return rows

    @cached_property
    def _known(self) -> Identifiers:
        return identifiers(self._events, self._keys)
