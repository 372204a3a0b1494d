"""A run of ordered events as text in one piece of memory, and the forms it is handed out in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np

from eventbus.chains.randomness import Integers
from eventbus.chains.table import COLUMNS as TABLE_COLUMNS
from eventbus.chains.table import EventTable
from eventbus.chains.writing.cutter import Cutter
from eventbus.chains.writing.text import Memory
from eventbus.record import ProducerRecord

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS = TABLE_COLUMNS + 2
"""Of a block: those of its table, and where each event starts and where it ends."""
SLICE = 1024
"""Events cut out of the memory at a time: what fits the CPU's cache is cut twice as fast."""


class Block:
    """Events by time, one behind the other in the form of their layout: JSON is a line each, with its newline.

    The memory is used again for the next block: consume one before asking for another, or copy.
    """

    __slots__ = ("_cutter", "_ends", "_memory", "_starts", "table")

    def __init__(self, table: EventTable, memory: Memory, starts: Integers, ends: Integers, cutter: Cutter) -> None:
        #: The same events as integers.
        self.table = table
        self._memory = memory
        self._starts = starts
        self._ends = ends
        self._cutter = cutter

    @classmethod
    def of(cls, columns: Integers, memory: Memory, cutter: Cutter) -> Block:
        """A block from its columns and the memory that has its text."""
        starts, ends = columns[TABLE_COLUMNS:]
        return cls(EventTable(columns[:TABLE_COLUMNS]), memory, starts, ends, cutter)

    @property
    def columns(self) -> Integers:
        """All but the text, in one piece: shape (`COLUMNS`, events)."""
        return np.concatenate([self.table.columns, [self._starts, self._ends]])

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, part: slice) -> Block:
        """Some of the events, in the same memory."""
        return Block(self.table[part], self._memory, self._starts[part], self._ends[part], self._cutter)

    def take(self, rows: Integers) -> Block:
        """Some of the events, in the same memory: all but `buffer` shows only them.

        Args:
            rows: ascending.
        """
        return Block(self.table.take(rows), self._memory, self._starts.take(rows), self._ends.take(rows), self._cutter)

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

    @property
    def due(self) -> Integers:
        """When the lines come, microseconds since the Unix epoch: at the events' times."""
        return self.table.time

    @property
    def kinds(self) -> Integers:
        """Indices of the lines' emitters in the plan."""
        return self.table.kind

    def spans(self) -> tuple[Integers, Integers]:
        """Where in `buffer` each event begins, and where it ends; a line: behind its newline."""
        origin = self._starts[:1]
        return self._starts - origin, self._ends - origin

    def lines(self) -> Iterator[list[bytes]]:
        """Lists of events without their newlines: the values of their records."""
        for part in self._slices():
            text, starts, ends = part._copy()
            yield self._cutter.values(text, starts, ends, part.table.kind)

    def records(self, topics: Sequence[str]) -> Iterator[list[ProducerRecord]]:
        """Lists of Kafka records.

        Args:
            topics: by emitter.
        """
        for part in self._slices():
            text, starts, ends = part._copy()
            kind = part.table.kind
            values = self._cutter.values(text, starts, ends, kind)
            fields = zip(
                map(topics.__getitem__, kind.tolist()),
                self._cutter.keys(self._memory, part._starts, kind),
                values,
                (part.table.time // 1000).tolist(),
                self._cutter.headers(text, starts, kind, values),
                strict=True,
            )
            yield list(map(_record, fields))

    def _slices(self) -> Iterator[Block]:
        for first in range(0, len(self), SLICE):
            yield self[first : first + SLICE]

    def _copy(self) -> tuple[bytes, Integers, Integers]:
        """The text, and where in it each event begins and ends."""
        return bytes(self.buffer), *self.spans()


_record = partial(tuple.__new__, ProducerRecord)
"""A record from a tuple of its fields: half the time of a call with arguments."""
