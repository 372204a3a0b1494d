"""Producer of the Kafka bus: counts every record sent as acknowledged or failed."""

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
from eventbus.kafka.errors import map_exception, map_exceptions
from eventbus.kafka.topics import TopicAdmin
from eventbus.record import ProducerRecord, RecordMetadata

Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]

BATCH_BYTES = 256 * 1024
"""Size limit of a batch before compression; brokers accept 1 MiB by default."""

CLOSE_TIMEOUT = 0.5
"""Seconds for closing the connections once nothing is in flight."""


@dataclass(frozen=True, kw_only=True)
class ProducerSettings:
    """How records are batched, compressed and given up."""

    compression: Compression = "none"
    """As in Kafka's own clients: consumers without the extras of aiokafka read nothing but gzip. zstd takes a fifth of
    the time of lz4, which aiokafka runs at its slowest level, and compresses better."""
    linger_ms: int = 0
    """Milliseconds that a single record waits for others to share its batch; `publish_many` does not wait."""
    max_in_flight_bytes: int = 16 << 20
    """Approximate limit of unacknowledged keys and values; `publish_many` waits beyond it."""
    delivery_timeout: float = 30.0
    """Seconds until an unacknowledged record is reported as failed, although it may be in the log."""


@dataclass(frozen=True, slots=True)
class DeliveryStatistics:
    """Counters of the producer: `sent = acknowledged + failed + in_flight`. A closed bus has none in flight."""

    sent: int = 0
    acknowledged: int = 0
    failed: int = 0

    @property
    def in_flight(self) -> int:
        return self.sent - self.acknowledged - self.failed


@dataclass(eq=False)
class ProducerSession:
    """An aiokafka producer and the number of pending batches that use it."""

    producer: AIOKafkaProducer
    users: int = 0
    retired: bool = False
    """Set after a failure: no further batch uses it."""


@dataclass(eq=False)
class PendingBatch:
    """Records sent together, with aiokafka's futures and the number of records of each."""

    records: list[ProducerRecord]
    futures: list[tuple[asyncio.Future[Any], int]] = field(default_factory=list)
    error: EventBusError | None = None

    @property
    def acknowledged(self) -> int:
        return sum(count for future, count in self.futures if _succeeded(future))

    @property
    def failed(self) -> int:
        return len(self.records) - self.acknowledged


Submit = Callable[[AIOKafkaProducer, PendingBatch], Awaitable[None]]


