"""A run of ordered events as text in one piece of memory, and the forms it is handed out in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import chain as flatten
from typing import Any, NamedTuple, overload

import numpy as np
import orjson

from eventbus.chains.randomness import Integers
from eventbus.chains.rendering.columns import UUID_ROW, UUID_WIDTH, Memory, windows
from eventbus.chains.table import COLUMNS as TABLE_COLUMNS
from eventbus.chains.table import EventTable
from eventbus.event import EPOCH, Event, Header, Headers
from eventbus.record import Columns, PackedColumns, ProducerRecord, columns_by_topic

# Slicing Kafka records out of the text of events: keys, values and headers are spans of it.


class Span(NamedTuple):
    """A range of bytes in an event's text."""

    at: int
    """From the start of the event."""
    width: int


class RecordShape(NamedTuple):
    """Where in the text of one emitter's events their records are."""

    key_at: int
    """Of the correlation id."""
    value_at: int = 0
    """What stands before it is for the headers only."""
    tail: int = 0
    """Bytes behind the value."""
    headers: tuple[Header, ...] | None = None
    """Those that all events of the emitter share; None: its records have those of the event in their value."""
    varying: tuple[tuple[str, Span], ...] = ()
    """Those of each event, behind the shared ones."""


class SlicedHeaders(Sequence[Header]):
    """The headers of one record, sliced when they are read.

    Args:
        text: of the event, at least as far as the headers reach.
    """

    __slots__ = ("_shape", "_text")

    def __init__(self, shape: RecordShape, text: bytes) -> None:
        self._shape = shape
        self._text = text

    def _cut(self) -> tuple[Header, ...]:
        text, shared = self._text, self._shape.headers or ()
        return shared + tuple([(name, text[at : at + width]) for name, (at, width) in self._shape.varying])

    def __len__(self) -> int:
        return len(self._shape.headers or ()) + len(self._shape.varying)

    def __iter__(self) -> Iterator[Header]:
        return iter(self._cut())

    @overload
    def __getitem__(self, index: int) -> Header: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Header]: ...
    def __getitem__(self, index: int | slice) -> Header | Sequence[Header]:
        return self._cut()[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._cut() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._cut())

    def __repr__(self) -> str:
        return repr(self._cut())


class RecordSlicer:
    """Slices keys, values and headers out of the events of several emitters in one format.

    Args:
        shapes: by emitter.
    """

    def __init__(self, shapes: Sequence[RecordShape]) -> None:
        self._shapes = shapes
        self.key_at = np.array([shape.key_at for shape in shapes])
        self._value_at = np.array([shape.value_at for shape in shapes])
        self._tail = shapes[0].tail
        #: Whether records have no headers of their own.
        self.has_headers_in_values = shapes[0].headers is None

    def keys(self, memory: Memory, starts: Integers, kind: Integers) -> list[bytes]:
        """Of events, by their starts in a memory and their emitters."""
        at = starts + self.key_at.take(kind)
        keys: list[bytes] = windows(memory, UUID_ROW)[at].tolist()  # a sixth of the time of a slice each
        return keys

    def value_spans(self, starts: Integers, ends: Integers, kind: Integers) -> tuple[Integers, Integers]:
        """Where the values of events begin and end, by the places of the events."""
        return starts + self._value_at.take(kind), ends - self._tail

    def headers(self, text: bytes, starts: Integers, kind: Integers, values: list[bytes]) -> Iterable[Headers | None]:
        """Of the same events.

        Args:
            values: theirs; where these are the whole text, headers are cut out of them.
        """
        if self.has_headers_in_values:
            return [None] * len(values)
        shapes = map(self._shapes.__getitem__, kind.tolist())
        if not self._value_at.any():
            return map(SlicedHeaders, shapes, values)
        before = zip(starts.tolist(), (starts + self._value_at.take(kind)).tolist(), strict=True)
        return map(SlicedHeaders, shapes, [text[start:value] for start, value in before])


# Decoding lines that this package wrote, without the validation that foreign bytes need.


