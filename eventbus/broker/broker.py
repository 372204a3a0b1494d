"""The broker: topics, their partition logs, consumer groups, retention."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from sys import maxsize
from typing import cast

from eventbus.broker.batch import RecordBatch
from eventbus.broker.groups import ConsumerGroup, GroupState
from eventbus.broker.log import BATCH_BYTES, PartitionLog
from eventbus.broker.partitioner import partition_for, partitions_for, positions_by_partition, positions_of
from eventbus.errors import InvalidTopic, UnknownTopic
from eventbus.record import Columns, TopicPartition

DEFAULT_PARTITIONS = 4
RETENTION_BYTES = 16 * 1024 * 1024

TIME_CHECK_MS = 1_000
"""How often retention by time is enforced (Kafka's `log.retention.check.interval.ms`, where it is 5 minutes)."""

topic_pattern = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}")


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """Statistics of one consumer group."""

    state: GroupState
    generation: int
    members: int
    lag: int
    """Records in the log that the group has not committed."""
    lost: int
    """Records trimmed before a member fetched them."""


@dataclass(frozen=True, slots=True)
class BrokerStatistics:
    """Statistics of the broker and its groups."""

    records: int
    """Records in the log."""
    bytes: int
    """Their memory, as counted against `retention_bytes`."""
    appended: int
    """Records appended since the start or the last reset."""
    trimmed: int
    """Records dropped by retention or to make room: `appended - records`."""
    end_offsets: Mapping[str, tuple[int, ...]]
    """By topic, the end offset of each partition."""
    groups: Mapping[str, GroupStatistics]


