"""The bus without a broker: Kafka's model in this process, on one event loop, in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, ItemsView, Iterable, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Literal, Self, TypeVar

from eventbus.broker.batch import Columns
from eventbus.broker.broker import DEFAULT_PARTITIONS, RETENTION_BYTES, Broker, BrokerStatistics
from eventbus.broker.coordinator import COMMITTED, Hub
from eventbus.bus import AutoOffsetReset, TopicStrategy, topic_namer
from eventbus.clock import Clock, SystemClock
from eventbus.errors import BufferFull, BusClosed, NoActiveMembers
from eventbus.event import Event, new_id, now_us
from eventbus.inprocess.consumer import InProcessConsumer, OnRebalance
from eventbus.inprocess.subscription import InProcessSubscription
from eventbus.record import ConsumerRecord, ProducerRecord, RecordMetadata, TopicPartition, record_of

T = TypeVar("T")
Label = TypeVar("Label", bound=Hashable)

OnFull = Literal["block", "drop_oldest", "raise"]
"""What a publisher does at a full partition whose oldest records a group has yet to commit: wait for that group, drop
them (counted as lost where they are missed), or refuse with `BufferFull`. Without such a group the oldest just go."""

CHUNK = 1000
"""Records that `publish_many` handles between two turns of the event loop."""

PUBLISHES_PER_TURN = 100
"""After so many calls `publish` gives the event loop a turn, so that consumers keep up with a tight loop."""

FIRST_TURNS = 10
"""Turns of the event loop that `settled` leaves to consumers whose tasks were only just created."""


class InProcessBus:
    """Topics, partitions, offsets, consumer groups, retention: an `EventBus` that needs no server.

    It works as soon as it is made; `async with` closes it at the end. All its users share one event loop.
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
            topics: how an event type finds its topic.
            partitions: of a topic that is made because somebody uses it; a mapping gives them by topic name.
            retention_bytes: most that one partition holds in memory (Kafka's `retention.bytes`).
            retention_ms: records older than this are dropped, by their timestamps; None keeps them.
            on_full: what happens when a partition is full and a group has yet to read its oldest records.
            max_block_ms: how long a publisher waits before it gives up with `BufferFull` (as in Kafka's producer).
            session_timeout_ms: a group member that asks for nothing for so long is put out (`max.poll.interval.ms`).
            rebalance_timeout_ms: how long a rebalance waits for members that still have records in hand.
            clock: of retention and group timeouts.
        """
        self._broker = Broker(
            partitions=partitions,
            retention_bytes=retention_bytes,
            retention_ms=retention_ms,
            session_timeout_ms=session_timeout_ms,
            rebalance_timeout_ms=rebalance_timeout_ms,
        )
        self._clock = clock or SystemClock()
        self._hub = Hub(self._broker, self._clock)
        self._broker.on_append = self._hub.notices.call
        self._topic_of = topic_namer(topic_strategy)
        self._on_full = on_full
        self._max_block = max_block_ms / 1000
        self._published = 0
        self._closed = False
        self.id = new_id(now_us())
        """Tells its offsets from those of any other bus, and from those before a `reset` or the deletion of a topic,
        where something about them outlives it (a UUID of version 7)."""

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
        """Close all subscriptions and consumers: their iterations end. What was published can still be inspected."""
        self.close_nowait()

    def close_nowait(self) -> None:
        """`close`, for those who have no event loop (any more)."""
        self._closed = True
        for consumer in list(self._hub.consumers):
            consumer.close_nowait()
        self._hub.notices.call(COMMITTED)

    # Publishing

    async def publish(self, event: Event, *, topic: str | None = None) -> RecordMetadata:
        """Put one event into the log.

        Raises:
            BusClosed
            BufferFull: see `on_full`.
            InvalidTopic: a name that Kafka would refuse.
        """
        self._check_open()
        record = record_of(event, topic or self._topic_of(event.event_type))
        [number] = self._broker.route(record.topic, [record.key])
        partition = TopicPartition(record.topic, number)
        row = Columns([record.key], [record.value], [record.timestamp], [record.headers])
        offset = await self._append(partition, row)
        self._published += 1
        if not self._published % PUBLISHES_PER_TURN:
            await asyncio.sleep(0)
        return RecordMetadata(record.topic, number, offset)

    async def publish_many(self, events: Iterable[Event | ProducerRecord]) -> int:
        """Put many into the log, in order within each partition; returns how many.

        Takes them in chunks, so an endless iterable is fine, and the event loop has its turn before each.

        Raises:
            TypeError: something is neither an event nor a record; nothing of its chunk was published.
            BusClosed, BufferFull, InvalidTopic: as `publish`; chunks before are in the log, and of the last one what
                other partitions had room for.
        """
        count = 0
        rest = iter(events)
        while chunk := list(islice(rest, CHUNK)):
            await asyncio.sleep(0)  # not after it: who is cancelled here has published nothing of the chunk
            self._check_open()
            records = [item if type(item) is ProducerRecord else self._record(item) for item in chunk]
            for topic, same_topic in _grouped(records, [record.topic for record in records]):
                numbers = self._broker.route(topic, [record.key for record in same_topic])
                for number, same_partition in _grouped(same_topic, numbers):
                    await self._append(TopicPartition(topic, number), Columns.of(same_partition))
            count += len(records)
        return count

    # Reading

    def subscribe(
        self,
        topics: str | Iterable[str],
        *,
        group: str | None = None,
        auto_offset_reset: AutoOffsetReset = "earliest",
        auto_commit: bool = True,
    ) -> InProcessSubscription:
        """Read topics: as a member of `group` from its committed offsets on, or alone from `start`.

        Topics that do not exist yet are created. `lost` of the subscription counts records it came too late for.
        A subscription that is dropped unclosed (a loop broken off, a task cancelled) leaves its group when Python
        frees it; `async with` does so at once.
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
        """The lower level of `subscribe`: whole batches as columns, positions and commits in the caller's hands.

        Args:
            on_rebalance: called (and awaited) inside `poll` with the partitions assigned and those revoked; commits
                are still good while it is told of a revocation.
        """
        self._check_open()
        names = [topics] if isinstance(topics, str) else topics
        return InProcessConsumer(
            self._hub, names, group=group, auto_offset_reset=auto_offset_reset, on_rebalance=on_rebalance
        )

    # Topics

    async def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Create the topics that do not exist yet, with this many partitions each."""
        self._check_open()
        self._broker.create_topics(partitions)

    async def delete_topic(self, name: str) -> None:
        """Drop a topic with its records and the groups' offsets in it.

        Raises:
            UnknownTopic: there is none of this name.
        """
        self._broker.delete_topic(name, self._clock.now_ms())
        self.id = new_id(now_us())
        self._start_over()

    def reset(self) -> None:
        """Forget all records and offsets. Topics and open subscriptions stay, and begin anew at offset 0."""
        self.id = new_id(now_us())
        self._broker.clear(self._clock.now_ms())
        self._start_over()

    # Looking in

    def records(self, topic: str | None = None, *, key: bytes | None = None) -> list[ConsumerRecord]:
        """What is in the log, by topic, partition and offset; `topic` and `key` pick from it."""
        self._broker.enforce_retention_time(self._clock.now_ms())
        topics = [name for name in sorted(self._broker.topics) if topic in (None, name)]
        return [
            record
            for partition in self._broker.topic_partitions(topics)
            for batch in self._broker.fetch(partition, self._broker.log(partition).start_offset)
            for record in batch.records(*partition)
            if key is None or record.key == key
        ]

    def events(
        self, topic: str | None = None, *, event_type: str | None = None, correlation_id: str | None = None
    ) -> list[Event]:
        """The events in the log in the order of their timestamps; each argument picks from them.

        Raises:
            InvalidEvent: a record is not an event; `records` shows it.
        """
        key = correlation_id.encode() if correlation_id else None
        events = (record.event for record in self.records(topic, key=key))
        picked = (event for event in events if event_type in (None, event.event_type))
        return sorted(picked, key=lambda event: event.timestamp)

    async def settled(self, group: str, topic: str | None = None) -> None:
        """Wait until the group has committed every record that is in the log now.

        Args:
            topic: only this one; by default all that the group reads.

        Raises:
            NoActiveMembers: there are records left, but nobody in the group to process them; or nobody of this name
                has ever read anything.
        """
        for _ in range(FIRST_TURNS):
            await asyncio.sleep(0)
        members = self._broker.group(group)
        ends = self._broker.ends(members, topic)
        if not ends:
            raise NoActiveMembers(f"no member of a group {group!r} has read anything yet")
        while behind := self._broker.behind(members, ends):
            if not members.members:
                raise NoActiveMembers(f"group {group!r} has no members, and {behind} records to process")
            await self._hub.notices.wait((COMMITTED,))

    def statistics(self) -> BrokerStatistics:
        """Records and bytes kept, end offsets, lag and losses of each group: a snapshot."""
        return self._broker.statistics()

    # Inside

    def _check_open(self) -> None:
        if self._closed:
            raise BusClosed

    def _record(self, item: Event | ProducerRecord) -> ProducerRecord:
        if isinstance(item, Event):
            return record_of(item, self._topic_of(item.event_type))
        if isinstance(item, ProducerRecord):
            return item
        raise TypeError(f"expected an Event or a ProducerRecord, got {type(item).__name__}")

    async def _append(self, partition: TopicPartition, rows: Columns) -> int:
        """Put rows into a partition as soon as there is room; a run too large to be trimmed at once goes in parts."""
        size = rows.size_bytes()
        if size > self._broker.run_bytes and len(rows) > 1:
            middle = len(rows) // 2
            offset = await self._append(partition, rows.cut(0, middle))
            await self._append(partition, rows.cut(middle, len(rows)))
            return offset
        if not self._has_room(partition, size):
            await self._wait_for_room(partition, size)
        return self._broker.append(partition, rows, size)

    def _has_room(self, partition: TopicPartition, size: int) -> bool:
        now = self._clock.now_ms()
        return self._broker.make_room(partition, size, now, force=self._on_full == "drop_oldest")

    async def _wait_for_room(self, partition: TopicPartition, size: int) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (self._max_block if self._on_full == "block" else 0)
        while not self._has_room(partition, size):
            left = deadline - loop.time()
            if left <= 0:
                slow = ", ".join(group.name for group in self._broker.readers(partition.topic))
                raise BufferFull(f"{partition} is full of records not yet committed by group {slow}")
            await self._hub.notices.wait((COMMITTED,), left)
            self._check_open()

    def _start_over(self) -> None:
        for consumer in list(self._hub.consumers):
            consumer.start_over()
        for group in self._broker.groups.values():
            self._hub.group_changed(group)


def _grouped(items: list[T], labels: Sequence[Label]) -> ItemsView[Label, list[T]]:
    """The items under their labels, in order."""
    if len(set(labels)) == 1:
        return {labels[0]: items}.items()
    groups: dict[Label, list[T]] = {}
    for item, label in zip(items, labels, strict=True):
        groups.setdefault(label, []).append(item)
    return groups.items()
