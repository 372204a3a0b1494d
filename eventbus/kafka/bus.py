"""The bus on a real Kafka or Redpanda, over aiokafka."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self
from weakref import WeakSet

from eventbus.bus import AutoOffsetReset, TopicStrategy, topic_namer
from eventbus.errors import BusClosed
from eventbus.event import Event
from eventbus.kafka.connection import Connection
from eventbus.kafka.producer import Compression, DeliveryStatistics, Producer, ProducerSettings
from eventbus.kafka.security import KafkaSecurity
from eventbus.kafka.subscription import KafkaSubscription
from eventbus.kafka.topics import DEFAULT_PARTITIONS, TopicAdmin
from eventbus.record import ProducerRecord, RecordMetadata, record_of

PLAINTEXT = KafkaSecurity()


class KafkaBus:
    """An `EventBus` on Kafka with an idempotent producer and `acks=all`, which counts every record.

    It connects on first use; `async with` connects at once and reports a wrong address or password.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        topic_strategy: TopicStrategy = "domain",
        partitions: int | Mapping[str, int] = DEFAULT_PARTITIONS,
        security: KafkaSecurity = PLAINTEXT,
        compression: Compression = "none",
        linger_ms: int = 0,
        max_in_flight_bytes: int = 16 << 20,
        connect_timeout: float = 5.0,
        request_timeout: float = 10.0,
        delivery_timeout: float = 30.0,
        close_timeout: float = 10.0,
        client_id: str = "eventbus",
    ) -> None:
        """
        Args:
            bootstrap_servers: `host:port`, several separated by commas.
            topic_strategy: maps an event type to a topic.
            partitions: of topics created here, or a mapping from topic or domain to their number
                (`Catalog.partitions`).
            compression: of record batches. Stock Faust and aiokafka cannot read zstd, snappy or lz4: they need extras.
            linger_ms: milliseconds that `publish` waits for other records to share its batch.
            max_in_flight_bytes: approximate size of unacknowledged records beyond which publishing waits.
            connect_timeout: seconds until `BrokerUnreachable`.
            request_timeout: seconds for one request to one broker.
            delivery_timeout: seconds until an unacknowledged record has failed.
            close_timeout: seconds that `close` waits for acknowledgements.

        Raises:
            InvalidSettings: an address is not `host:port`.
        """
        self._connection = Connection(
            bootstrap_servers=bootstrap_servers,
            security=security,
            client_id=client_id,
            connect_timeout=connect_timeout,
            request_timeout=request_timeout,
        )
        self._topic_of = topic_namer(topic_strategy)
        self._admin = TopicAdmin(self._connection, partitions)
        settings = ProducerSettings(
            compression=compression,
            linger_ms=linger_ms,
            max_in_flight_bytes=max_in_flight_bytes,
            delivery_timeout=delivery_timeout,
        )
        self._producer = Producer(self._connection, self._admin, settings)
        self._subscriptions: WeakSet[KafkaSubscription] = WeakSet()
        self._close_timeout = close_timeout
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<KafkaBus {state} {self._connection.bootstrap_servers} {self.delivery_statistics()}>"

    async def __aenter__(self) -> Self:
        """Raises BrokerUnreachable or AuthenticationFailed, within `connect_timeout`."""
        self._check_open()
        await self._connection.check()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave all groups and wait for acknowledgements; afterwards, `sent = acknowledged + failed`."""
        self._closed = True
        await asyncio.gather(*(subscription.close() for subscription in list(self._subscriptions)))
        await self._producer.close(self._close_timeout)

    async def publish(self, event: Event, *, topic: str | None = None) -> RecordMetadata:
        """Publish one event and wait until all in-sync replicas have it.

        Raises:
            BusClosed
            BrokerUnreachable, AuthenticationFailed, TopicDenied, DeliveryFailed: it was not acknowledged.
        """
        self._check_open()
        return await self._producer.send(self._record(event, topic))

    async def publish_many(self, events: Iterable[Event | ProducerRecord]) -> int:
        """Publish many events, in order within each partition, and wait for all acknowledgements; returns their number.

        When cancelled, the events taken so far are still delivered, at the latest by `close`.

        Raises:
            TypeError: an item is neither an event nor a record.
            BusClosed
            DeliveryFailed: some were not acknowledged; the exception has the counts.
            BrokerUnreachable, AuthenticationFailed, TopicDenied: no event was acknowledged.
        """
        self._check_open()
        return await self._producer.send_many(self._records(events))

    def subscribe(
        self,
        topics: str | Iterable[str],
        *,
        group: str | None = None,
        auto_offset_reset: AutoOffsetReset = "earliest",
        auto_commit: bool = True,
    ) -> KafkaSubscription:
        """Read topics from a group's committed offsets on, or from `auto_offset_reset` where there are none."""
        self._check_open()
        subscription = KafkaSubscription(
            self._connection,
            self._admin,
            (topics,) if isinstance(topics, str) else tuple(topics),
            group=group,
            auto_offset_reset=auto_offset_reset,
            auto_commit=auto_commit,
            close_timeout=self._close_timeout,
        )
        self._subscriptions.add(subscription)
        return subscription

    async def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Create the topics that do not exist, with these numbers of partitions.

        Raises:
            TopicDenied, InvalidTopic, BrokerUnreachable
        """
        self._check_open()
        await self._admin.create(partitions)

    async def prepare(self, topics: Iterable[str]) -> None:
        """Create those of the topics that do not exist and connect, so that the first event need not wait for it.

        Raises:
            TopicDenied, InvalidTopic, BrokerUnreachable
        """
        self._check_open()
        await self._producer.prepare(topics)

    def delivery_statistics(self) -> DeliveryStatistics:
        """Records sent, acknowledged and failed."""
        return self._producer.statistics()

    def _records(self, events: Iterable[Event | ProducerRecord]) -> Iterator[ProducerRecord]:
        for event in events:
            if isinstance(event, ProducerRecord):
                yield event
            elif isinstance(event, Event):
                yield self._record(event, None)
            else:
                raise TypeError(f"expected an Event or a ProducerRecord, got {event!r}")

    def _record(self, event: Event, topic: str | None) -> ProducerRecord:
        return record_of(event, topic or self._topic_of(event.event_type))._replace(headers=event.headers)

    def _check_open(self) -> None:
        if self._closed:
            raise BusClosed