class Broker:
    """Topics and groups. Synchronous: `on_append` wakes callers that wait."""

    def __init__(
        self,
        *,
        partitions: int | Mapping[str, int] = DEFAULT_PARTITIONS,
        retention_bytes: int = RETENTION_BYTES,
        retention_ms: int | None = None,
        session_timeout_ms: int = 300_000,
        rebalance_timeout_ms: int = 3_000,
    ) -> None:
        """
        Args:
            partitions: of a topic that is created on first use, or a mapping from topic to their number.
            retention_bytes: limit for one partition (Kafka's `retention.bytes`): keys, values, headers and the
                overhead of Python objects.
            retention_ms: batches whose record timestamps are all older are dropped; None keeps them.
            session_timeout_ms: of groups, see `ConsumerGroup`.
            rebalance_timeout_ms: of groups, see `ConsumerGroup`.
        """
        self.topics: dict[str, list[PartitionLog]] = {}
        self.groups: dict[str, ConsumerGroup] = {}
        self.on_append: Callable[[str], None] = lambda topic: None
        """Called with the topic after each append."""
        self._partitions = partitions
        self.appended = 0
        self.run_bytes = max(1, retention_bytes // 8)
        """Callers should split larger runs, because trimming drops whole batches."""
        self._retention_bytes = retention_bytes
        self._batch_bytes = min(BATCH_BYTES, self.run_bytes)
        self._retention_ms = retention_ms
        self._session_timeout_ms = session_timeout_ms
        self._rebalance_timeout_ms = rebalance_timeout_ms
        self._next_time_check = 0
        self._round_robin: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Broker topics={len(self.topics)} groups={len(self.groups)}>"

    # Topics

    def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Create the topics that do not exist: all of them or, if an error is raised, none.

        Raises:
            InvalidTopic: Kafka would refuse the name or the number of partitions.
        """
        for name, count in partitions.items():
            _check_topic(name, count)
        for name, count in partitions.items():
            if name not in self.topics:
                self.topics[name] = [PartitionLog(self._batch_bytes) for _ in range(count)]

    def delete_topic(self, name: str, now: int) -> None:
        """Delete a topic, its records and its offsets.

        Raises:
            UnknownTopic: no such topic.
        """
        if self.topics.pop(name, None) is None:
            raise UnknownTopic(f"no topic {name!r}")
        for group in self.groups.values():
            group.delete_offsets(name, now)

    def clear(self, now: int) -> None:
        """Delete all records and offsets; topics and members stay and start over."""
        self.appended = 0
        for name, logs in self.topics.items():
            self.topics[name] = [PartitionLog(self._batch_bytes) for _ in logs]
            for group in self.groups.values():
                group.delete_offsets(name, now)

    def partitions_of(self, topic: str) -> int:
        """The number of partitions of a topic, which is created if it does not exist."""
        if topic not in self.topics:
            default = self._partitions
            count = default if isinstance(default, int) else default.get(topic, DEFAULT_PARTITIONS)
            self.create_topics({topic: count})
        return len(self.topics[topic])

    def topic_partitions(self, topics: Sequence[str]) -> list[TopicPartition]:
        """All partitions of these topics, which are created if they do not exist."""
        return [TopicPartition(topic, p) for topic in topics for p in range(self.partitions_of(topic))]

    def log(self, partition: TopicPartition) -> PartitionLog:
        """The log of a partition.

        Raises:
            UnknownTopic: no such topic, or it has fewer partitions.
        """
        logs = self.topics.get(partition.topic, ())
        if not 0 <= partition.partition < len(logs):
            raise UnknownTopic(f"no partition {partition.partition} of topic {partition.topic!r}: it has {len(logs)}")
        return logs[partition.partition]

    # Records

    def route(self, topic: str, keys: Sequence[bytes | None]) -> list[int]:
        """The partition of each record: by its key as in Kafka, or round-robin without a key."""
        count = self.partitions_of(topic)
        if None not in keys:
            return partitions_for(cast(Sequence[bytes], keys), count)
        return [self._next_partition(topic, count) if key is None else partition_for(key, count) for key in keys]

    def rows_by_partition(self, topic: str, keys: Sequence[bytes | None]) -> dict[int, list[int]]:
        """The records of each partition as their positions in `keys`, in order; see `route`."""
        if None not in keys:
            return positions_by_partition(cast(Sequence[bytes], keys), self.partitions_of(topic))
        return positions_of(self.route(topic, keys))

    def reserve(self, partition: TopicPartition, size_bytes: int, now: int, *, force: bool = False) -> bool:
        """Trim old records so that a run of this size fits; False if a group with members has yet to commit them.

        A run of any size fits into an empty partition.

        Args:
            force: trim uncommitted records as well.
        """
        self.enforce_retention(now)
        log = self.log(partition)
        limit = max(self._retention_bytes - size_bytes, 0)
        if log.size_bytes > limit:
            log.trim_to_bytes(limit, keep_from=maxsize if force else self.min_committed_offset(partition))
        return log.size_bytes <= limit

    def min_committed_offset(self, partition: TopicPartition) -> int:
        """The lowest offset up to which all groups with members have committed; `maxsize` without such a group."""
        offsets = (group.offset(partition) or 0 for group in self.readers(partition.topic))
        return min(offsets, default=maxsize)

    def readers(self, topic: str) -> list[ConsumerGroup]:
        """The groups with members subscribed to a topic."""
        return [group for group in self.groups.values() if topic in group.topics()]

    def append(self, partition: TopicPartition, rows: Columns, size_bytes: int | None = None) -> int:
        """Take ownership of rows, even beyond the limit (see `reserve`); returns the offset of the first."""
        base = self.log(partition).append(rows, size_bytes)
        self._appended(partition, len(rows))
        return base

    def append_encoded(self, partition: TopicPartition, buffer: bytes | bytearray | memoryview) -> int:
        """Append an encoded record batch; returns the offset of its first record.

        Raises:
            CorruptBatch: nothing was appended.
        """
        log = self.log(partition)
        base = log.append_encoded(buffer)
        self._appended(partition, log.log_end_offset - base)
        return base

    def fetch(
        self, partition: TopicPartition, offset: int, *, max_records: int = maxsize, max_bytes: int = maxsize
    ) -> list[RecordBatch]:
        """The records from `offset` on; see `PartitionLog.read`."""
        return self.log(partition).read(offset, max_records=max_records, max_bytes=max_bytes)

    def enforce_retention(self, now: int) -> None:
        """Drop batches older than `retention_ms`; does nothing within `TIME_CHECK_MS` of the last check."""
        if self._retention_ms is None or now < self._next_time_check:
            return
        self._next_time_check = now + TIME_CHECK_MS
        for logs in self.topics.values():
            for log in logs:
                log.trim_to_time(now - self._retention_ms)

    # Groups

    def group(self, name: str) -> ConsumerGroup:
        """The group of this name, which is created if it does not exist."""
        if name not in self.groups:
            self.groups[name] = ConsumerGroup(
                name,
                self.partitions_of,
                session_timeout_ms=self._session_timeout_ms,
                rebalance_timeout_ms=self._rebalance_timeout_ms,
            )
        return self.groups[name]

    def end_offsets(self, group: ConsumerGroup, topic: str | None = None) -> dict[TopicPartition, int]:
        """The end offset of each partition that the group reads or has committed, or of one topic's partitions."""
        topics = group.topics().union(partition.topic for partition in group.committed)
        partitions = self.topic_partitions(sorted(topics) if topic is None else [topic])
        return {partition: self.log(partition).log_end_offset for partition in partitions}

    def lag(self, group: ConsumerGroup, end_offsets: Mapping[TopicPartition, int]) -> int:
        """The number of records before these end offsets that the group has yet to commit."""
        return sum(max(end - self._done_until(group, partition), 0) for partition, end in end_offsets.items())

    def statistics(self) -> BrokerStatistics:
        """Statistics of now."""
        logs = [log for logs in self.topics.values() for log in logs]
        records = sum(map(len, logs))
        return BrokerStatistics(
            records=records,
            bytes=sum(log.size_bytes for log in logs),
            appended=self.appended,
            trimmed=self.appended - records,
            end_offsets={topic: tuple(log.log_end_offset for log in logs) for topic, logs in self.topics.items()},
            groups={name: self._group_statistics(group) for name, group in self.groups.items()},
        )

    def _group_statistics(self, group: ConsumerGroup) -> GroupStatistics:
        lag = self.lag(group, self.end_offsets(group))
        return GroupStatistics(group.state, group.generation, len(group.members), lag, group.lost)

    def _done_until(self, group: ConsumerGroup, partition: TopicPartition) -> int:
        """The offset before which a group has nothing left to process: committed, trimmed, or deleted by a reset."""
        log = self.log(partition)
        offset = max(group.offset(partition) or 0, log.log_start_offset)
        return maxsize if offset >= log.log_end_offset else offset

    def _appended(self, partition: TopicPartition, count: int) -> None:
        self.appended += count
        self.on_append(partition.topic)

    def _next_partition(self, topic: str, count: int) -> int:
        partition = self._round_robin.get(topic, 0)
        self._round_robin[topic] = (partition + 1) % count
        return partition


def _check_topic(name: str, partitions: int) -> None:
    if not topic_pattern.fullmatch(name):
        raise InvalidTopic(f"expected 1 to 249 letters, digits, '.', '_' or '-' as topic name, got {name!r}")
    if partitions < 1:
        raise InvalidTopic(f"expected at least 1 partition for topic {name!r}, got {partitions}")
