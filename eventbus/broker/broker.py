"""The broker without its event loop: topics, their logs, the groups, and what must be kept for whom."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from sys import maxsize
from typing import cast

from eventbus.broker.batch import Columns, RecordBatch
from eventbus.broker.groups import ConsumerGroup, GroupState
from eventbus.broker.log import BATCH_BYTES, PartitionLog
from eventbus.broker.partitioner import partition_for, partitions_for
from eventbus.errors import InvalidTopic, UnknownTopic
from eventbus.record import TopicPartition

DEFAULT_PARTITIONS = 4
RETENTION_BYTES = 16 * 1024 * 1024

TIME_CHECK_MS = 1_000
"""How often retention by time looks for old batches (Kafka's `log.retention.check.interval.ms`, there 5 minutes)."""

topic_pattern = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}")


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """One group at a moment."""

    state: GroupState
    generation: int
    members: int
    lag: int
    """Records that are there and not yet committed."""
    lost: int
    """Records trimmed before a member got them."""


@dataclass(frozen=True, slots=True)
class BrokerStatistics:
    """What there was at a moment."""

    records: int
    """Kept now."""
    bytes: int
    """Memory they take, as counted against `retention_bytes`."""
    appended: int
    """Since the start or the last reset."""
    trimmed: int
    """Dropped by retention or for want of room; `appended - records`."""
    end_offsets: Mapping[str, tuple[int, ...]]
    """For each topic: the end offset of each partition."""
    groups: Mapping[str, GroupStatistics]


