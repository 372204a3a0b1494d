"""Faust's own Kafka transport, with chunks instead of messages and PostgreSQL as the keeper of progress."""

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

from eventbus.processors.faust_app.chunks import Bounds, Chunk, ChunkConsumer, PositionMoved

PUBLISH_WITHIN = 0.5
"""Seconds: nobody waits for what is only shown."""

LEAVE_WITHIN = 1.0
"""Seconds."""


class ChunkThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to Kafka. It cuts the chunks, because only here seeking and fetching have an order."""

    consumer: KafkaConsumer

    def __post_init__(self) -> None:
        super().__post_init__()
        self._next: dict[TP, int] = {}
        self._ends: dict[TP, int] = {}

    def highwater(self, tp: TP) -> int:
        """As of the latest fetch, so that it can be asked at any time and from the other thread."""
        return self._ends.get(tp, 0)

    async def seek_chunks(self, offsets: Mapping[TP, int]) -> None:
        await self.call_thread(self._seek_chunks, offsets)

    async def _seek_chunks(self, offsets: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        for tp, offset in offsets.items():
            try:
                consumer.seek(_kafka(tp), offset)
            except IllegalStateError:
                self.log.info("%s was revoked while it was being sought", tp)
            else:
                self._next[tp] = offset

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> dict[TP, Any]:
        fetched = await super()._fetch_records(consumer, *args, **kwargs)
        others = {TP(*tp): records for tp, records in fetched.items() if not self.consumer.is_chunked(TP(*tp))}
        chunks = {tp: self._chunk(tp, fetched.get(tp, []), state) for tp, state in _states(consumer)}
        return {**others, **{tp: chunk for tp, chunk in chunks.items() if chunk}}

    def _chunk(self, tp: TP, records: list[Any], state: Any) -> Chunk | None:
        """What the position has moved over, be it without a record: a transaction's mark, something compacted away.

        Nothing before the first seek of an assignment, when aiokafka reads from where it likes.
        """
        self._ends[tp] = state.highwater or self._ends.get(tp, 0)
        start = self._next.get(tp)
        if start is None or not state.has_valid_position:
            return None
        end: int = state.position
        if end == start:
            return None
        if end < start:
            raise PositionMoved(f"{tp}: expected to read on from {start}, but the log was read from {end} on")
        self._next[tp] = end
        return Chunk(start, end, [(record.offset, record.value) for record in records])

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._next.clear()
        self._ends.clear()
        await super().on_partitions_revoked(revoked)

    async def on_thread_stop(self) -> None:
        """Say goodbye to the group; a broker that does not answer is left without."""
        try:
            async with asyncio.timeout(LEAVE_WITHIN):
                await super().on_thread_stop()
        except (KafkaError, TimeoutError, asyncio.CancelledError):  # aiokafka lets out the cancelling of its fetches
            self.log.info("The broker does not answer; it will miss us when the session times out")

    async def bounds(self, partitions: Iterable[TP]) -> dict[TP, Bounds]:
        found: dict[TP, Bounds] = await self.call_thread(self._bounds, [_kafka(tp) for tp in partitions])
        return found

    async def _bounds(self, partitions: list[KafkaPartition]) -> dict[TP, Bounds]:
        consumer = self._ensure_consumer()
        earliest = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        self._ends |= {TP(*tp): end for tp, end in ends.items()}
        return {TP(*tp): Bounds(earliest[tp], ends[tp]) for tp in partitions}

    async def seek_rest(self, partitions: set[TP]) -> Mapping[TP, int]:
        seek = self._ensure_consumer().seek_to_committed
        committed: Mapping[TP, int] = await self.call_thread(seek, *map(_kafka, partitions))
        return committed

    async def publish(self, offsets: Mapping[TP, int]) -> None:
        await self.call_thread(self._publish, offsets)

    async def _publish(self, offsets: Mapping[TP, int]) -> None:
        assigned = self.assignment()
        told = {_kafka(tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items() if tp in assigned}
        try:
            async with asyncio.timeout(PUBLISH_WITHIN):
                await self._ensure_consumer().commit(told)
        except (KafkaError, TimeoutError) as error:
            self.log.info("Lag tools will show an older position, nothing else: %r", error)


class KafkaConsumer(ChunkConsumer, driver.Consumer):
    """The side of the consumer that lives on the application's loop, as does the connection to PostgreSQL."""

    _thread: ChunkThread

    def _new_consumer_thread(self) -> ChunkThread:
        return ChunkThread(self, loop=self.loop, beacon=self.beacon)

    async def bounds(self, partitions: Iterable[TP]) -> dict[TP, Bounds]:
        return await self._thread.bounds(partitions)

    async def seek_chunks(self, offsets: Mapping[TP, int]) -> None:
        await self._thread.seek_chunks(offsets)

    async def seek_rest(self, partitions: set[TP]) -> Mapping[TP, int]:
        return await self._thread.seek_rest(partitions) if partitions else {}

    async def publish(self, offsets: Mapping[TP, int]) -> None:
        await self._thread.publish(offsets)


class KafkaTransport(driver.Transport):
    """Give it to `app.transport`; the application must have a `progress`."""

    Consumer = KafkaConsumer


def _states(consumer: Any) -> Iterator[tuple[TP, Any]]:
    """aiokafka's own account of each assigned partition."""
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
