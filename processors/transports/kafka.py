"""Faust's own Kafka transport, with chunks instead of messages and PostgreSQL as the keeper of progress."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from processors.transports.chunks import Bounds, Chunk, ChunkConsumer


class ChunkThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to Kafka. It cuts the chunks, because only here seeking and fetching have an order."""

    consumer: KafkaConsumer

    def __post_init__(self) -> None:
        super().__post_init__()
        self._next: dict[TP, int] = {}

    async def seek_chunks(self, offsets: Mapping[TP, int]) -> None:
        await self.call_thread(self._seek_chunks, offsets)

    async def _seek_chunks(self, offsets: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        for tp, offset in offsets.items():
            consumer.seek(_kafka(tp), offset)
            self._next[tp] = offset

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> dict[TP, Any]:
        fetched = await super()._fetch_records(consumer, *args, **kwargs)
        return {TP(*tp): cut for tp, records in fetched.items() if (cut := self._cut(TP(*tp), records))}

    def _cut(self, tp: TP, records: list[Any]) -> Any:
        """A chunk; nothing before the first seek of an assignment, when aiokafka reads from where it likes."""
        if not records or not self.consumer.is_chunked(tp):
            return records
        start, end = self._next.get(tp), records[-1].offset + 1
        if start is None:
            return None
        self._next[tp] = end
        return Chunk(start, end, [(record.offset, record.value) for record in records])

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._next.clear()
        await super().on_partitions_revoked(revoked)

    async def bounds(self, partitions: Iterable[TP]) -> dict[TP, Bounds]:
        found: dict[TP, Bounds] = await self.call_thread(self._bounds, [_kafka(tp) for tp in partitions])
        return found

    async def _bounds(self, partitions: list[KafkaPartition]) -> dict[TP, Bounds]:
        consumer = self._ensure_consumer()
        earliest = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
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
            await self._ensure_consumer().commit(told)
        except (KafkaError, IllegalStateError) as error:
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


def _kafka(tp: TP) -> KafkaPartition:
    return KafkaPartition(tp.topic, tp.partition)
