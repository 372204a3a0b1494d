"""Decodes records into batches: valid events become rows, other records dead letters, duplicates are dropped."""

from __future__ import annotations

from eventbus.errors import InvalidEvent
from eventbus.processors.ingest.batch import PartitionProgress, Record, RowBatch, RowRange
from eventbus.processors.ingest.dedup import CACHE_SIZE, DedupCache
from eventbus.processors.ingest.rows import EVENT_ID, RowEncoder
from eventbus.processors.store.dead_letters import DeadLetter
from eventbus.record import TopicPartition


class Decoder:
    """Adds records to batches.

    Args:
        cache_size: of the `DedupCache`.
    """

    def __init__(self, cache_size: int = CACHE_SIZE) -> None:
        self._is_duplicate = DedupCache(cache_size).check_and_add
        self._encode = RowEncoder().encode

    def add(self, batch: RowBatch, partition: TopicPartition, records: list[Record], next_offset: int) -> None:
        """Decode records of a partition, in offset order, into a batch.

        Args:
            next_offset: the offset after the records.
        """
        rows, is_duplicate, encode = batch.rows, self._is_duplicate, self._encode
        rows_before, dead_before = len(rows), len(batch.dead_letters)
        for offset, value in records:
            try:
                row = encode(value)
            except InvalidEvent as error:
                batch.dead_letters.append(DeadLetter(partition, offset, value, _reason(error)))
            else:
                if not is_duplicate(row[EVENT_ID]):
                    rows.append(row)
        dead = len(batch.dead_letters) - dead_before
        progress = batch.progress.setdefault(partition, PartitionProgress(next_offset))
        progress.next_offset = next_offset
        progress.read += len(records)
        progress.dead += dead
        progress.duplicates += len(records) - (len(rows) - rows_before) - dead
        batch.ranges.append(RowRange(partition, records, len(rows)))


def _reason(error: InvalidEvent) -> str:
    return str(error).replace("\0", "\\0")[:500]  # the message may quote the record; PostgreSQL rejects U+0000
