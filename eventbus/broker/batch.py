"""The unit of the log: a run of consecutive offsets, held as columns or as one encoded Kafka record batch (format v2).

Records published in process arrive as columns, those of a Kafka client arrive encoded. Each form is made from the other
at its first use and kept. aiokafka's record codec encodes and decodes; it is imported at its first use, since most
buses never need it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from itertools import repeat

from eventbus.errors import CorruptBatch
from eventbus.event import Headers, headers_of
from eventbus.record import Columns, ConsumerRecord, RecordColumns

HEADER = struct.Struct(">qiibIhiqqqhii")
"""Base offset, length, leader epoch, magic, CRC, attributes, last offset delta, base and max timestamp, producer id,
producer epoch, base sequence, count (KIP-98)."""

LENGTH_FROM = 12
"""The length field counts the bytes from here."""

CRC_FROM = 21
"""The checksum covers the bytes from here, so neither the base offset nor the leader epoch."""


class RecordBatch:
    """A run of consecutive offsets of one partition, immutable for its readers.

    Attributes:
        base_offset: offset of the first record.
        next_offset: offset after the last record.
        max_timestamp: latest record timestamp, in milliseconds since the Unix epoch.
        size_bytes: memory that it takes in the log.
    """

    __slots__ = ("_columns", "_encoded", "base_offset", "max_timestamp", "next_offset", "size_bytes")

    _columns: Columns | None
    _encoded: bytes | None

    def __init__(self, base_offset: int, columns: Columns, size_bytes: int | None = None) -> None:
        """Take ownership of columns of at least one row; `size_bytes` is their size where it is known."""
        self.base_offset = base_offset
        self.next_offset = base_offset + len(columns)
        self.max_timestamp = columns.max_timestamp
        self.size_bytes = columns.size_bytes() if size_bytes is None else size_bytes
        self._columns = columns
        self._encoded = None

    @classmethod
    def from_encoded(cls, base_offset: int, buffer: bytes | bytearray | memoryview) -> RecordBatch:
        """Copy a batch as a client encoded it, compressed or not, with `base_offset` as its offset.

        Raises:
            CorruptBatch: not one whole batch of format 2 with consecutive offsets and a valid checksum.
        """
        count, max_timestamp = _check(buffer)
        placed = bytearray(buffer)
        placed[0:8] = base_offset.to_bytes(8, "big")
        placed[12:16] = bytes(4)  # leader epoch 0
        batch = cls.__new__(cls)
        batch.base_offset = base_offset
        batch.next_offset = base_offset + count
        batch.max_timestamp = max_timestamp
        batch.size_bytes = len(placed)
        batch._columns = None
        batch._encoded = bytes(placed)
        return batch

    def __len__(self) -> int:
        return self.next_offset - self.base_offset

    def __repr__(self) -> str:
        form = "encoded" if self._columns is None else "columns"
        return f"<RecordBatch {self.base_offset}..{self.next_offset - 1}, {self.size_bytes} bytes, {form}>"

    @property
    def columns(self) -> RecordColumns:
        """Its records, shared by all readers: do not modify them."""
        if self._columns is None:
            assert self._encoded is not None
            self._columns = decode(self._encoded)
        columns = self._columns = self._columns.unpacked()
        return columns

    @property
    def keys(self) -> list[bytes | None]:
        return self.columns.keys

    @property
    def values(self) -> list[bytes | None]:
        return self.columns.values

    @property
    def timestamps(self) -> list[int]:
        """Milliseconds since the Unix epoch."""
        return self.columns.timestamps

    @property
    def headers(self) -> list[Headers]:
        """As produced, or else those of the event in the value."""
        columns = self.columns
        return [headers_of(v) if h is None else h for h, v in zip(columns.headers, columns.values, strict=True)]

    @property
    def encoded(self) -> bytes:
        """The batch in format 2 with its base offset; compressed only if it was appended so."""
        if self._encoded is None:
            self._encoded = encode(self.base_offset, self.columns)
        return self._encoded

    def slice(self, start: int, stop: int) -> RecordBatch:
        """The records from offset `start` up to, not including, `stop`: this batch itself when that is all of it."""
        if start <= self.base_offset and stop >= self.next_offset:
            return self
        start = max(start, self.base_offset)
        return RecordBatch(start, self.columns.slice(start - self.base_offset, stop - self.base_offset))

    def records(self, topic: str, partition: int) -> list[ConsumerRecord]:
        """The records as one tuple each."""
        rows = self.columns
        offsets = range(self.base_offset, self.next_offset)
        fields = zip(repeat(topic), repeat(partition), offsets, rows.timestamps, rows.keys, rows.values, rows.headers)
        return list(map(_new_record, repeat(ConsumerRecord), fields))


_new_record: Callable[[type[ConsumerRecord], Iterable[object]], ConsumerRecord] = tuple.__new__
"""`ConsumerRecord._make` without its Python frame: building these tuples is half the time of a read."""


def encode(base_offset: int, rows: RecordColumns) -> bytes:
    """The rows as a Kafka record batch: format 2, not compressed, without a producer id."""
    from aiokafka.record.default_records import DefaultRecordBatchBuilder  # noqa: PLC0415 - 100 ms, seldom needed

    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=2**31 - 1,
    )
    rows_in_order = zip(rows.timestamps, rows.keys, rows.values, rows.headers, strict=True)
    for delta, (timestamp, key, value, headers) in enumerate(rows_in_order):
        builder.append(delta, timestamp, key, value, list(headers_of(value) if headers is None else headers))
    buffer: bytearray = builder.build()
    buffer[0:8] = base_offset.to_bytes(8, "big")
    buffer[12:16] = bytes(4)
    return bytes(buffer)


def decode(buffer: bytes) -> RecordColumns:
    """The rows of an encoded batch."""
    from aiokafka.record.default_records import DefaultRecordBatch  # noqa: PLC0415 - 100 ms, seldom needed

    records = list(DefaultRecordBatch(buffer))
    return RecordColumns(
        [record.key for record in records],
        [record.value for record in records],
        [record.timestamp for record in records],
        [tuple((name, value or b"") for name, value in record.headers) for record in records],
    )


def _check(buffer: bytes | bytearray | memoryview) -> tuple[int, int]:
    """Record count and latest timestamp of an encoded batch.

    Raises:
        CorruptBatch: not one whole batch of format 2 with consecutive offsets and a valid checksum.
    """
    if len(buffer) < HEADER.size:
        raise CorruptBatch(f"expected a record batch of at least {HEADER.size} bytes, got {len(buffer)}")
    fields = HEADER.unpack_from(buffer)
    length, magic, crc, last_delta, max_timestamp, count = (fields[i] for i in (1, 3, 4, 6, 8, 12))
    if magic != 2:
        raise CorruptBatch(f"expected record batch format 2, got {magic}")
    if length != len(buffer) - LENGTH_FROM:
        raise CorruptBatch(f"expected one batch of {LENGTH_FROM + length} bytes, got {len(buffer)}")
    if count < 1 or count != last_delta + 1:
        raise CorruptBatch(f"expected consecutive offsets, got {count} records with last offset delta {last_delta}")
    from crc32c import crc32c  # noqa: PLC0415

    if crc != crc32c(memoryview(buffer)[CRC_FROM:]):
        raise CorruptBatch("the checksum does not match the records")
    return count, max_timestamp
