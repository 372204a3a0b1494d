"""The texts of fixed width that an event's time and its place in the chain decide: ids, times, traces."""

from __future__ import annotations

from enum import Enum
from functools import cached_property

import numpy as np

from chains.identity import Identifiers, identifiers
from chains.randomness import Words
from chains.table import EventTable
from chains.tenants import TENANT_WIDTH, Tenancy
from chains.text import TIMESTAMP_WIDTH, UUID_FIELDS, UUID_WIDTH, Rows, joined, timestamps
from chains.varints import padded

SPAN_PARTS = ("at19", "at24", "at28", "at32")
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

    @property
    def width(self) -> int:
        return self.value[1]


class FieldTexts:
    """The fields of ordered events, each worked out when it is first asked for.

    Args:
        keys: the random key of each event's chain.
        tenancy: where there are several tenants.
    """

    def __init__(self, events: EventTable, keys: Words, tenancy: Tenancy | None = None) -> None:
        self._events = events
        self._keys = keys
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
                rows = padded(self._events.time.view(np.uint64) << np.uint64(1), field.width)
        return rows

    @cached_property
    def _known(self) -> Identifiers:
        return identifiers(self._events, self._keys)
