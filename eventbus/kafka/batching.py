"""Packs records into batches by partition: encoding them together costs half of encoding them one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

from eventbus.broker.partitioner import partitions_for
from eventbus.event import headers_of
from eventbus.record import ProducerRecord

CHUNK_BYTES = 1 << 20
"""Size of a chunk, keys and values: large enough to fill batches, small enough not to block the event loop."""

CHUNK_RECORDS = 8192


class BatchBuilder(Protocol):
    """The part of aiokafka's `BatchBuilder` used here."""

    def append(
        self, *, timestamp: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> object | None: ...
    def record_count(self) -> int: ...
    def close(self) -> None: ...


class PartitionBatch(NamedTuple):
    """Encoded records of one partition."""

    topic: str
    partition: int
    builder: BatchBuilder

    @property
    def size(self) -> int:
        """Number of records."""
        return self.builder.record_count()


def take_chunk(records: Iterator[ProducerRecord]) -> list[ProducerRecord]:
    """The next records, up to a chunk; empty at the end."""
    chunk: list[ProducerRecord] = []
    size = 0
    for record in itertools.islice(records, CHUNK_RECORDS):
        chunk.append(record)
        size += len(record.value or b"") + len(record.key or b"")
        if size >= CHUNK_BYTES:
            break
    return chunk


def pack(
    chunk: list[ProducerRecord], partition_counts: Mapping[str, int], new_builder: Callable[[], BatchBuilder]
) -> list[PartitionBatch]:
    """Encode a chunk into closed batches; within a partition, records keep their order.

    Args:
        partition_counts: number of partitions of each topic in the chunk.
        new_builder: returns an empty builder; a full one refuses the next record.
    """
    batches: list[PartitionBatch] = []
    for topic, records in _by_topic(chunk).items():
        open_builders: dict[int, BatchBuilder] = {}
        for record, partition in zip(records, _partitions(records, partition_counts[topic]), strict=True):
            builder = open_builders.get(partition)
            if builder is None or not _append(builder, record):
                open_builders[partition] = builder = new_builder()
                batches.append(PartitionBatch(topic, partition, builder))
                _append(builder, record)  # a first record fits whatever its size; the broker may refuse it
    for batch in batches:
        batch.builder.close()
    return batches


def choose_partition(record: ProducerRecord, count: int) -> int:
    """The partition of a record, by Kafka's default partitioner."""
    return _partitions([record], count)[0]


def headers_for(record: ProducerRecord) -> list[tuple[str, bytes]]:
    """The headers of a record, or of its event where the record has none, as aiokafka takes them."""
    return list(headers_of(record.value) if record.headers is None else record.headers)


def _append(builder: BatchBuilder, record: ProducerRecord) -> bool:
    added = builder.append(timestamp=record.timestamp, key=record.key, value=record.value, headers=headers_for(record))
    return added is not None


def _by_topic(chunk: list[ProducerRecord]) -> dict[str, list[ProducerRecord]]:
    topics: dict[str, list[ProducerRecord]] = {}
    for record in chunk:
        topics.setdefault(record.topic, []).append(record)
    return topics


_keyless_turn = itertools.count()


def _partitions(records: list[ProducerRecord], count: int) -> list[int]:
    """By the hash of the key; the records of a chunk without a key share a partition, in turn by chunk (KIP-480)."""
    keyless = next(_keyless_turn) % count
    keyed = iter(partitions_for([record.key for record in records if record.key is not None], count))
    return [keyless if record.key is None else next(keyed) for record in records]
