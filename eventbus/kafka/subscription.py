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
from eventbus.kafka.errors import translated
from eventbus.kafka.topics import Topics
from eventbus.prefetch import PrefetchingSubscription
from eventbus.record import ConsumerRecord, TopicPartition

COMMIT_INTERVAL = 1.0
"""Seconds between automatic commits: what is delivered again after a crash."""

HEARTBEAT_MS = 1000
"""How soon a member learns of a rebalance."""

WAIT_MS = 1000
"""One wait for records; the loop around it goes on until there are some."""

Offsets = dict[TopicPartition, int]


class KafkaSubscription(PrefetchingSubscription, ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """`eventbus.bus.Subscription` on Kafka; made by `KafkaBus.subscribe`.

    While the brokers are away it waits for them, as every Kafka consumer does.
    """

    poll_records = 1000

    def __init__(
        self,
        connection: Connection,
        known: Topics,
        topics: tuple[str, ...],
        *,
        group: str | None,
        auto_offset_reset: AutoOffsetReset,
        auto_commit: bool,
        close_timeout: float,
    ) -> None:
        super().__init__()
        self._connection = connection
        self._known = known
        self._topics = topics
        self._group = group
        self._auto_offset_reset = auto_offset_reset
        self._auto_commit = auto_commit and group is not None
        self._close_timeout = close_timeout
        self._consumer: AIOKafkaConsumer | None = None
        self._joining = asyncio.Lock()
        self._closed = False
        self._processed: Offsets = {}
        """What was handed out before more was asked for: what the next automatic commit says."""
        self._next_commit = 0.0

    def __repr__(self) -> str:
        state = "closed" if self._closed else "joined" if self._consumer else "new"
        return f"<KafkaSubscription {state} {', '.join(self._topics)} group={self._group}>"

    @property
    def lost(self) -> int:
        """Always 0: Kafka does not tell a reader what retention has taken from it."""
        return 0

    async def __aenter__(self) -> Self:
        await self._joined()
        return self

    async def commit(self) -> None:
        """Commit everything handed out so far.

        Raises:
            NoGroup: this subscription reads alone.
            IllegalGeneration: the group has rebalanced since these records were handed out.
            BusClosed
        """
        self._check_open()
        if self._group is None:
            raise NoGroup
        await self._commit(self._processed | self._delivered)

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on from this offset.

        Raises:
            NotAssigned, OffsetOutOfRange
        """
        consumer = await self._joined()
        if partition not in self.assignment():
            raise NotAssigned(f"{partition} is not assigned to this subscription")
        place = KafkaPartition(*partition)
        with translated(f"seek in {partition}"):
            earliest = (await consumer.beginning_offsets([place]))[place]
            end = (await consumer.end_offsets([place]))[place]
        if not earliest <= offset <= end:
            raise OffsetOutOfRange(f"expected an offset from {earliest} to {end} of {partition}, got {offset}")
        self._return_prefetched(consumer)
        consumer.seek(place, offset)

    async def seek_to_timestamp(self, timestamp: int) -> None:
        """Position every assigned partition at its first record of at least this time (ms), else at its end."""
        consumer = await self._joined()
        self._return_prefetched(consumer)
        with translated("seek to a timestamp"):
            found = await consumer.offsets_for_times(dict.fromkeys(consumer.assignment(), timestamp))
            for place, hit in found.items():
                if hit is not None:
                    consumer.seek(place, hit.offset)
            if rest := [place for place, hit in found.items() if hit is None]:
                await consumer.seek_to_end(*rest)

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions this subscription reads now; none before it has joined."""
        return (
            frozenset(TopicPartition(*place) for place in self._consumer.assignment())
            if self._consumer
            else frozenset()
        )

    async def close(self) -> None:
        """Commit what was processed and leave, within a bounded time. What was handed out last is not committed."""
        if self._closed:
            return
        self._closed = True
        consumer = self._consumer
        if consumer is None:
            return
        leaving = asyncio.ensure_future(self._leave(consumer))
        await asyncio.wait([leaving], timeout=self._close_timeout)
        if not leaving.done():  # the brokers are away: the group finds out by itself
            leaving.cancel()
            await asyncio.wait([leaving], timeout=self._close_timeout)
        self._forget()

    # What the consumer tells while the group rebalances

    async def on_partitions_revoked(self, revoked: Collection[KafkaPartition]) -> None:
        await self._commit_processed()
        self._forget()

    async def on_partitions_assigned(self, assigned: Collection[KafkaPartition]) -> None:
        """Nothing to do: positions come from the committed offsets."""

    # Joining, fetching, committing, leaving

    async def _joined(self) -> AIOKafkaConsumer:
        """The consumer, in the group and with its partitions; joins on first use."""
        async with self._joining:
            self._check_open()
            if self._consumer is None:
                await self._connection.probe()
                await self._known.ensure(self._topics)
                self._consumer = await self._join()
            return self._consumer

    async def _join(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._connection.client_arguments(),
            group_id=self._group,
            enable_auto_commit=False,  # aiokafka would commit what was handed out before it is processed
            auto_offset_reset=self._auto_offset_reset,
            heartbeat_interval_ms=HEARTBEAT_MS,
        )
        consumer.subscribe(self._topics, listener=self)
        try:
            with translated(f"subscribe to {', '.join(self._topics)}"):
                await consumer.start()
                for place in consumer.assignment():  # what "latest" means is decided now, not at the first fetch
                    await consumer.position(place)
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
                await self._commit_in_time()
                with translated(f"fetch from {', '.join(self._topics)}"):
                    fetched = await consumer.getmany(timeout_ms=WAIT_MS, max_records=max_records)
                self._prefetched.extend(converted(place, records) for place, records in fetched.items())
                if self._closed:
                    raise StopAsyncIteration
        except BusClosed:
            raise StopAsyncIteration from None

    def _is_valid(self) -> bool:
        return True  # a rebalance takes away what is at hand (`_forget`)

    def _mark_processed(self) -> None:
        if self._auto_commit and self._delivered:
            self._processed.update(self._delivered)
            self._delivered.clear()

    async def _commit_in_time(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next_commit:
            self._next_commit = now + COMMIT_INTERVAL
            await self._commit_processed()

    async def _commit_processed(self) -> None:
        """A refused commit means that another member has these partitions now, and gets their records again."""
        if self._auto_commit and self._processed:
            with suppress(EventBusError):
                await self._commit(self._processed)

    async def _commit(self, offsets: Offsets) -> None:
        noted = {KafkaPartition(*partition): offset for partition, offset in offsets.items()}
        if noted and self._consumer:
            with translated(f"commit for group {self._group}"):
                await self._consumer.commit(noted)
        for partition, offset in list(offsets.items()):
            for known in (self._processed, self._delivered):
                if known.get(partition) == offset:
                    del known[partition]

    async def _leave(self, consumer: AIOKafkaConsumer) -> None:
        try:
            await self._commit_processed()
            await consumer.stop()
        except asyncio.CancelledError:
            await consumer._client.close()  # `stop` was waiting for a coordinator that does not answer

    def _return_prefetched(self, consumer: AIOKafkaConsumer) -> None:
        """Fetch again later what was fetched and not handed out."""
        for records in filter(None, (list(self._current), *self._prefetched)):
            place = KafkaPartition(records[0].topic, records[0].partition)
            consumer.seek(place, records[0].offset)
        self._prefetched.clear()

    def _forget(self) -> None:
        """These records are others' to hand out and to commit."""
        self._prefetched.clear()
        self._current = iter(())
        self._delivered.clear()
        self._processed.clear()


def converted(place: KafkaPartition, records: list[KafkaRecord]) -> list[ConsumerRecord]:
    """Our records for aiokafka's."""
    topic, partition = place
    return [ConsumerRecord(topic, partition, r.offset, r.timestamp, r.key, r.value, r.headers) for r in records]
