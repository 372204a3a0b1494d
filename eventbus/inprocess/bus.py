"""The in-process bus: Kafka's model on one event loop, in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from itertools import islice, pairwise
from types import TracebackType
from typing import Literal, Self

from eventbus.broker.broker import DEFAULT_PARTITIONS, RETENTION_BYTES, Broker, BrokerStatistics
from eventbus.broker.coordinator import OFFSETS_COMMITTED, GroupCoordinator
from eventbus.broker.partitioner import order_by_partition
from eventbus.bus import AutoOffsetReset, TopicStrategy, topic_namer
from eventbus.clock import Clock, SystemClock
from eventbus.errors import BufferFull, BusClosed, NoActiveMembers
from eventbus.event import Event, new_id, now_us
from eventbus.inprocess.consumer import InProcessConsumer, OnRebalance
from eventbus.inprocess.subscription import InProcessSubscription
from eventbus.record import (
    Columns,
    ConsumerRecord,
    PackedColumns,
    ProducerRecord,
    RecordColumns,
    RecordMetadata,
    TopicPartition,
    columns_by_topic,
    record_of,
)

OnFull = Literal["block", "drop_oldest", "raise"]
"""What publishing does when a partition is full of records that a group has yet to commit: wait for that group, drop
the oldest (the group counts them as lost), or raise `BufferFull`. Records committed by every group are dropped."""

CHUNK = 1000
"""Records that `publish_many` appends before it yields to the event loop."""

PUBLISHES_PER_TURN = 100
"""Calls of `publish` after which it yields to the event loop, so that consumers keep up with a tight loop."""

STARTUP_ITERATIONS = 10
"""Iterations of the event loop in which `settled` lets consumers that were just created join."""


class InProcessBus:
    """An `EventBus` without a server: topics, partitions, offsets, consumer groups, retention.

    It is open once created; `async with` closes it at the end. All its users share one event loop.
    """

    def __init__(
        self,
        *,
        topic_strategy: TopicStrategy = "domain",
        partitions: int | Mapping[str, int] = DEFAULT_PARTITIONS,
        retention_bytes: int = RETENTION_BYTES,
        retention_ms: int | None = None,
        on_full: OnFull = "block",
        max_block_ms: int = 60_000,
        session_timeout_ms: int = 300_000,
        rebalance_timeout_ms: int = 3_000,
        clock: Clock | None = None,
    ) -> None:
        """
        Args:
            topic_strategy: maps an event type to a topic.
            partitions: of a topic that is created on first use, or a mapping from topic to their number.
            retention_bytes: memory limit for one partition (Kafka's `retention.bytes`).
            retention_ms: records with older timestamps are dropped; None keeps them.
            on_full: what publishing does when a partition is full of records that a group has yet to commit.
            max_block_ms: how long publishing waits before it raises `BufferFull` (Kafka's `max.block.ms`).
            session_timeout_ms: a group member that does not poll for so long is evicted (`max.poll.interval.ms`).
            rebalance_timeout_ms: how long a rebalance waits for members with records in flight.
            clock: the time of retention and group timeouts. Tasks that wait sleep on the event loop's clock.
        """
        self._broker = Broker(
            partitions=partitions,
            retention_bytes=retention_bytes,
            retention_ms=retention_ms,
            session_timeout_ms=session_timeout_ms,
            rebalance_timeout_ms=rebalance_timeout_ms,
        )
        self._clock = clock or SystemClock()
        self._coordinator = GroupCoordinator(self._broker, self._clock)
        self._broker.on_append = self._coordinator.watchers.notify
        self._topic_of = topic_namer(topic_strategy)
        self._on_full = on_full
        self._max_block = max_block_ms / 1000
        self._published = 0
        self._closed = False
        self.id = new_id(now_us())
        """A UUIDv7, replaced by `reset` and `delete_topic`: stored offsets are valid only for a bus of the same id."""

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<InProcessBus {state} topics={len(self._broker.topics)} groups={len(self._broker.groups)}>"

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all subscriptions and consumers, which ends their iterations. The log can still be inspected."""
        self.close_nowait()

    def close_nowait(self) -> None:
        """`close` without an event loop."""
        self._closed = True
        for consumer in list(self._coordinator.consumers):
            consumer.close_nowait()
        self._coordinator.watchers.notify(OFFSETS_COMMITTED)

    # Publishing

    async def publish(self, event: Event, *, topic: str | None = None) -> RecordMetadata:
        """Append one event to the log.

        Raises:
            BusClosed
            BufferFull: see `on_full`.
            InvalidTopic: Kafka would refuse the name.
        """
        self._check_open()
        record = record_of(event, topic or self._topic_of(event.event_type))
        [number] = self._broker.route(record.topic, [record.key])
        partition = TopicPartition(record.topic, number)
        row = RecordColumns([record.key], [record.value], [record.timestamp], [record.headers])
        offset = await self._append(partition, row)
        self._published += 1
        if not self._published % PUBLISHES_PER_TURN:
            await asyncio.sleep(0)
        return RecordMetadata(record.topic, number, offset)

    async def publish_many(self, events: Iterable[Event | ProducerRecord]) -> int:
        """Append many events or records to the log, in order within each partition; returns their number.

        Takes them in chunks and yields to the event loop before each, so that an endless iterable is fine.

        Raises:
            TypeError: an item is neither an event nor a record; nothing of its chunk is in the log.
            BusClosed, BufferFull, InvalidTopic: as in `publish`. Earlier chunks are in the log; of the last chunk, a
                part may be.
        """
        count = 0
        items = iter(events)
        while chunk := list(islice(items, CHUNK)):
            await asyncio.sleep(0)  # before the chunk: when cancelled here, none of it is in the log
            self._check_open()
            records = [item if type(item) is ProducerRecord else self._record(item) for item in chunk]
            for topic, rows in columns_by_topic(records).items():
                await self._append_rows(topic, rows)
            count += len(records)
        return count

    async def publish_columns(self, columns: Mapping[str, Columns]) -> int:
        """Append records given as columns by topic, in order within each partition; returns their number.

        Costs less than `publish_many`, which takes a tuple for each record. Yields to the event loop once, before
        anything is in the log.

        Args:
            columns: become the log's: do not modify them.

        Raises:
            BusClosed, BufferFull, InvalidTopic: as in `publish`. A part of the records may be in the log.
        """
        await asyncio.sleep(0)
        self._check_open()
        for topic, rows in columns.items():
            await self._append_rows(topic, rows)
        return sum(map(len, columns.values()))

    # Reading

    def subscribe(
        self,
        topics: str | Iterable[str],
        *,
        group: str | None = None,
        auto_offset_reset: AutoOffsetReset = "earliest",
        auto_commit: bool = True,
    ) -> InProcessSubscription:
        """Read topics from a group's committed offsets on, or from `auto_offset_reset` where there are none.

        Topics that do not exist are created. A subscription dropped without `close()` (a loop left by `break`, a
        cancelled task) leaves its group when it is garbage-collected; `async with` leaves at once.
        """
        consumer = self.consumer(topics, group=group, auto_offset_reset=auto_offset_reset)
        return InProcessSubscription(consumer, auto_commit=auto_commit and group is not None)

    def consumer(
        self,
        topics: str | Iterable[str],
        *,
        group: str | None = None,
        auto_offset_reset: AutoOffsetReset = "earliest",
        on_rebalance: OnRebalance | None = None,
    ) -> InProcessConsumer:
        """A consumer of whole batches as columns, with explicit positions and commits: the level below `subscribe`.

        Args:
            on_rebalance: called (and awaited) in `poll` with the partitions assigned and those revoked. Revoked
                partitions can still be committed during the call.
        """
        self._check_open()
        names = [topics] if isinstance(topics, str) else topics
        return InProcessConsumer(
            self._coordinator, names, group=group, auto_offset_reset=auto_offset_reset, on_rebalance=on_rebalance
        )

    # Topics

    async def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Create the topics that do not exist, with these numbers of partitions."""
        self._check_open()
        self._broker.create_topics(partitions)

    async def delete_topic(self, name: str) -> None:
        """Delete a topic, its records and its offsets.

        Raises:
            UnknownTopic: no such topic.
        """
        self._broker.delete_topic(name, self._clock.now_ms())
        self.id = new_id(now_us())
        self._reset_positions()

    def reset(self) -> None:
        """Delete all records and offsets. Topics and open subscriptions stay and start over at offset 0."""
        self.id = new_id(now_us())
        self._broker.clear(self._clock.now_ms())
        self._reset_positions()

    # Inspecting

    def records(self, topic: str | None = None, *, key: bytes | None = None) -> list[ConsumerRecord]:
        """The records in the log, ordered by topic, partition and offset, filtered by the arguments given."""
        self._broker.enforce_retention(self._clock.now_ms())
        topics = [name for name in sorted(self._broker.topics) if topic in (None, name)]
        return [
            record
            for partition in self._broker.topic_partitions(topics)
            for batch in self._broker.fetch(partition, self._broker.log(partition).log_start_offset)
            for record in batch.records(*partition)
            if key is None or record.key == key
        ]

    def events(
        self, topic: str | None = None, *, event_type: str | None = None, correlation_id: str | None = None
    ) -> list[Event]:
        """The events in the log, ordered by timestamp, filtered by the arguments given.

        Raises:
            InvalidEvent: a record is not an event; see `records`.
        """
        key = correlation_id.encode() if correlation_id else None
        events = (record.event for record in self.records(topic, key=key))
        matches = (event for event in events if event_type in (None, event.event_type))
        return sorted(matches, key=lambda event: event.timestamp)

    async def settled(self, group: str, topic: str | None = None) -> None:
        """Wait until the group has committed all records that are in the log now.

        Args:
            topic: wait for this topic alone; by default for all topics of the group.

        Raises:
            NoActiveMembers: the group has a lag but no members, or has never read anything.
        """
        for _ in range(STARTUP_ITERATIONS):
            await asyncio.sleep(0)
        consumer_group = self._broker.group(group)
        end_offsets = self._broker.end_offsets(consumer_group, topic)
        if not end_offsets:
            raise NoActiveMembers(f"no member of a group {group!r} has read anything yet")
        while lag := self._broker.lag(consumer_group, end_offsets):
            if not consumer_group.members:
                raise NoActiveMembers(f"group {group!r} has no members, and {lag} records to process")
            await self._coordinator.watchers.wait((OFFSETS_COMMITTED,))

    def broker_statistics(self) -> BrokerStatistics:
        """Records and bytes in the log, end offsets, lag and lost records of each group."""
        return self._broker.statistics()

    # Internals

    def _check_open(self) -> None:
        if self._closed:
            raise BusClosed

    def _record(self, item: Event | ProducerRecord) -> ProducerRecord:
        if isinstance(item, Event):
            return record_of(item, self._topic_of(item.event_type))
        if isinstance(item, ProducerRecord):
            return item
        raise TypeError(f"expected an Event or a ProducerRecord, got {type(item).__name__}")

    async def _append_rows(self, topic: str, rows: Columns) -> None:
        if isinstance(rows, PackedColumns):
            order, begins = order_by_partition(rows.keys(), self._broker.partitions_of(topic))
            ordered = rows.take(order)
            for partition, (begin, end) in enumerate(pairwise(begins)):
                if end > begin:
                    await self._append(TopicPartition(topic, partition), ordered.slice(begin, end))
            return
        partitions = self._broker.rows_by_partition(topic, rows.keys)
        for partition, numbers in partitions.items():
            part = rows if len(partitions) == 1 else rows.take(numbers)
            await self._append(TopicPartition(topic, partition), part)

    async def _append(self, partition: TopicPartition, rows: Columns) -> int:
        """Append rows to a partition once there is room; long runs are split, since trimming drops whole batches."""
        size = rows.size_bytes()
        if size > self._broker.run_bytes and len(rows) > 1:
            middle = len(rows) // 2
            offset = await self._append(partition, rows.slice(0, middle))
            await self._append(partition, rows.slice(middle, len(rows)))
            return offset
        if not self._has_room(partition, size):
            await self._wait_for_room(partition, size)
        return self._broker.append(partition, rows, size)

    def _has_room(self, partition: TopicPartition, size: int) -> bool:
        now = self._clock.now_ms()
        return self._broker.reserve(partition, size, now, force=self._on_full == "drop_oldest")

    async def _wait_for_room(self, partition: TopicPartition, size: int) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (self._max_block if self._on_full == "block" else 0)
        while not self._has_room(partition, size):
            remaining = deadline - loop.time()
            if remaining <= 0:
                groups = ", ".join(group.name for group in self._broker.readers(partition.topic))
                raise BufferFull(f"{partition} is full of records not yet committed by group {groups}")
            await self._coordinator.watchers.wait((OFFSETS_COMMITTED,), remaining)
            self._check_open()

    def _reset_positions(self) -> None:
        for consumer in list(self._coordinator.consumers):
            consumer.reset_positions()
        for group in self._broker.groups.values():
            self._coordinator.on_rebalance(group)
