"""The log of one partition: record batches in offset order, appended at the end and trimmed at the start."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from sys import maxsize

from eventbus.broker.batch import RecordBatch
from eventbus.errors import OffsetOutOfRange
from eventbus.record import Columns, PackedColumns, RecordColumns

BATCH_BYTES = 16 * 1024
"""Single records are collected into batches of about this size, as Kafka's producer does."""


class PartitionLog:
    """Closed batches of consecutive offsets, followed by an open tail.

    Trimming drops whole batches only, as Kafka deletes whole segments.
    """

    def __init__(self, batch_bytes: int = BATCH_BYTES) -> None:
        """
        Args:
            batch_bytes: size at which the tail is closed into a batch, and so the granularity of trimming.
        """
        self._batch_bytes = batch_bytes
        self._batches: list[RecordBatch] = []
        self._bases: list[int] = []
        self._tail: RecordColumns | None = None
        self._tail_base = 0
        self._tail_bytes = 0
        self.size_bytes = 0
        self.log_start_offset = 0
        """Offset of the oldest record kept (Kafka's log start offset)."""
        self.log_end_offset = 0
        """Offset of the next record (Kafka's log end offset and, with one replica, high watermark)."""

    def __len__(self) -> int:
        return self.log_end_offset - self.log_start_offset

    def __repr__(self) -> str:
        return f"<PartitionLog {self.log_start_offset}..{self.log_end_offset}, {self.size_bytes} bytes>"

    def append(self, rows: Columns, size_bytes: int | None = None) -> int:
        """Take ownership of rows; returns the offset of the first.

        Args:
            size_bytes: `rows.size_bytes()` where the caller knows it.
        """
        size = rows.size_bytes() if size_bytes is None else size_bytes
        base = self.log_end_offset
        if isinstance(rows, PackedColumns) and size >= self._batch_bytes:
            self._close_tail()
            self._add(RecordBatch(base, rows, size))
        elif self._tail is None:
            self._tail, self._tail_base, self._tail_bytes = rows.unpacked(), base, size
        else:
            self._tail.extend(rows.unpacked())
            self._tail_bytes += size
        self.log_end_offset += len(rows)
        self.size_bytes += size
        if self._tail is not None and self._tail_bytes >= self._batch_bytes:
            self._close_tail()
        return base

    def append_encoded(self, buffer: bytes | bytearray | memoryview) -> int:
        """Append an encoded record batch; returns the offset of its first record.

        Raises:
            CorruptBatch: not one whole, valid batch; nothing was appended.
        """
        batch = RecordBatch.from_encoded(self.log_end_offset, buffer)
        self._close_tail()
        self._add(batch)
        self.size_bytes += batch.size_bytes
        self.log_end_offset = batch.next_offset
        return batch.base_offset

    def read(self, offset: int, *, max_records: int = maxsize, max_bytes: int = maxsize) -> list[RecordBatch]:
        """The records from `offset` on: at most `max_records`, and no further batch once `max_bytes` are reached.

        At least one record, except at the end of the log, where the list is empty.

        Raises:
            OffsetOutOfRange: `offset` is before the start or after the end of the log.
        """
        if not self.log_start_offset <= offset <= self.log_end_offset:
            raise OffsetOutOfRange(
                f"expected an offset from {self.log_start_offset} to {self.log_end_offset}, got {offset}"
            )
        stop = min(self.log_end_offset, offset + max(max_records, 1))
        batches: list[RecordBatch] = []
        size = 0
        for batch in self._from(offset):
            if batch.base_offset >= stop or (batches and size >= max_bytes):
                break
            batches.append(batch.slice(offset, stop))
            size += batches[-1].size_bytes
        return batches

    def offset_for_timestamp(self, timestamp: int) -> int | None:
        """Offset of the first record with at least this timestamp (ms since the Unix epoch); None if there is none."""
        for batch in self._from(self.log_start_offset):
            if batch.max_timestamp >= timestamp:
                rows = (row for row, value in enumerate(batch.timestamps) if value >= timestamp)
                return batch.base_offset + next(rows)
        return None

    def trim_to_bytes(self, limit: int, *, keep_from: int = maxsize) -> int:
        """Drop the oldest batches until at most `limit` bytes are left, or the next batch ends after `keep_from`.

        Returns:
            the number of records dropped, as the other `trim_to_…` methods do.
        """
        return self._trim(lambda batch: self.size_bytes > limit and batch.next_offset <= keep_from)

    def trim_to_time(self, timestamp: int) -> int:
        """Drop the oldest batches as long as all their records are older than this time (ms since the Unix epoch)."""
        return self._trim(lambda batch: batch.max_timestamp < timestamp)

    def trim_to_offset(self, offset: int) -> int:
        """Drop the oldest batches that end at or before this offset."""
        return self._trim(lambda batch: batch.next_offset <= offset)

    def _trim(self, is_expired: Callable[[RecordBatch], bool]) -> int:
        before = self.log_start_offset
        count = 0
        while True:
            if count == len(self._batches):
                self._close_tail()
            if count == len(self._batches) or not is_expired(self._batches[count]):
                break
            self.size_bytes -= self._batches[count].size_bytes
            count += 1
        if count:
            self.log_start_offset = self._batches[count - 1].next_offset
            del self._batches[:count], self._bases[:count]
        return self.log_start_offset - before

    def _close_tail(self) -> None:
        if self._tail is not None:
            self._add(RecordBatch(self._tail_base, self._tail, self._tail_bytes))
            self._tail = None

    def _add(self, batch: RecordBatch) -> None:
        self._batches.append(batch)
        self._bases.append(batch.base_offset)

    def _from(self, offset: int) -> Iterator[RecordBatch]:
        """The batches from the one that contains `offset` on; the tail as a copy of its present rows."""
        for index in range(bisect_right(self._bases, offset) - 1, len(self._batches)):
            if index >= 0 and self._batches[index].next_offset > offset:
                yield self._batches[index]
        if self._tail is not None and offset < self.log_end_offset:
            row = max(offset - self._tail_base, 0)
            yield RecordBatch(self._tail_base + row, self._tail.slice(row, len(self._tail)))