TOGETHER = 128
"""Events decoded in one call; many more would not stay in the CPU's cache until they are consumed."""


class MutableEvent:
    """An `Event` that may still be written to.

    The frozen one's constructor costs a call of `object.__setattr__` for each field; filling this one and changing
    its class, which has the same slots, costs a third of that.
    """

    __slots__ = Event.__slots__

    def __init__(  # noqa: PLR0917 - passing names would double the time
        self,
        event_id: str,
        event_type: str,
        timestamp: datetime,
        correlation_id: str,
        causation_id: str | None,
        tenant_id: str,
        namespace: str,
        source: str,
        schema_version: str,
        payload: dict[str, Any],
    ) -> None:
        self.event_id = event_id
        self.event_type = event_type
        self.timestamp = timestamp
        self.correlation_id = correlation_id
        self.causation_id = causation_id
        self.tenant_id = tenant_id
        self.namespace = namespace
        self.source = source
        self.schema_version = schema_version
        self.payload = payload


def decoded(lines: list[bytes]) -> Iterator[Event]:
    """The events of lines whose fields are in the documented order.

    Args:
        lines: JSON objects, as this package writes them.
    """
    for first in range(0, len(lines), TOGETHER):
        for fields in orjson.loads(b"[%b]" % b",".join(lines[first : first + TOGETHER])):
            fields["timestamp"] = datetime.fromisoformat(fields["timestamp"])
            draft = MutableEvent(*fields.values())
            draft.__class__ = Event  # type: ignore[assignment]  # the same slots
            yield draft  # type: ignore[misc]


COLUMNS = TABLE_COLUMNS + 2
"""Of a block: those of its table, and where each event starts and where it ends."""
SLICE = 256
"""Events sliced at a time: with their texts, keys and values they stay in the CPU's second-level cache."""


def _nothing_to_do() -> None:
    pass


