"""Records into batches: what cannot become a row becomes a dead letter, and near duplicates are dropped."""

from __future__ import annotations

from eventbus.errors import InvalidEvent
from eventbus.processors.ingest.batch import Batch, DeadLetter, Record, Run, Span
from eventbus.processors.ingest.rows import EVENT_ID, RowMaker
from eventbus.record import TopicPartition


class Recent:
    """The ids of the last events: a duplicate that comes soon never travels to the database.

    They are all stored, or in a batch that is written before the one being made, so it must be forgotten whenever
    unwritten batches are dropped. Two generations of `size` ids bound its memory.
    """

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._new: set[bytes] = set()
        self._old: set[bytes] = set()

    def seen(self, event_id: bytes) -> bool:
        """Whether the id was seen; from now on it is."""
        if event_id in self._new or event_id in self._old:
            return True
        if len(self._new) >= self._size:
            self._old, self._new = self._new, set()
        self._new.add(event_id)
        return False


class Decoder:
    """Adds records to batches."""

    def __init__(self, recent: int = 100_000) -> None:
        self._seen = Recent(recent).seen
        self._row = RowMaker().row

    def add(self, batch: Batch, partition: TopicPartition, records: list[Record], next_offset: int) -> None:
        """Decode records of a partition, in offset order, into a batch.

        Args:
            next_offset: the offset after them.
        """
        rows, seen, row_of = batch.rows, self._seen, self._row
        before, dead = len(rows), len(batch.dead)
        for offset, value in records:
            try:
                row = row_of(value)
            except InvalidEvent as error:
                batch.dead.append(DeadLetter(partition, offset, value, _reason(error)))
            else:
                if not seen(row[EVENT_ID]):
                    rows.append(row)
        dead = len(batch.dead) - dead
        span = batch.spans.setdefault(partition, Span(next_offset))
        span.next = next_offset
        span.read += len(records)
        span.dead += dead
        span.duplicates += len(records) - (len(rows) - before) - dead
        batch.runs.append(Run(partition, records, len(rows)))


def _reason(error: InvalidEvent) -> str:
    return str(error).replace("\0", "\\0")[:500]  # it may quote what came, which PostgreSQL could not store
