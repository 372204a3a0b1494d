"""Faust's Kafka transport, with stored topics delivered in batches."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.auth import CredentialsT

from eventbus.processors.faust_app.consumer import BatchConsumer, OffsetReset
from eventbus.processors.ingest.router import FetchedBatch, OffsetRange

PUBLISH_TIMEOUT = 0.5
"""Seconds; the published offsets are only displayed."""

LEAVE_TIMEOUT = 1.0
"""Seconds to leave the group."""


class BatchThread(driver.AIOKafkaConsumerThread):
    """The thread that reads from Kafka. It creates the batches, because only here seeks and fetches are ordered."""

    consumer: KafkaConsumer

    def __post_init__(self) -> None:
        super().__post_init__()
        self._next: dict[TP, int] = {}
        self._ends: dict[TP, int] = {}

    def highwater(self, tp: TP) -> int:
        """The high watermark of the latest fetch; may be called at any time, and from the application's thread."""
        return self._ends.get(tp, 0)

    async def seek_stored(self, offsets: Mapping[TP, int]) -> None:
        await self.call_thread(self._seek_stored, offsets)

    async def _seek_stored(self, offsets: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        for tp, offset in offsets.items():
            try:
                consumer.seek(_kafka(tp), offset)
            except IllegalStateError:
                self.log.info("%s was revoked during a seek", tp)
            else:
                self._next[tp] = offset

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> dict[TP, Any]:
        fetched = await super()._fetch_records(consumer, *args, **kwargs)
        unstored = {TP(*tp): records for tp, records in fetched.items() if not self.consumer.is_stored(TP(*tp))}
        batches = {tp: self._batch(tp, fetched.get(tp, []), state) for tp, state in _states(consumer)}
        return {**unstored, **{tp: batch for tp, batch in batches.items() if batch}}

    def _batch(self, tp: TP, records: list[Any], state: Any) -> FetchedBatch | None:
        """The offsets that the position has passed, even without a record (transaction markers, compaction).

        None before the first seek of an assignment, because aiokafka starts at an offset of its own.
        """
        self._ends[tp] = state.highwater or self._ends.get(tp, 0)
        start = self._next.get(tp)
        if start is None or not state.has_valid_position:
            return None
        end: int = state.position
        if end == start:
            return None
        if end < start:
            raise OffsetReset(f"{tp}: expected to continue at offset {start}, but the position was reset to {end}")
        self._next[tp] = end
        return FetchedBatch(start, end, [(record.offset, record.value) for record in records])

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._next.clear()
        self._ends.clear()
        await super().on_partitions_revoked(revoked)

    async def on_thread_stop(self) -> None:
        """Leave the group; gives up if the broker does not answer."""
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT):
                await super().on_thread_stop()
        except (KafkaError, TimeoutError, asyncio.CancelledError):  # aiokafka raises the cancellation of its fetches
            self.log.info("the broker does not answer; the group removes this member when its session times out")

    async def offset_ranges(self, partitions: Iterable[TP]) -> dict[TP, OffsetRange]:
        ranges: dict[TP, OffsetRange] = await self.call_thread(self._offset_ranges, list(map(_kafka, partitions)))
        return ranges

    async def _offset_ranges(self, partitions: list[KafkaPartition]) -> dict[TP, OffsetRange]:
        consumer = self._ensure_consumer()
        beginnings = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        self._ends |= {TP(*tp): end for tp, end in ends.items()}
        return {TP(*tp): OffsetRange(beginnings[tp], ends[tp]) for tp in partitions}

    async def seek_others(self, partitions: set[TP]) -> Mapping[TP, int]:
        seek = self._ensure_consumer().seek_to_committed
        committed: Mapping[TP, int] = await self.call_thread(seek, *map(_kafka, partitions))
        return committed

    async def publish(self, offsets: Mapping[TP, int]) -> None:
        await self.call_thread(self._publish, offsets)

    async def _publish(self, offsets: Mapping[TP, int]) -> None:
        assigned = self.assignment()
        commits = {_kafka(tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items() if tp in assigned}
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT):
                await self._ensure_consumer().commit(commits)
        except (KafkaError, TimeoutError) as error:
            self.log.info("offsets not published, lag tools show older ones: %r", error)


class KafkaConsumer(BatchConsumer, driver.Consumer):
    """The part of the consumer that runs on the application's event loop, like the connection to PostgreSQL."""

    _thread: BatchThread

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    async def offset_ranges(self, partitions: Iterable[TP]) -> dict[TP, OffsetRange]:
        return await self._thread.offset_ranges(partitions)

    async def seek_stored(self, offsets: Mapping[TP, int]) -> None:
        await self._thread.seek_stored(offsets)

    async def seek_others(self, partitions: set[TP]) -> Mapping[TP, int]:
        return await self._thread.seek_others(partitions) if partitions else {}

    async def publish(self, offsets: Mapping[TP, int]) -> None:
        await self._thread.publish(offsets)


class KafkaTransport(driver.Transport):
    """The transport of an `EventApp` that reads from Kafka."""

    Consumer = KafkaConsumer


def _states(consumer: Any) -> Iterator[tuple[TP, Any]]:
    """aiokafka's internal state of each assigned partition."""
    assignment = consumer._subscription.subscription.assignment
    for partition in consumer.assignment():
        yield TP(*partition), assignment.state_value(partition)


def _kafka(tp: TP) -> KafkaPartition:
    return KafkaPartition(tp.topic, tp.partition)


def credentials(
    username: str | None, password: str | None, *, mechanism: str = "PLAIN", tls: ssl.SSLContext | None = None
) -> CredentialsT | None:
    """A Kafka login in Faust's form: SASL if there is a user name, else TLS; None without either."""
    if username:
        return SASLCredentials(username=username, password=password, mechanism=mechanism, ssl_context=tls)
    return SSLCredentials(tls) if tls else None
