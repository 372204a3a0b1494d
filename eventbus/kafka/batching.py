"""Records into batches, one for each partition: encoded together, they cost half of what they cost one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

from eventbus.broker.partitioner import partitions_for
from eventbus.event import headers_of
from eventbus.record import ProducerRecord

CHUNK_BYTES = 1 << 20
"""Keys and values taken together: large enough to fill batches, small enough that the event loop breathes."""

CHUNK_RECORDS = 8192


class Builder(Protocol):
    """The part of aiokafka's `BatchBuilder` used here."""

    def append(
        self, *, timestamp: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> object | None: ...
    def record_count(self) -> int: ...
    def close(self) -> None: ...


class Batch(NamedTuple):
    """Records of one partition, encoded."""

    topic: str
    partition: int
    builder: Builder

    @property
    def size(self) -> int:
        """Records in it."""
        return self.builder.record_count()


def take_chunk(records: Iterator[ProducerRecord]) -> list[ProducerRecord]:
    """The next records, as many as are handed over in one piece; empty at the end."""
    chunk: list[ProducerRecord] = []
    size = 0
    for record in itertools.islice(records, CHUNK_RECORDS):
        chunk.append(record)
        size += len(record.value or b"") + len(record.key or b"")
        if size >= CHUNK_BYTES:
            break
    return chunk


def pack(
    chunk: list[ProducerRecord], partition_counts: Mapping[str, int], new_builder: Callable[[], Builder]
) -> list[Batch]:
    """Encode a chunk into closed batches; those of one partition are in the order of its records.

    Args:
        partition_counts: of every topic in the chunk.
        new_builder: makes an empty batch; a full one refuses the next record.
    """
    batches: list[Batch] = []
    for topic, records in _by_topic(chunk).items():
        open_builders: dict[int, Builder] = {}
        for record, partition in zip(records, _partitions(records, partition_counts[topic]), strict=True):
            builder = open_builders.get(partition)
            if builder is None or not _append(builder, record):
                open_builders[partition] = builder = new_builder()
                batches.append(Batch(topic, partition, builder))
                _append(builder, record)  # the first always fits; whether it is too large is the broker's to say
    for batch in batches:
        batch.builder.close()
    return batches


def choose_partition(record: ProducerRecord, count: int) -> int:
    """Where Kafka's default partitioner puts one record."""
    return _partitions([record], count)[0]


def headers_for(record: ProducerRecord) -> list[tuple[str, bytes]]:
    """The record's headers as aiokafka takes them, worked out from its event when not given."""
    return list(headers_of(record.value) if record.headers is None else record.headers)


def _append(builder: Builder, record: ProducerRecord) -> bool:
    added = builder.append(timestamp=record.timestamp, key=record.key, value=record.value, headers=headers_for(record))
    return added is not None


def _by_topic(chunk: list[ProducerRecord]) -> dict[str, list[ProducerRecord]]:
    topics: dict[str, list[ProducerRecord]] = {}
    for record in chunk:
        topics.setdefault(record.topic, []).append(record)
    return topics


_turn = itertools.count()


def _partitions(records: list[ProducerRecord], count: int) -> list[int]:
    """By the key's hash; records without a key share one partition, another in the next chunk (KIP-480)."""
    keyless = next(_turn) % count
    keyed = iter(partitions_for([record.key for record in records if record.key is not None], count))
    return [keyless if record.key is None else next(keyed) for record in records]
