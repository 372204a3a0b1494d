"""Faust over the in-process bus: no broker, no threads, no waiting for a group to form."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from itertools import chain
from typing import Any, cast

from faust.transport import base
from faust.types import TP, ConsumerMessage, RecordMetadata
from mode import Service
from yarl import URL

from eventbus.broker.batch import RecordBatch
from eventbus.errors import BusClosed, IllegalGeneration, NotAssigned, UnknownMember
from eventbus.event import now_us
from eventbus.inprocess import InProcessBus
from eventbus.inprocess.consumer import InProcessConsumer
from eventbus.processors.faust_app.chunks import Bounds, Chunk, ChunkConsumer
from eventbus.record import ConsumerRecord, ProducerRecord, TopicPartition

Partitions = frozenset[TopicPartition]


class BusConsumer(ChunkConsumer):
    """A member of a group of the bus."""

    consumer_stopped_errors = (BusClosed,)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._reader: InProcessConsumer | None = None
        self._subscribed = asyncio.Event()
        self._fetched: asyncio.Queue[tuple[int, dict[TP, Any]]] = asyncio.Queue(maxsize=1)
        self._seeks = 0  # what was fetched before the latest seek is not wanted any more
        self._next: dict[TP, int] = {}
        self._generation = 0

    @property
    def reader(self) -> InProcessConsumer:
        assert self._reader is not None, "subscribe first"
        return self._reader

    async def on_stop(self) -> None:
        await super().on_stop()
        if self._reader is not None:
            await self._reader.close()

    # Membership

    async def subscribe(self, topics: Iterable[str]) -> None:
        bus = cast(BusTransport, self.transport).bus
        left, self._reader = self._reader, bus.consumer(topics, group=self.app.conf.id, on_rebalance=self._rebalanced)
        if left is not None:
            await left.close()
        self._subscribed.set()

    def assignment(self) -> set[TP]:
        return {TP(*partition) for partition in self._reader.assignment()} if self._reader else set()

    async def _rebalanced(self, assigned: Partitions, revoked: Partitions) -> None:
        """Called by the bus, as a Kafka client would call its rebalance listener."""
        if revoked or not self.app.rebalancing:
            self.app.on_rebalance_start()
            self._next.clear()
            await self.on_partitions_revoked({TP(*partition) for partition in revoked})
        if not revoked:
            self._generation += 1
            self.app.consumer_generation_id = self._generation
            await self.on_partitions_assigned({TP(*partition) for partition in assigned}, self._generation)

    # Reading

    @Service.task
    async def _read(self) -> None:
        """Poll for as long as we run: records, and the membership that Faust's own fetching waits for."""
        await self._subscribed.wait()
        await self.reader.ready()
        if not self.reader.assignment():
            await self._rebalanced(frozenset(), frozenset())  # other members have it all; Faust waits for an answer
        while not self.should_stop:
            reader = self.reader
            try:
                found = await reader.poll(self.app.conf.broker_max_poll_records)
            except BusClosed:
                if reader is self._reader and not self.should_stop:
                    raise
                continue  # subscribed anew, or stopping
            cuts = {TP(*p): cut for p, batches in found.items() if (cut := self._cut(p, batches))}
            await self._fetched.put((self._seeks, cuts))

    def _cut(self, partition: TopicPartition, batches: list[RecordBatch]) -> Any:
        """A chunk; nothing before the first seek of an assignment."""
        if not self.is_chunked(tp := TP(*partition)):
            return [record for batch in batches for record in batch.records(*partition)]
        start, end = self._next.get(tp), batches[-1].next_offset
        if start is None:
            return None
        self._next[tp] = end
        values = chain.from_iterable(batch.values for batch in batches)
        return Chunk(start, end, list(zip(range(batches[0].base_offset, end), values, strict=True)))

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, Any]:
        try:
            seeks, cuts = await asyncio.wait_for(self._fetched.get(), timeout)
        except TimeoutError:
            return {}
        return cuts if seeks == self._seeks else {}

    def _to_message(self, tp: TP, record: ConsumerRecord) -> ConsumerMessage:
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            record.offset,
            record.timestamp / 1000,
            0,
            list(record.headers),
            record.key,
            record.value,
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    # Positions

    async def seek_chunks(self, offsets: Mapping[TP, int]) -> None:
        for tp, offset in offsets.items():
            self._next[tp] = offset
            await self._seek(tp, offset)

    async def seek_rest(self, partitions: set[TP]) -> dict[TP, int]:
        committed = {tp: self.reader.committed(_ours(tp)) for tp in partitions}
        positions = {tp: self.reader.beginning_offset(_ours(tp)) if at is None else at for tp, at in committed.items()}
        for tp, offset in positions.items():
            await self._seek(tp, offset)
        return positions

    async def _seek(self, partition: TP, offset: int) -> None:
        self._seeks += 1
        try:
            self.reader.seek(_ours(partition), offset)
        except NotAssigned:
            self.log.info("%s was revoked while it was being sought", partition)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        for tp, offset in partitions.items():
            await self.seek(tp, offset)

    async def position(self, tp: TP) -> int:
        return self.reader.position(_ours(tp))

    async def bounds(self, partitions: Iterable[TP]) -> dict[TP, Bounds]:
        return {tp: Bounds(self.reader.beginning_offset(_ours(tp)), self.highwater(tp)) for tp in partitions}

    def highwater(self, tp: TP) -> int:
        return self.reader.high_watermark(_ours(tp))

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        return {tp: self.highwater(tp) for tp in partitions}

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        return {tp: self.reader.beginning_offset(_ours(tp)) for tp in partitions}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        try:
            self.reader.commit({_ours(tp): offset for tp, offset in offsets.items()})
        except (IllegalGeneration, UnknownMember):
            return False  # a rebalance came first
        return True

    async def publish(self, offsets: Mapping[TP, int]) -> None:
        assigned = self.assignment()
        await self._commit({tp: offset for tp, offset in offsets.items() if tp in assigned})

    # The rest of what Faust asks a consumer

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    def topic_partitions(self, topic: str) -> int | None:
        return sum(partition.topic == topic for partition in self.reader.assignment()) or None

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        return partition  # the bus routes

    async def create_topic(self, topic: str, partitions: int, replication: int, **_: Any) -> None:
        await cast(BusTransport, self.transport).bus.create_topics({topic: partitions})


