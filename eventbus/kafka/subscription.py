"""The receiving half of a Kafka bus: a member of a consumer group, or a reader of every partition."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Self

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import ConsumerRecord as KafkaRecord
from aiokafka import TopicPartition as KafkaPartition

from eventbus.bus import AutoOffsetReset
from eventbus.errors import BusClosed, EventBusError, NoGroup, NotAssigned, OffsetOutOfRange
from eventbus.kafka.connection import Connection
from eventbus.kafka.errors import map_exceptions
from eventbus.kafka.topics import TopicAdmin
from eventbus.prefetch import PrefetchingSubscription
from eventbus.record import ConsumerRecord, TopicPartition

COMMIT_INTERVAL = 1.0
"""Seconds between automatic commits, which bounds what is delivered again after a crash."""

HEARTBEAT_MS = 1000
"""Milliseconds until a member learns of a rebalance."""

POLL_MS = 1000
"""Milliseconds of one poll; polling is repeated until there are records."""

Offsets = dict[TopicPartition, int]


class KafkaSubscription(PrefetchingSubscription, ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """An `eventbus.bus.Subscription` on Kafka; created by `KafkaBus.subscribe`.

    While the brokers are away it waits for them, as Kafka consumers do.
    """

    poll_records = 1000

    def __init__(
        self,
        connection: Connection,
        admin: TopicAdmin,
        topics: tuple[str, ...],
        *,
        group: str | None,
        auto_offset_reset: AutoOffsetReset,
        auto_commit: bool,
        close_timeout: float,
    ) -> None:
        super().__init__()
        self._connection = connection
        self._admin = admin
        self._topics = topics
        self._group = group
        self._auto_offset_reset = auto_offset_reset
        self._auto_commit = auto_commit and group is not None
        self._close_timeout = close_timeout
        self._consumer: AIOKafkaConsumer | None = None
        self._joining = asyncio.Lock()
        self._closed = False
        self._processed: Offsets = {}
        """Offsets of the next automatic commit, after the records marked as processed."""
        self._next_commit = 0.0

    def __repr__(self) -> str:
        state = "closed" if self._closed else "joined" if self._consumer else "new"
        return f"<KafkaSubscription {state} {', '.join(self._topics)} group={self._group}>"

    @property
    def lost(self) -> int:
        """Always 0: Kafka does not report what retention dropped."""
        return 0

    async def __aenter__(self) -> Self:
        await self._joined()
        return self

    async def commit(self) -> None:
        """Commit all records delivered so far.

        Raises:
            NoGroup: this subscription has no group.
            IllegalGeneration: the group has rebalanced since these records were delivered.
            BusClosed
        """
        self._check_open()
        if self._group is None:
            raise NoGroup
        await self._commit(self._processed | self._delivered)

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        """Continue from this offset.

        Raises:
            NotAssigned, OffsetOutOfRange
        """
        consumer = await self._joined()
        if partition not in self.assignment():
            raise NotAssigned(f"{partition} is not assigned to this subscription")
        kafka_partition = KafkaPartition(*partition)
        with map_exceptions(f"seek in {partition}"):
            beginning = (await consumer.beginning_offsets([kafka_partition]))[kafka_partition]
            end = (await consumer.end_offsets([kafka_partition]))[kafka_partition]
        if not beginning <= offset <= end:
            raise OffsetOutOfRange(f"expected an offset from {beginning} to {end} of {partition}, got {offset}")
        self._return_prefetched(consumer)
        consumer.seek(kafka_partition, offset)

    async def seek_to_timestamp(self, timestamp: int) -> None:
        """Set each assigned partition to its first record with at least this timestamp (ms), else to its end."""
        consumer = await self._joined()
        self._return_prefetched(consumer)
        with map_exceptions("seek to a timestamp"):
            offsets = await consumer.offsets_for_times(dict.fromkeys(consumer.assignment(), timestamp))
            for partition, offset in offsets.items():
                if offset is not None:
                    consumer.seek(partition, offset.offset)
            if without := [partition for partition, offset in offsets.items() if offset is None]:
                await consumer.seek_to_end(*without)

    def assignment(self) -> frozenset[TopicPartition]:
        """The assigned partitions; none before this subscription has joined."""
        assigned = self._consumer.assignment() if self._consumer else ()
        return frozenset(TopicPartition(*partition) for partition in assigned)

    async def close(self) -> None:
        """Commit the processed records, but not those delivered last, and leave within twice `close_timeout`."""
        if self._closed:
            return
        self._closed = True
        consumer = self._consumer
        if consumer is None:
            return
        leaving = asyncio.ensure_future(self._leave(consumer))
        await asyncio.wait([leaving], timeout=self._close_timeout)
        if not leaving.done():  # the brokers are away, and the session will time out
            leaving.cancel()
            await asyncio.wait([leaving], timeout=self._close_timeout)
        self._drop_records()

    # Rebalance listener

    async def on_partitions_revoked(self, revoked: Collection[KafkaPartition]) -> None:
        await self._commit_processed()
        self._drop_records()

    async def on_partitions_assigned(self, assigned: Collection[KafkaPartition]) -> None:
        """Does nothing: positions come from the committed offsets."""

    # Joining, fetching, committing, leaving

    async def _joined(self) -> AIOKafkaConsumer:
        """The consumer with its partitions assigned; joins on first use."""
        async with self._joining:
            self._check_open()
            if self._consumer is None:
                await self._connection.check()
                await self._admin.ensure(self._topics)
                self._consumer = await self._join()
            return self._consumer

    async def _join(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._connection.client_arguments(),
            group_id=self._group,
            enable_auto_commit=False,  # aiokafka would commit records before they are processed
            auto_offset_reset=self._auto_offset_reset,
            heartbeat_interval_ms=HEARTBEAT_MS,
        )
        consumer.subscribe(self._topics, listener=self)
        try:
            with map_exceptions(f"subscribe to {', '.join(self._topics)}"):
                await consumer.start()
                for partition in consumer.assignment():  # resolves "latest" now, not at the first fetch
                    await consumer.position(partition)
        except BaseException:
            await consumer.stop()
            raise
        return consumer

    def _check_open(self) -> None:
        if self._closed:
            raise BusClosed(f"{self!r} is closed")

    async def _poll(self, max_records: int) -> None:
        try:
            consumer = await self._joined()
            while not self._prefetched:
                await self._commit_if_due()
                with map_exceptions(f"fetch from {', '.join(self._topics)}"):
                    fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=max_records)
                self._prefetched.extend(consumer_records(partition, records) for partition, records in fetched.items())
                if self._closed:
                    raise StopAsyncIteration
        except BusClosed:
            raise StopAsyncIteration from None

    def _is_valid(self) -> bool:
        return True  # a rebalance drops the prefetched records (`_drop_records`)

    def _mark_processed(self) -> None:
        if self._auto_commit and self._delivered:
            self._processed.update(self._delivered)
            self._delivered.clear()

    async def _commit_if_due(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next_commit:
            self._next_commit = now + COMMIT_INTERVAL
            await self._commit_processed()

    async def _commit_processed(self) -> None:
        """Commit the processed records. On an error, another member has their partitions and reads them again."""
        if self._auto_commit and self._processed:
            with suppress(EventBusError):
                await self._commit(self._processed)

    async def _commit(self, offsets: Offsets) -> None:
        kafka_offsets = {KafkaPartition(*partition): offset for partition, offset in offsets.items()}
        if kafka_offsets and self._consumer:
            with map_exceptions(f"commit for group {self._group}"):
                await self._consumer.commit(kafka_offsets)
        for partition, offset in list(offsets.items()):
            for uncommitted in (self._processed, self._delivered):
                if uncommitted.get(partition) == offset:
                    del uncommitted[partition]

    async def _leave(self, consumer: AIOKafkaConsumer) -> None:
        try:
            await self._commit_processed()
            await consumer.stop()
        except asyncio.CancelledError:
            await consumer._client.close()  # `stop` waits for a coordinator that does not answer

    def _return_prefetched(self, consumer: AIOKafkaConsumer) -> None:
        """Seek back to the records that were fetched but not delivered."""
        for records in filter(None, (list(self._current), *self._prefetched)):
            partition = KafkaPartition(records[0].topic, records[0].partition)
            consumer.seek(partition, records[0].offset)
        self._prefetched.clear()

    def _drop_records(self) -> None:
        """Drop records and offsets of partitions that are not assigned any more."""
        self._prefetched.clear()
        self._current = iter(())
        self._delivered.clear()
        self._processed.clear()


def consumer_records(kafka_partition: KafkaPartition, records: list[KafkaRecord]) -> list[ConsumerRecord]:
    """aiokafka's records of a partition as `ConsumerRecord`s."""
    topic, partition = kafka_partition
    return [ConsumerRecord(topic, partition, r.offset, r.timestamp, r.key, r.value, r.headers) for r in records]
