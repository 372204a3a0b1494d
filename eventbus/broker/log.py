"""One partition: records in the order of their offsets, appended at the end and trimmed at the start."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from sys import maxsize

from eventbus.broker.batch import Columns, RecordBatch
from eventbus.errors import OffsetOutOfRange

BATCH_BYTES = 16 * 1024
"""Records appended one by one are gathered into batches of about this size, as Kafka's producer does."""


class PartitionLog:
    """Batches of consecutive offsets, and behind them a tail that still grows.

    Whole batches are trimmed, never parts of one, as Kafka deletes whole segments.
    """

    def __init__(self, batch_bytes: int = BATCH_BYTES) -> None:
        """
        Args:
            batch_bytes: size at which the tail becomes a batch; also the grain of trimming.
        """
        self._batch_bytes = batch_bytes
        self._batches: list[RecordBatch] = []
        self._bases: list[int] = []
        self._tail: Columns | None = None
        self._tail_base = 0
        self._tail_bytes = 0
        self.size_bytes = 0
        self.start_offset = 0
        """Offset of the oldest record kept."""
        self.end_offset = 0
        """Offset the next record will get: Kafka's log end and, with one replica, high watermark."""

    def __len__(self) -> int:
        return self.end_offset - self.start_offset

    def __repr__(self) -> str:
        return f"<PartitionLog {self.start_offset}..{self.end_offset}, {self.size_bytes} bytes>"

    def append(self, rows: Columns, size_bytes: int | None = None) -> int:
        """Take over rows; returns the offset of the first.

        Args:
            size_bytes: `rows.size_bytes()`, when the caller knows it already.
        """
        size = rows.size_bytes() if size_bytes is None else size_bytes
        base = self.end_offset
        if self._tail is None:
            self._tail, self._tail_base, self._tail_bytes = rows, base, size
        else:
            self._tail.extend(rows)
            self._tail_bytes += size
        self.end_offset += len(rows)
        self.size_bytes += size
        if self._tail_bytes >= self._batch_bytes:
            self._close_tail()
        return base

    def append_encoded(self, buffer: bytes | bytearray | memoryview) -> int:
        """Take an encoded record batch; returns the offset of its first record.

        Raises:
            CorruptBatch: it is not one whole, unspoilt batch; nothing was appended.
        """
        batch = RecordBatch.from_encoded(self.end_offset, buffer)
        self._close_tail()
        self._add(batch)
        self.size_bytes += batch.size_bytes
        self.end_offset = batch.next_offset
        return batch.base_offset

    def read(self, offset: int, *, max_records: int = maxsize, max_bytes: int = maxsize) -> list[RecordBatch]:
        """The records from `offset` on; an empty list at the end.

        At most `max_records`, and no batch after `max_bytes` are reached, but always at least one record.

        Raises:
            OffsetOutOfRange: before the start or after the end.
        """
        if not self.start_offset <= offset <= self.end_offset:
            raise OffsetOutOfRange(f"expected an offset from {self.start_offset} to {self.end_offset}, got {offset}")
        stop = min(self.end_offset, offset + max(max_records, 1))
        found: list[RecordBatch] = []
        size = 0
        for batch in self._from(offset):
            if batch.base_offset >= stop or (found and size >= max_bytes):
                break
            found.append(batch.cut(offset, stop))
            size += found[-1].size_bytes
        return found

    def offset_for_timestamp(self, timestamp: int) -> int | None:
        """The first offset whose record is of at least this time (ms since the epoch); None when there is none."""
        for batch in self._from(self.start_offset):
            if batch.max_timestamp >= timestamp:
                late = (i for i, when in enumerate(batch.timestamps) if when >= timestamp)
                return batch.base_offset + next(late)
        return None

    def trim_to_bytes(self, limit: int, *, keep_from: int = maxsize) -> int:
        """Drop the oldest batches until at most `limit` bytes are left or a batch reaches `keep_from`.

        Returns:
            how many records were dropped; so for all three ways to trim.
        """
        return self._trim(lambda batch: self.size_bytes > limit and batch.next_offset <= keep_from)

    def trim_to_time(self, timestamp: int) -> int:
        """Drop the oldest batches as long as all their records are before this time (ms since the epoch)."""
        return self._trim(lambda batch: batch.max_timestamp < timestamp)

    def trim_to_offset(self, offset: int) -> int:
        """Drop the oldest batches that end at or before this offset."""
        return self._trim(lambda batch: batch.next_offset <= offset)

    def _trim(self, may_go: Callable[[RecordBatch], bool]) -> int:
        before = self.start_offset
        gone = 0
        while True:
            if gone == len(self._batches):
                self._close_tail()
            if gone == len(self._batches) or not may_go(self._batches[gone]):
                break
            self.size_bytes -= self._batches[gone].size_bytes
            gone += 1
        if gone:
            self.start_offset = self._batches[gone - 1].next_offset
            del self._batches[:gone], self._bases[:gone]
        return self.start_offset - before

    def _close_tail(self) -> None:
        if self._tail is not None:
            self._add(RecordBatch(self._tail_base, self._tail, self._tail_bytes))
            self._tail = None

    def _add(self, batch: RecordBatch) -> None:
        self._batches.append(batch)
        self._bases.append(batch.base_offset)

    def _from(self, offset: int) -> Iterator[RecordBatch]:
        """The batches from the one that holds `offset` on; of the tail, a copy of what is there now."""
        for index in range(bisect_right(self._bases, offset) - 1, len(self._batches)):
            if index >= 0 and self._batches[index].next_offset > offset:
                yield self._batches[index]
        if self._tail is not None and offset < self.end_offset:
            row = max(offset - self._tail_base, 0)
            yield RecordBatch(self._tail_base + row, self._tail.cut(row, len(self._tail)))