class BusProducer(base.Producer):
    """What `topic.send` of an agent needs. Offsets are not told (-1), as by a Kafka producer with acks=0."""

    async def send(  # noqa: PLR0917 - Faust's signature
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:
        if partition is not None:
            raise ValueError(f"expected no partition, because the bus routes by key; got {partition}")
        when = now_us() // 1000 if timestamp is None else int(timestamp * 1000)
        pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
        await self._bus.publish_many([ProducerRecord(topic, key, value, when, tuple(pairs))])
        sent: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        sent.set_result(RecordMetadata(topic, -1, TP(topic, -1), -1, when, 0))
        return sent

    async def send_and_wait(self, *args: Any, **options: Any) -> RecordMetadata:
        return await (await self.send(*args, **options))

    async def flush(self) -> None:
        await self.buffer.flush()

    async def create_topic(self, topic: str, partitions: int, replication: int, **_: Any) -> None:
        await self._bus.create_topics({topic: partitions})

    def supports_headers(self) -> bool:
        return True

    @property
    def _bus(self) -> InProcessBus:
        return cast(BusTransport, self.transport).bus


class BusTransport(base.Transport):
    """Give it to `app.transport`; the application must have a `progress`.

    Args:
        bus: lives on the loop that runs the application.
        app: the Faust application.
    """

    Consumer = BusConsumer
    Producer = BusProducer
    driver_version = "in-process"

    def __init__(self, bus: InProcessBus, app: Any) -> None:
        super().__init__([URL("bus://")], app)
        self.bus = bus


def _ours(tp: TP) -> TopicPartition:
    return TopicPartition(tp.topic, tp.partition)