class Block:
    """Events by time in one piece of memory, in their format: JSON events are lines, each with its newline.

    The memory is used again for the next block: consume one before asking for another, or copy, or `keep` it.

    Args:
        keep: makes the next block use other memory.
    """

    __slots__ = ("_ends", "_keep", "_memory", "_slicer", "_starts", "table")

    def __init__(
        self,
        table: EventTable,
        memory: Memory,
        starts: Integers,
        ends: Integers,
        *,
        slicer: RecordSlicer,
        keep: Callable[[], None],
    ) -> None:
        #: The same events as integers.
        self.table = table
        self._memory = memory
        self._starts = starts
        self._ends = ends
        self._slicer = slicer
        self._keep = keep

    @classmethod
    def of(cls, columns: Integers, memory: Memory, slicer: RecordSlicer) -> Block:
        """A block from its columns and the memory that has its text, which the next block does not use."""
        starts, ends = columns[TABLE_COLUMNS:]
        return cls(EventTable(columns[:TABLE_COLUMNS]), memory, starts, ends, slicer=slicer, keep=_nothing_to_do)

    @property
    def columns(self) -> Integers:
        """All but the text, in one piece: shape (`COLUMNS`, events)."""
        return np.concatenate([self.table.columns, [self._starts, self._ends]])

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, part: slice) -> Block:
        """Some of the events, in the same memory."""
        return self._with(self.table[part], self._memory, self._starts[part], self._ends[part])

    def take(self, rows: Integers) -> Block:
        """Some of the events, in the same memory: all but `buffer` shows only them.

        Args:
            rows: ascending.
        """
        return self._with(self.table.take(rows), self._memory, self._starts.take(rows), self._ends.take(rows))

    def packed(self, rows: Integers) -> Block:
        """Some of the events, copied into memory of their own, in which there is nothing between them.

        Args:
            rows: ascending.
        """
        text, spans = self.buffer, (column.take(rows) for column in self.spans())
        pieces = [text[start:end] for start, end in zip(*(column.tolist() for column in spans), strict=True)]
        ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
        starts = np.append(0, ends[:-1])
        memory = np.frombuffer(b"".join(pieces), np.uint8)
        return self._with(self.table.take(rows), memory, starts, ends)

    @property
    def chains(self) -> int:
        """How many chains begin here."""
        return int(np.count_nonzero(self.table.step == 0))

    @property
    def last(self) -> datetime:
        """Time of the last event."""
        return EPOCH + timedelta(microseconds=int(self.table.time[-1]))

    @property
    def buffer(self) -> memoryview:
        """All events."""
        if not len(self):
            return memoryview(b"")
        return self._memory.data[int(self._starts[0]) : int(self._ends[-1])]

    def keep(self) -> memoryview:
        """`buffer`, which stays valid until the block after the next one is asked for."""
        self._keep()
        return self.buffer

    def _with(self, table: EventTable, memory: Memory, starts: Integers, ends: Integers) -> Block:
        return Block(table, memory, starts, ends, slicer=self._slicer, keep=self._keep)

    @property
    def due(self) -> Integers:
        """When the lines come, microseconds since the Unix epoch: at the events' times."""
        return self.table.time

    @property
    def emitters(self) -> Integers:
        """Indices of the lines' emitters in the plan."""
        return self.table.emitter

    def spans(self) -> tuple[Integers, Integers]:
        """Where in `buffer` each event begins, and where it ends; a line: behind its newline."""
        origin = self._starts[:1]
        return self._starts - origin, self._ends - origin

    def lines(self) -> Iterator[list[bytes]]:
        """Lists of events without their newlines: the values of their records."""
        return (values for _, values, _ in self._values())

    def records(self, topics: Sequence[str]) -> Iterator[list[ProducerRecord]]:
        """Lists of Kafka records.

        Args:
            topics: by emitter.
        """
        kind = self.table.emitter
        names = list(map(topics.__getitem__, kind.tolist()))
        keys = self._slicer.keys(self._memory, self._starts, kind)
        times = (self.table.time // 1000).tolist()
        for part, values, headers in self._values():
            yield list(map(_record, zip(names[part], keys[part], values, times[part], headers, strict=True)))

    def columns_by_topic(self, topics: Sequence[str]) -> Mapping[str, Columns]:
        """The same records as columns; their text is in this memory, which may be used again when they are published.

        Args:
            topics: by emitter.
        """
        if not self._slicer.has_headers_in_values:
            return columns_by_topic(flatten.from_iterable(self.records(topics)))
        names = list(dict.fromkeys(topics))
        numbers = np.array([names.index(topic) for topic in topics], np.uint16).take(self.table.emitter)
        parts = np.split(numbers.argsort(kind="stable"), np.bincount(numbers, minlength=len(names)).cumsum()[:-1])
        return {name: self._packed(rows) for name, rows in zip(names, parts, strict=True) if rows.size}

    def _packed(self, rows: Integers) -> PackedColumns:
        kind, starts, ends = (column.take(rows) for column in (self.table.emitter, self._starts, self._ends))
        spans = self._slicer.value_spans(starts, ends, kind)
        places = np.array([starts + self._slicer.key_at.take(kind), *spans, self.table.time.take(rows) // 1000])
        return PackedColumns(self._memory.data, places, UUID_WIDTH)

    def _values(self) -> Iterator[tuple[slice, list[bytes], Iterable[Headers | None]]]:
        """The values and headers of the records in order, and of which of the events they are."""
        kind, firsts = self.table.emitter, self._starts[::SLICE]
        starts = self._starts - firsts.repeat(SLICE)[: len(self)]
        begins, ends = (
            column.tolist() for column in self._slicer.value_spans(starts, starts + self._ends - self._starts, kind)
        )
        for first in range(0, len(self), SLICE):
            part = slice(first, first + SLICE)
            text = bytes(self[part].buffer)
            values = [text[begin:end] for begin, end in zip(begins[part], ends[part], strict=True)]
            yield part, values, self._slicer.headers(text, starts[part], kind[part], values)


_record = partial(tuple.__new__, ProducerRecord)
"""A record from a tuple of its fields: half the time of a call with arguments."""