class Producer:
    """An idempotent producer with `acks=all` that counts its records and gives up after `delivery_timeout`.

    aiokafka retries an idempotent record without limit, and a refused record leaves a gap in the sequence numbers that
    makes the broker refuse the following ones. So a failure retires the session: pending batches finish on it, and the
    next record opens a new one.
    """

    def __init__(self, connection: Connection, topics: TopicAdmin, settings: ProducerSettings) -> None:
        self._connection = connection
        self._topics = topics
        self._settings = settings
        self._session: ProducerSession | None = None
        self._order = asyncio.Lock()
        self._window = asyncio.Semaphore(max(1, settings.max_in_flight_bytes // CHUNK_BYTES))
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sent = self._acknowledged = self._failed = 0

    def statistics(self) -> DeliveryStatistics:
        """Records sent, acknowledged and failed so far."""
        return DeliveryStatistics(self._sent, self._acknowledged, self._failed)

    async def prepare(self, topics: Iterable[str]) -> None:
        """Connect and create the topics, so that the first record need not wait for it."""
        async with self._order:
            session = await self._open()
            session.users -= 1
            await self._topics.ensure(topics)
            for topic in topics:
                with map_exceptions(f"topic {topic}"):
                    await session.producer.partitions_for(topic)

    async def send(self, record: ProducerRecord) -> RecordMetadata:
        """Send one record and wait until it is acknowledged.

        Raises:
            TopicDenied, AccessDenied, AuthenticationFailed, BrokerUnreachable, DeliveryFailed: it was not acknowledged.
        """
        pending = await asyncio.shield(self._start([record], _submit_one))
        if pending.error:
            raise pending.error
        metadata = pending.futures[0][0].result()
        return RecordMetadata(metadata.topic, metadata.partition, metadata.offset)

    async def send_many(self, records: Iterator[ProducerRecord]) -> int:
        """Send all records in chunks and wait until they are acknowledged; returns their number.

        When cancelled, the chunks taken so far are still delivered, at the latest by `close`. After a failure, no more
        records are taken.

        Raises:
            DeliveryFailed: some were not acknowledged; the exception has the counts.
            TopicDenied, AccessDenied, AuthenticationFailed, BrokerUnreachable: no record was acknowledged.
        """
        tasks: list[asyncio.Task[PendingBatch]] = []
        while chunk := await self._next_chunk(records):
            task = self._start(chunk, _submit_batches)
            task.add_done_callback(lambda _: self._window.release())
            tasks.append(task)
            await asyncio.sleep(0)  # lets other tasks run: packing a chunk takes milliseconds
            if any(task.done() and task.result().error for task in tasks):
                break
        if tasks:
            await asyncio.wait(tasks)
        return _count_acknowledged([task.result() for task in tasks])

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for pending batches; the rest has failed."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._session:
            await _close_producer(self._session.producer)
            self._session = None

    async def _next_chunk(self, records: Iterator[ProducerRecord]) -> list[ProducerRecord]:
        """The next records, empty at the end; waits for room before taking them, so that a cancellation loses none."""
        await self._window.acquire()
        chunk: list[ProducerRecord] = []
        try:
            chunk = take_chunk(records)
        finally:
            if not chunk:
                self._window.release()
        return chunk

    def _start(self, records: list[ProducerRecord], submit: Submit) -> asyncio.Task[PendingBatch]:
        """Deliver in a task of its own, which a cancellation of the caller does not cancel."""
        self._sent += len(records)
        task = asyncio.get_running_loop().create_task(self._deliver(PendingBatch(records), submit))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _deliver(self, pending: PendingBatch, submit: Submit) -> PendingBatch:
        session = None
        try:
            async with asyncio.timeout(self._settings.delivery_timeout):
                async with self._order:  # submits in the order of the calls
                    await self._topics.ensure({record.topic for record in pending.records})
                    session = await self._open()
                    await submit(session.producer, pending)
                await asyncio.wait([future for future, _ in pending.futures])
        except asyncio.CancelledError:
            pending.error = DeliveryFailed("the bus was closed before the broker acknowledged")
        except TimeoutError:
            pending.error = DeliveryFailed(
                f"{self._connection.bootstrap_servers} did not acknowledge within {self._settings.delivery_timeout:g} s"
            )
        except (KafkaError, EventBusError, OSError) as error:
            pending.error = map_exception(error, _action(pending))
        finally:
            await self._finish(pending, session)
        return pending

    async def _finish(self, pending: PendingBatch, session: ProducerSession | None) -> None:
        """Count the records, and close the session if it is retired and unused."""
        if pending.failed and pending.error is None:
            pending.error = _delivery_error(pending)
        self._acknowledged += pending.acknowledged
        self._failed += pending.failed
        if session is None:
            return
        session.users -= 1
        session.retired |= pending.error is not None
        if session.retired and self._session is session:
            self._session = None
        if session.retired and not session.users:
            await _close_producer(session.producer)

    async def _open(self) -> ProducerSession:
        """The current session, connected, with the caller counted among its users."""
        if self._session is None:
            self._session = ProducerSession(await self._connect())
        self._session.users += 1
        return self._session

    async def _connect(self) -> AIOKafkaProducer:
        await self._connection.check()
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
            with map_exceptions(f"connect to {self._connection.bootstrap_servers}"):
                async with asyncio.timeout(self._connection.connect_timeout):
                    await producer.start()
        except BaseException as error:
            advertised = ", ".join(f"{broker.host}:{broker.port}" for broker in producer.client.cluster.brokers())
            await producer.stop()
            if isinstance(error, BrokerUnreachable):
                raise self._connection.unreachable(f"the addresses it advertises do not: {advertised}") from error
            raise
        return producer


async def _submit_one(producer: AIOKafkaProducer, pending: PendingBatch) -> None:
    """Submit one record; aiokafka collects those of concurrent calls into batches."""
    [record] = pending.records
    partition = choose_partition(record, len(await producer.partitions_for(record.topic)))
    future = await producer.send(
        record.topic,
        record.value,
        record.key,
        partition=partition,
        timestamp_ms=record.timestamp,
        headers=headers_for(record),
    )
    pending.futures.append((future, 1))


async def _submit_batches(producer: AIOKafkaProducer, pending: PendingBatch) -> None:
    topics = {record.topic for record in pending.records}
    counts = {topic: len(await producer.partitions_for(topic)) for topic in topics}
    for batch in pack(pending.records, counts, producer.create_batch):
        future = await producer.send_batch(batch.builder, batch.topic, partition=batch.partition)
        pending.futures.append((future, batch.size))


async def _close_producer(producer: AIOKafkaProducer) -> None:
    """`AIOKafkaProducer.stop` without its flush, which does not end while the broker is away."""
    producer._closed = True
    sender = producer._sender.sender_task
    sender.cancel()
    await asyncio.wait([sender], timeout=CLOSE_TIMEOUT)
    closing = asyncio.ensure_future(producer.client.close())
    await asyncio.wait([closing], timeout=CLOSE_TIMEOUT)


def _succeeded(future: asyncio.Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _delivery_error(pending: PendingBatch) -> EventBusError:
    """The error of the first record that failed."""
    errors = (future.exception() for future, _ in pending.futures if future.done())
    error = next((error for error in errors if isinstance(error, Exception)), DeliveryFailed())
    return map_exception(error, _action(pending))


def _action(pending: PendingBatch) -> str:
    return f"publish to {', '.join(sorted({record.topic for record in pending.records}))}"


def _count_acknowledged(batches: list[PendingBatch]) -> int:
    """The number of records acknowledged; raises if one failed."""
    acknowledged = sum(pending.acknowledged for pending in batches)
    failed = sum(pending.failed for pending in batches)
    error = next((pending.error for pending in batches if pending.error), None)
    if error is None:
        return acknowledged
    if not acknowledged and isinstance(error, AccessDenied | AuthenticationFailed | BrokerUnreachable):
        raise error
    raise DeliveryFailed(
        f"{acknowledged:,} records acknowledged, {failed:,} failed: {error}", acknowledged=acknowledged, failed=failed
    ) from error
