"""The rows that one transaction writes, and the records they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from eventbus.errors import InvalidEvent
from eventbus.processors.ingest.rows import EVENT_ID, RowEncoder
from eventbus.processors.store.dead_letters import DeadLetter
from eventbus.record import TopicPartition

Record = tuple[int, bytes | None]
"""Offset and value."""


@dataclass(slots=True)
class PartitionProgress:
    """Counts of the records that a batch takes from one partition."""

    next_offset: int
    """The offset after the last record."""
    read: int = 0
    duplicates: int = 0
    dead: int = 0

    @property
    def new(self) -> int:
        """Rows of the batch, of which some may be stored already."""
        return self.read - self.duplicates - self.dead


class RowRange(NamedTuple):
    """Consecutive rows of a batch, from one list of records."""

    partition: TopicPartition
    records: list[Record]
    end: int
    """Index of the row after the last one."""


@dataclass(slots=True)
class RowBatch:
    """What one transaction writes."""

    rows: list[bytes] = field(default_factory=list)
    """Rows of a binary COPY of the columns `COLUMNS`."""
    dead_letters: list[DeadLetter] = field(default_factory=list)
    progress: dict[TopicPartition, PartitionProgress] = field(default_factory=dict)
    ranges: list[RowRange] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Number of records, duplicates and dead letters included."""
        return sum(progress.read for progress in self.progress.values())

    def dead_letter(self, reasons: Mapping[int, str]) -> None:
        """Turn rows that the database rejected into dead letters.

        Args:
            reasons: error messages by row index.
        """
        rows: list[bytes] = []
        ranges: list[RowRange] = []
        begin = 0
        for rows_range in self.ranges:
            for index in range(begin, rows_range.end):
                if index in reasons:
                    offset, value = _record_of(rows_range.records, self.rows[index])
                    self.dead_letters.append(DeadLetter(rows_range.partition, offset, value, reasons[index]))
                    self.progress[rows_range.partition].dead += 1
                else:
                    rows.append(self.rows[index])
            begin = rows_range.end
            ranges.append(rows_range._replace(end=len(rows)))
        self.rows, self.ranges = rows, ranges

    def event_ids(self) -> Iterator[tuple[TopicPartition, bytes]]:
        """The partition and the event id of each row."""
        begin = 0
        for rows_range in self.ranges:
            for row in self.rows[begin : rows_range.end]:
                yield rows_range.partition, row[EVENT_ID]
            begin = rows_range.end


def _record_of(records: list[Record], row: bytes) -> Record:
    encoder = RowEncoder()
    return next(record for record in records if _encodes_to(encoder, record[1], row))


def _encodes_to(encoder: RowEncoder, value: bytes | None, row: bytes) -> bool:
    try:
        return encoder.encode(value) == row
    except InvalidEvent:
        return False
