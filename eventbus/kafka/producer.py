"""The sending half of a Kafka bus: everything sent is accounted for, as acknowledged or as failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from eventbus.errors import AccessDenied, AuthenticationFailed, BrokerUnreachable, DeliveryFailed, EventBusError
from eventbus.kafka.batching import CHUNK_BYTES, choose_partition, headers_for, pack, take_chunk
from eventbus.kafka.connection import Connection
from eventbus.kafka.errors import translate, translated
from eventbus.kafka.topics import Topics
from eventbus.record import ProducerRecord, RecordMetadata

Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]

BATCH_BYTES = 256 * 1024
"""Of one partition before compression; a broker takes 1 MiB unless told otherwise."""

GOODBYE_TIMEOUT = 0.5
"""Seconds that leaving a broker may take once nothing is in flight."""


@dataclass(frozen=True, kw_only=True)
class ProducerSettings:
    """How records travel."""

    compression: Compression = "zstd"
    """Here a fifth of the time that lz4 takes, which aiokafka runs at its slowest level, and smaller."""
    linger_ms: int = 0
    """Milliseconds that a record published alone waits for company; `publish_many` never waits."""
    max_in_flight_bytes: int = 16 << 20
    """Unacknowledged keys and values, about; what exceeds it waits."""
    delivery_timeout: float = 30.0
    """Seconds until a record without acknowledgement is reported as failed (it may still be in the log)."""


@dataclass(frozen=True, slots=True)
class DeliveryStatistics:
    """What became of the records: `sent = acknowledged + failed + in_flight`. A closed bus has none in flight."""

    sent: int = 0
    acknowledged: int = 0
    failed: int = 0

    @property
    def in_flight(self) -> int:
        return self.sent - self.acknowledged - self.failed


@dataclass(eq=False)
class Channel:
    """One aiokafka producer, and how many deliveries are using it."""

    producer: AIOKafkaProducer
    users: int = 0
    retired: bool = False


@dataclass(eq=False)
class Delivery:
    """Records on their way together: aiokafka's futures, each with the records it stands for, and the end."""

    records: list[ProducerRecord]
    promises: list[tuple[asyncio.Future[Any], int]] = field(default_factory=list)
    error: EventBusError | None = None

    @property
    def acknowledged(self) -> int:
        return sum(count for promise, count in self.promises if _kept(promise))

    @property
    def failed(self) -> int:
        return len(self.records) - self.acknowledged


Submit = Callable[[AIOKafkaProducer, Delivery], Awaitable[None]]


