"""A Faust transport for the in-process bus: without a broker, threads, or the delay of a group rebalance."""

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
from eventbus.inprocess.consumer import InProcessConsumer, Partitions
from eventbus.processors.faust_app.consumer import BatchConsumer
from eventbus.processors.ingest.router import FetchedBatch, OffsetRange
from eventbus.record import ConsumerRecord, ProducerRecord, TopicPartition


class BusConsumer(BatchConsumer):
    """A member of a consumer group of the bus."""

    consumer_stopped_errors = (BusClosed,)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._member: InProcessConsumer | None = None
        self._subscribed = asyncio.Event()
        self._fetched: asyncio.Queue[tuple[int, dict[TP, Any]]] = asyncio.Queue(maxsize=1)
        self._seeks = 0  # records fetched before the latest seek are dropped
        self._next: dict[TP, int] = {}
        self._generation = 0

    @property
    def member(self) -> InProcessConsumer:
        """The bus's own consumer."""
        assert self._member is not None, "subscribe first"
        return self._member

    async def on_stop(self) -> None:
        await super().on_stop()
        if self._member is not None:
            await self._member.close()

    # Membership

    async def subscribe(self, topics: Iterable[str]) -> None:
        bus = cast(BusTransport, self.transport).bus
        previous = self._member
        self._member = bus.consumer(topics, group=self.app.conf.id, on_rebalance=self._on_rebalance)
        if previous is not None:
            await previous.close()
        self._subscribed.set()

    def assignment(self) -> set[TP]:
        return {TP(*partition) for partition in self._member.assignment()} if self._member else set()

    async def _on_rebalance(self, assigned: Partitions, revoked: Partitions) -> None:
        """The rebalance listener."""
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
        """Poll records until the consumer stops; polling also joins the group, which Faust's own fetching waits for."""
        await self._subscribed.wait()
        await self.member.ready()
        if not self.member.assignment():
            # other members have all partitions; Faust waits for an assignment, even an empty one
            await self._on_rebalance(frozenset(), frozenset())
        while not self.should_stop:
            member = self.member
            try:
                polled = await member.poll(self.app.conf.broker_max_poll_records)
            except BusClosed:
                if member is self._member and not self.should_stop:
                    raise
                continue  # subscribed again, or stopping
            fetched = {TP(*p): records for p, batches in polled.items() if (records := self._records(p, batches))}
            await self._fetched.put((self._seeks, fetched))

    def _records(self, partition: TopicPartition, batches: list[RecordBatch]) -> Any:
        """A fetched batch, or the records of a topic that is not stored; None before the first seek."""
        if not self.is_stored(tp := TP(*partition)):
            return [record for batch in batches for record in batch.records(*partition)]
        start, end = self._next.get(tp), batches[-1].next_offset
        if start is None:
            return None
        self._next[tp] = end
        values = chain.from_iterable(batch.values for batch in batches)
        return FetchedBatch(start, end, list(zip(range(batches[0].base_offset, end), values, strict=True)))

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, Any]:
        try:
            seeks, fetched = await asyncio.wait_for(self._fetched.get(), timeout)
        except TimeoutError:
            return {}
        return fetched if seeks == self._seeks else {}

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

    async def seek_stored(self, offsets: Mapping[TP, int]) -> None:
        for tp, offset in offsets.items():
            self._next[tp] = offset
            await self._seek(tp, offset)

    async def seek_others(self, partitions: set[TP]) -> dict[TP, int]:
        offsets: dict[TP, int] = {}
        for tp in partitions:
            committed = self.member.committed(_partition(tp))
            offsets[tp] = self.member.beginning_offset(_partition(tp)) if committed is None else committed
            await self._seek(tp, offsets[tp])
        return offsets

    async def _seek(self, partition: TP, offset: int) -> None:
        self._seeks += 1
        try:
            self.member.seek(_partition(partition), offset)
        except NotAssigned:
            self.log.info("%s was revoked during a seek", partition)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        for tp, offset in partitions.items():
            await self.seek(tp, offset)

    async def position(self, tp: TP) -> int:
        return self.member.position(_partition(tp))

    async def offset_ranges(self, partitions: Iterable[TP]) -> dict[TP, OffsetRange]:
        return {tp: OffsetRange(self.member.beginning_offset(_partition(tp)), self.highwater(tp)) for tp in partitions}

    def highwater(self, tp: TP) -> int:
        return self.member.high_watermark(_partition(tp))

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        return {tp: self.highwater(tp) for tp in partitions}

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        return {tp: self.member.beginning_offset(_partition(tp)) for tp in partitions}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        try:
            self.member.commit({_partition(tp): offset for tp, offset in offsets.items()})
        except (IllegalGeneration, UnknownMember):
            return False  # after a rebalance
        return True

    async def publish(self, offsets: Mapping[TP, int]) -> None:
        assigned = self.assignment()
        await self._commit({tp: offset for tp, offset in offsets.items() if tp in assigned})

    # Other methods that Faust requires

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    def topic_partitions(self, topic: str) -> int | None:
        return sum(partition.topic == topic for partition in self.member.assignment()) or None

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        return partition  # the bus chooses the partition

    async def create_topic(self, topic: str, partitions: int, replication: int, **_: Any) -> None:
        await cast(BusTransport, self.transport).bus.create_topics({topic: partitions})


class BusProducer(base.Producer):
    """Publishes what agents `send` to topics. The offset is unknown (-1), as with a Kafka producer with acks=0."""

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
            raise ValueError(f"expected no partition, because the bus chooses it by key; got {partition}")
        timestamp_ms = now_us() // 1000 if timestamp is None else int(timestamp * 1000)
        pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
        await self._bus.publish_many([ProducerRecord(topic, key, value, timestamp_ms, tuple(pairs))])
        sent: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        sent.set_result(RecordMetadata(topic, -1, TP(topic, -1), -1, timestamp_ms, 0))
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
    """The transport of an `EventApp` that reads from an in-process bus.

    Args:
        bus: on the event loop that runs the application.
        app: the Faust application.
    """

    Consumer = BusConsumer
    Producer = BusProducer
    driver_version = "in-process"

    def __init__(self, bus: InProcessBus, app: Any) -> None:
        super().__init__([URL("bus://")], app)
        self.bus = bus


def _partition(tp: TP) -> TopicPartition:
    return TopicPartition(tp.topic, tp.partition)
