"""A run of ordered events as JSON text in one piece of memory, and the forms it is handed out in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import repeat

import numpy as np

from chains.randomness import Integers
from chains.table import COLUMNS as TABLE_COLUMNS
from chains.table import EventTable
from chains.text import UUID_WIDTH, Memory
from eventbus.record import ProducerRecord

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS = TABLE_COLUMNS + 3
"""Of a block: those of its table, and where each event starts, where it ends, and where its key is."""
SLICE = 1024
"""Events cut out of the memory at a time: what fits the CPU's cache is cut twice as fast."""


class Block:
    """Events by time, each a line of JSON that ends in a newline.

    The memory is used again for the next block: consume one before asking for another, or copy.
    """

    __slots__ = ("_ends", "_keys", "_memory", "_starts", "table")

    def __init__(self, table: EventTable, memory: Memory, starts: Integers, ends: Integers, keys: Integers) -> None:
        #: The same events as integers.
        self.table = table
        self._memory = memory
        self._starts = starts
        self._ends = ends
        self._keys = keys

    @classmethod
    def of(cls, columns: Integers, memory: Memory) -> Block:
        """A block from its columns and the memory that has its text."""
        return cls(EventTable(columns[:TABLE_COLUMNS]), memory, *columns[TABLE_COLUMNS:])

    @property
    def columns(self) -> Integers:
        """All but the text, in one piece: shape (9, events)."""
        return np.concatenate([self.table.columns, [self._starts, self._ends, self._keys]])

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, part: slice) -> Block:
        """Some of the events, in the same memory."""
        return Block(self.table[part], self._memory, self._starts[part], self._ends[part], self._keys[part])

    def take(self, rows: Integers) -> Block:
        """Some of the events, in the same memory: all but `buffer` shows only them.

        Args:
            rows: ascending.
        """
        columns = (self._starts.take(rows), self._ends.take(rows), self._keys.take(rows))
        return Block(self.table.take(rows), self._memory, *columns)

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
        """All lines."""
        if not len(self):
            return memoryview(b"")
        return self._memory.data[int(self._starts[0]) : int(self._ends[-1])]

    def spans(self) -> tuple[Integers, Integers]:
        """Where in `buffer` each line begins, and where it ends, behind its newline."""
        origin = self._starts[:1]
        return self._starts - origin, self._ends - origin

    def lines(self) -> Iterator[list[bytes]]:
        """Lists of events without their newlines."""
        for part in self._slices():
            text, origin = part._copy()
            starts, ends = (part._starts - origin).tolist(), (part._ends - (origin + 1)).tolist()
            yield [text[start:end] for start, end in zip(starts, ends, strict=True)]

    def records(self, topics: Sequence[str]) -> Iterator[list[ProducerRecord]]:
        """Lists of Kafka records.

        Args:
            topics: by emitter.
        """
        for part in self._slices():
            text, origin = part._copy()
            starts, ends = (part._starts - origin).tolist(), (part._ends - (origin + 1)).tolist()
            keys = (part._keys - origin).tolist()
            fields = zip(
                map(topics.__getitem__, part.table.kind.tolist()),
                [text[key : key + UUID_WIDTH] for key in keys],
                [text[start:end] for start, end in zip(starts, ends, strict=True)],
                (part.table.time // 1000).tolist(),
                repeat(None),
                strict=False,
            )
            yield list(map(_record, fields))

    def _slices(self) -> Iterator[Block]:
        for first in range(0, len(self), SLICE):
            yield self[first : first + SLICE]

    def _copy(self) -> tuple[bytes, int]:
        """The text, and where in the memory it began."""
        return bytes(self.buffer), int(self._starts[0])


_record = partial(tuple.__new__, ProducerRecord)
"""A record from a tuple of its fields: half the time of a call with arguments."""