class Producer:
    """An idempotent producer with `acks=all` whose records are counted, and given up after a stated time.

    aiokafka retries an idempotent record for ever, and a record it refuses leaves a gap in the sequence numbers, for
    which the broker refuses the next ones. So after a failure the channel is retired: deliveries under way may end
    on it, and the next record opens another.
    """

    def __init__(self, connection: Connection, topics: Topics, settings: ProducerSettings) -> None:
        self._connection = connection
        self._topics = topics
        self._settings = settings
        self._channel: Channel | None = None
        self._order = asyncio.Lock()
        self._window = asyncio.Semaphore(max(1, settings.max_in_flight_bytes // CHUNK_BYTES))
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sent = self._acknowledged = self._failed = 0

    def statistics(self) -> DeliveryStatistics:
        """A snapshot of the account."""
        return DeliveryStatistics(self._sent, self._acknowledged, self._failed)

    async def prepare(self, topics: Iterable[str]) -> None:
        """Do beforehand what the first record to these topics would wait for."""
        async with self._order:
            channel = await self._open()
            channel.users -= 1
            await self._topics.ensure(topics)
            for topic in topics:
                with translated(f"topic {topic}"):
                    await channel.producer.partitions_for(topic)

    async def send(self, record: ProducerRecord) -> RecordMetadata:
        """Send one record and wait until it is acknowledged.

        Raises:
            TopicDenied, AccessDenied, AuthenticationFailed, BrokerUnreachable, DeliveryFailed: it was not.
        """
        delivery = await asyncio.shield(self._start([record], _submit_one))
        if delivery.error:
            raise delivery.error
        place = delivery.promises[0][0].result()
        return RecordMetadata(place.topic, place.partition, place.offset)

    async def send_many(self, records: Iterator[ProducerRecord]) -> int:
        """Send all, some chunks at a time, and wait until they are acknowledged; returns how many.

        When this is cancelled, the chunks already taken go on, and `close` waits for them. After a failure nothing
        more is taken from `records`.

        Raises:
            DeliveryFailed: some were not acknowledged; it has the counts.
            TopicDenied, AccessDenied, AuthenticationFailed, BrokerUnreachable: none was, for this reason.
        """
        tasks: list[asyncio.Task[Delivery]] = []
        while chunk := await self._next_chunk(records):
            task = self._start(chunk, _submit_batches)
            task.add_done_callback(lambda _: self._window.release())
            tasks.append(task)
            await asyncio.sleep(0)  # let it and others run: packing a chunk takes milliseconds
            if any(task.done() and task.result().error for task in tasks):
                break
        if tasks:
            await asyncio.wait(tasks)
        return _account([task.result() for task in tasks])

    async def close(self, timeout: float) -> None:
        """Wait for the deliveries under way, at most `timeout` seconds; what is left then has failed."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._channel:
            await _leave(self._channel.producer)
            self._channel = None

    async def _next_chunk(self, records: Iterator[ProducerRecord]) -> list[ProducerRecord]:
        """Waits for room first: what was taken could be lost by a cancellation. Empty at the end."""
        await self._window.acquire()
        chunk: list[ProducerRecord] = []
        try:
            chunk = take_chunk(records)
        finally:
            if not chunk:
                self._window.release()
        return chunk

    def _start(self, records: list[ProducerRecord], submit: Submit) -> asyncio.Task[Delivery]:
        """In a task of its own, so that who waits for it may stop waiting."""
        self._sent += len(records)
        task = asyncio.get_running_loop().create_task(self._deliver(Delivery(records), submit))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _deliver(self, delivery: Delivery, submit: Submit) -> Delivery:
        channel = None
        try:
            async with asyncio.timeout(self._settings.delivery_timeout):
                async with self._order:  # first come, first submitted
                    await self._topics.ensure({record.topic for record in delivery.records})
                    channel = await self._open()
                    await submit(channel.producer, delivery)
                await asyncio.wait([promise for promise, _ in delivery.promises])
        except asyncio.CancelledError:
            delivery.error = DeliveryFailed("the bus was closed before the broker acknowledged")
        except TimeoutError:
            delivery.error = DeliveryFailed(
                f"{self._connection.bootstrap_servers} did not acknowledge within {self._settings.delivery_timeout:g} s"
            )
        except (KafkaError, EventBusError, OSError) as error:
            delivery.error = translate(error, _about(delivery))
        finally:
            await self._settle(delivery, channel)
        return delivery

    async def _settle(self, delivery: Delivery, channel: Channel | None) -> None:
        """Write the account, and let go of the channel."""
        if delivery.failed and delivery.error is None:
            delivery.error = _refusal(delivery)
        self._acknowledged += delivery.acknowledged
        self._failed += delivery.failed
        if channel is None:
            return
        channel.users -= 1
        channel.retired |= delivery.error is not None
        if channel.retired and self._channel is channel:
            self._channel = None
        if channel.retired and not channel.users:
            await _leave(channel.producer)

    async def _open(self) -> Channel:
        """The channel to send on, connected; the caller is counted as one of its users."""
        if self._channel is None:
            self._channel = Channel(await self._connect())
        self._channel.users += 1
        return self._channel

    async def _connect(self) -> AIOKafkaProducer:
        await self._connection.probe()
        settings = self._settings
        producer = AIOKafkaProducer(
            **self._connection.client_arguments(),
            enable_idempotence=True,
            acks="all",
            compression_type=None if settings.compression == "none" else settings.compression,
            linger_ms=settings.linger_ms,
            max_batch_size=BATCH_BYTES,
        )
        try:
            with translated(f"connect to {self._connection.bootstrap_servers}"):
                async with asyncio.timeout(self._connection.connect_timeout):
                    await producer.start()
        except BaseException as error:
            advertised = ", ".join(f"{broker.host}:{broker.port}" for broker in producer.client.cluster.brokers())
            await producer.stop()
            if isinstance(error, BrokerUnreachable):
                raise self._connection.unreachable(f"the addresses it advertises do not: {advertised}") from error
            raise
        return producer


async def _submit_one(producer: AIOKafkaProducer, delivery: Delivery) -> None:
    """aiokafka collects records of concurrent calls into batches."""
    [record] = delivery.records
    partition = choose_partition(record, len(await producer.partitions_for(record.topic)))
    promise = await producer.send(
        record.topic,
        record.value,
        record.key,
        partition=partition,
        timestamp_ms=record.timestamp,
        headers=headers_for(record),
    )
    delivery.promises.append((promise, 1))


async def _submit_batches(producer: AIOKafkaProducer, delivery: Delivery) -> None:
    topics = {record.topic for record in delivery.records}
    counts = {topic: len(await producer.partitions_for(topic)) for topic in topics}
    for batch in pack(delivery.records, counts, producer.create_batch):
        promise = await producer.send_batch(batch.builder, batch.topic, partition=batch.partition)
        delivery.promises.append((promise, batch.size))


async def _leave(producer: AIOKafkaProducer) -> None:
    """What `AIOKafkaProducer.stop` does, without its flush, which waits for ever when the broker is gone."""
    producer._closed = True
    sender = producer._sender.sender_task
    sender.cancel()
    await asyncio.wait([sender], timeout=GOODBYE_TIMEOUT)
    closing = asyncio.ensure_future(producer.client.close())
    await asyncio.wait([closing], timeout=GOODBYE_TIMEOUT)


def _kept(promise: asyncio.Future[Any]) -> bool:
    return promise.done() and not promise.cancelled() and promise.exception() is None


def _refusal(delivery: Delivery) -> EventBusError:
    """Why the first of the records that failed did."""
    errors = (promise.exception() for promise, _ in delivery.promises if promise.done())
    error = next((error for error in errors if isinstance(error, Exception)), DeliveryFailed())
    return translate(error, _about(delivery))


def _about(delivery: Delivery) -> str:
    return f"publish to {', '.join(sorted({record.topic for record in delivery.records}))}"


def _account(deliveries: list[Delivery]) -> int:
    """The number acknowledged when all were, else the error."""
    acknowledged = sum(delivery.acknowledged for delivery in deliveries)
    failed = sum(delivery.failed for delivery in deliveries)
    error = next((delivery.error for delivery in deliveries if delivery.error), None)
    if error is None:
        return acknowledged
    if not acknowledged and isinstance(error, AccessDenied | AuthenticationFailed | BrokerUnreachable):
        raise error
    raise DeliveryFailed(
        f"{acknowledged:,} records acknowledged, {failed:,} failed: {error}", acknowledged=acknowledged, failed=failed
    ) from error
