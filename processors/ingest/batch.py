"""What one transaction writes, and from which records it came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from eventbus.errors import InvalidEvent
from eventbus.processors.ingest.rows import EVENT_ID, RowMaker
from eventbus.record import TopicPartition

Record = tuple[int, bytes | None]
"""Offset and value."""


class DeadLetter(NamedTuple):
    """A record that cannot be stored as an event."""

    partition: TopicPartition
    offset: int
    value: bytes | None
    error: str


@dataclass(slots=True)
class Span:
    """What a batch takes from one partition."""

    next: int
    """The offset after the last one read."""
    read: int = 0
    duplicates: int = 0
    dead: int = 0

    @property
    def new(self) -> int:
        """Rows, unless the database knows some of them already."""
        return self.read - self.duplicates - self.dead


class Run(NamedTuple):
    """Rows of a batch that came from one list of records."""

    partition: TopicPartition
    records: list[Record]
    end: int
    """The number of rows in the batch up to here."""


@dataclass(slots=True)
class Batch:
    """What one transaction writes."""

    rows: list[bytes] = field(default_factory=list)
    """Of a binary COPY into `COLUMNS`."""
    dead: list[DeadLetter] = field(default_factory=list)
    spans: dict[TopicPartition, Span] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Records in it, of whatever kind."""
        return sum(span.read for span in self.spans.values())

    def bury(self, reasons: Mapping[int, str]) -> None:
        """Turn rows that the database refused into dead letters.

        Args:
            reasons: why, by the number of the row.
        """
        kept: list[bytes] = []
        runs: list[Run] = []
        begin = 0
        for run in self.runs:
            for number in range(begin, run.end):
                if number in reasons:
                    offset, value = _origin(run.records, self.rows[number])
                    self.dead.append(DeadLetter(run.partition, offset, value, reasons[number]))
                    self.spans[run.partition].dead += 1
                else:
                    kept.append(self.rows[number])
            begin = run.end
            runs.append(run._replace(end=len(kept)))
        self.rows, self.runs = kept, runs

    def owners(self) -> Iterator[tuple[TopicPartition, bytes]]:
        """The partition and the event id of each row."""
        begin = 0
        for run in self.runs:
            for row in self.rows[begin : run.end]:
                yield run.partition, row[EVENT_ID]
            begin = run.end


def _origin(records: list[Record], row: bytes) -> Record:
    maker = RowMaker()
    return next(record for record in records if _is_row(maker, record[1], row))


def _is_row(maker: RowMaker, value: bytes | None, row: bytes) -> bool:
    try:
        return maker.row(value) == row
    except InvalidEvent:
        return False