class Broker:
    """Topics and groups. Synchronous: whoever wants to wait does so outside, woken by `on_append`."""

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
            partitions: of a topic that is made because somebody uses it; a mapping gives them by topic name.
            retention_bytes: most that one partition holds (Kafka's `retention.bytes`); keys, values, headers and
                what Python needs to hold them.
            retention_ms: older batches are dropped, by the record timestamps as in Kafka; None keeps them.
            session_timeout_ms, rebalance_timeout_ms: of groups, see `ConsumerGroup`.
        """
        self.topics: dict[str, list[PartitionLog]] = {}
        self.groups: dict[str, ConsumerGroup] = {}
        self.on_append: Callable[[str], None] = lambda topic: None
        """Called with the topic after each append."""
        self._partitions = partitions
        self.appended = 0
        self.run_bytes = max(1, retention_bytes // 8)
        """Runs larger than this should be appended in parts: they are what is trimmed at once."""
        self._retention_bytes = retention_bytes
        self._batch_bytes = min(BATCH_BYTES, self.run_bytes)
        self._retention_ms = retention_ms
        self._session_timeout_ms = session_timeout_ms
        self._rebalance_timeout_ms = rebalance_timeout_ms
        self._next_time_check = 0
        self._unkeyed: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Broker topics={len(self.topics)} groups={len(self.groups)}>"

    # Topics

    def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Create the topics that do not exist yet; all of them, or none.

        Raises:
            InvalidTopic: a name or a number of partitions that Kafka would refuse.
        """
        for name, count in partitions.items():
            _check_topic(name, count)
        for name, count in partitions.items():
            if name not in self.topics:
                self.topics[name] = [PartitionLog(self._batch_bytes) for _ in range(count)]

    def delete_topic(self, name: str, now: int) -> None:
        """Drop a topic with its records and the groups' offsets in it.

        Raises:
            UnknownTopic: there is none of this name.
        """
        if self.topics.pop(name, None) is None:
            raise UnknownTopic(f"no topic {name!r}")
        for group in self.groups.values():
            group.forget(name, now)

    def clear(self, now: int) -> None:
        """Drop all records and offsets; topics and members stay, and begin anew."""
        self.appended = 0
        for name, logs in self.topics.items():
            self.topics[name] = [PartitionLog(self._batch_bytes) for _ in logs]
            for group in self.groups.values():
                group.forget(name, now)

    def partitions_of(self, topic: str) -> int:
        """How many partitions a topic has; it is created when it does not exist."""
        if topic not in self.topics:
            default = self._partitions
            count = default if isinstance(default, int) else default.get(topic, DEFAULT_PARTITIONS)
            self.create_topics({topic: count})
        return len(self.topics[topic])

    def topic_partitions(self, topics: Sequence[str]) -> list[TopicPartition]:
        """All partitions of these topics, created where they do not exist."""
        return [TopicPartition(topic, p) for topic in topics for p in range(self.partitions_of(topic))]

    def log(self, partition: TopicPartition) -> PartitionLog:
        """
        Raises:
            UnknownTopic: no such topic, or it has fewer partitions.
        """
        logs = self.topics.get(partition.topic, ())
        if not 0 <= partition.partition < len(logs):
            raise UnknownTopic(f"no partition {partition.partition} of topic {partition.topic!r}: it has {len(logs)}")
        return logs[partition.partition]

    # Records

    def route(self, topic: str, keys: Sequence[bytes | None]) -> list[int]:
        """The partition of each record: by its key as in Kafka, and one after the other for those without."""
        count = self.partitions_of(topic)
        if None not in keys:
            return partitions_for(cast(Sequence[bytes], keys), count)
        return [self._next_partition(topic, count) if key is None else partition_for(key, count) for key in keys]

    def make_room(self, partition: TopicPartition, size_bytes: int, now: int, *, force: bool = False) -> bool:
        """Trim what retention allows so that a run fits; False when a group with members still needs what is there.

        A run is let in whatever its size when nothing else is left in the partition.

        Args:
            force: trim also what is still needed.
        """
        self.enforce_retention_time(now)
        log = self.log(partition)
        limit = max(self._retention_bytes - size_bytes, 0)
        if log.size_bytes > limit:
            log.trim_to_bytes(limit, keep_from=maxsize if force else self.needed_from(partition))
        return log.size_bytes <= limit

    def needed_from(self, partition: TopicPartition) -> int:
        """The first offset that a group with members has yet to commit; far beyond the end when there is none."""
        offsets = (group.offset(partition) or 0 for group in self.readers(partition.topic))
        return min(offsets, default=maxsize)

    def readers(self, topic: str) -> list[ConsumerGroup]:
        """The groups whose members read a topic now."""
        return [group for group in self.groups.values() if topic in group.topics()]

    def append(self, partition: TopicPartition, rows: Columns, size_bytes: int | None = None) -> int:
        """Take over rows, whether there is room or not (see `make_room`); returns the offset of the first."""
        base = self.log(partition).append(rows, size_bytes)
        self._appended(partition, len(rows))
        return base

    def append_encoded(self, partition: TopicPartition, buffer: bytes | bytearray | memoryview) -> int:
        """Take an encoded record batch; returns the offset of its first record.

        Raises:
            CorruptBatch: nothing was appended.
        """
        log = self.log(partition)
        base = log.append_encoded(buffer)
        self._appended(partition, log.end_offset - base)
        return base

    def fetch(
        self, partition: TopicPartition, offset: int, *, max_records: int = maxsize, max_bytes: int = maxsize
    ) -> list[RecordBatch]:
        """The records from `offset` on, see `PartitionLog.read`."""
        return self.log(partition).read(offset, max_records=max_records, max_bytes=max_bytes)

    def enforce_retention_time(self, now: int) -> None:
        """Drop what is older than `retention_ms`; looks at most once in `TIME_CHECK_MS`."""
        if self._retention_ms is None or now < self._next_time_check:
            return
        self._next_time_check = now + TIME_CHECK_MS
        for logs in self.topics.values():
            for log in logs:
                log.trim_to_time(now - self._retention_ms)

    # Groups

    def group(self, name: str) -> ConsumerGroup:
        """The group of this name, new when there is none."""
        if name not in self.groups:
            self.groups[name] = ConsumerGroup(
                name,
                self.partitions_of,
                session_timeout_ms=self._session_timeout_ms,
                rebalance_timeout_ms=self._rebalance_timeout_ms,
            )
        return self.groups[name]

    def ends(self, group: ConsumerGroup, topic: str | None = None) -> dict[TopicPartition, int]:
        """The end offset of each partition that the group reads or has read; of one topic, if given."""
        topics = group.topics().union(partition.topic for partition in group.committed)
        partitions = self.topic_partitions(sorted(topics) if topic is None else [topic])
        return {partition: self.log(partition).end_offset for partition in partitions}

    def behind(self, group: ConsumerGroup, ends: Mapping[TopicPartition, int]) -> int:
        """How many records before these end offsets the group has yet to commit."""
        return sum(max(end - self._reached(group, partition), 0) for partition, end in ends.items())

    def statistics(self) -> BrokerStatistics:
        """A snapshot."""
        logs = [log for logs in self.topics.values() for log in logs]
        records = sum(map(len, logs))
        return BrokerStatistics(
            records=records,
            bytes=sum(log.size_bytes for log in logs),
            appended=self.appended,
            trimmed=self.appended - records,
            end_offsets={topic: tuple(log.end_offset for log in logs) for topic, logs in self.topics.items()},
            groups={name: self._group_statistics(group) for name, group in self.groups.items()},
        )

    def _group_statistics(self, group: ConsumerGroup) -> GroupStatistics:
        lag = self.behind(group, self.ends(group))
        return GroupStatistics(group.state, group.generation, len(group.members), lag, group.lost)

    def _reached(self, group: ConsumerGroup, partition: TopicPartition) -> int:
        """The offset up to which nothing is left to do for a group: committed, trimmed, or gone with a reset."""
        log = self.log(partition)
        offset = max(group.offset(partition) or 0, log.start_offset)
        return maxsize if offset >= log.end_offset else offset

    def _appended(self, partition: TopicPartition, count: int) -> None:
        self.appended += count
        self.on_append(partition.topic)

    def _next_partition(self, topic: str, count: int) -> int:
        turn = self._unkeyed.get(topic, 0)
        self._unkeyed[topic] = (turn + 1) % count
        return turn


def _check_topic(name: str, partitions: int) -> None:
    if not topic_pattern.fullmatch(name):
        raise InvalidTopic(f"expected 1 to 249 letters, digits, '.', '_' or '-' as topic name, got {name!r}")
    if partitions < 1:
        raise InvalidTopic(f"expected at least 1 partition for topic {name!r}, got {partitions}")
