"""The bus on a real Kafka or Redpanda: the same protocol as in process, on aiokafka."""

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
from eventbus.kafka.topics import DEFAULT_PARTITIONS, Topics
from eventbus.record import ProducerRecord, RecordMetadata, record_of

PLAINTEXT = KafkaSecurity()


class KafkaBus:
    """An `EventBus` on Kafka: idempotent, acknowledged by all replicas in sync, and every record accounted for.

    It connects on first use; `async with` connects at once, so that a wrong address or password shows there.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        topic_strategy: TopicStrategy = "domain",
        partitions: int | Mapping[str, int] = DEFAULT_PARTITIONS,
        security: KafkaSecurity = PLAINTEXT,
        compression: Compression = "zstd",
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
            bootstrap_servers: `host:port`, several joined by commas.
            topic_strategy: how an event type finds its topic.
            partitions: of topics made here; a mapping gives them by topic or domain (`Catalog.partitions`).
            compression: of record batches.
            linger_ms: milliseconds that `publish` waits for other records to share its batch.
            max_in_flight_bytes: publishers wait while about so much is not acknowledged yet.
            connect_timeout: seconds until `BrokerUnreachable`.
            request_timeout: seconds for one request to one broker.
            delivery_timeout: seconds until a record without acknowledgement has failed.
            close_timeout: seconds that `close` waits for acknowledgements.

        Raises:
            InvalidSettings: the address is not one.
        """
        self._connection = Connection(
            bootstrap_servers=bootstrap_servers,
            security=security,
            client_id=client_id,
            connect_timeout=connect_timeout,
            request_timeout=request_timeout,
        )
        self._topic_of = topic_namer(topic_strategy)
        self._topics = Topics(self._connection, partitions)
        settings = ProducerSettings(
            compression=compression,
            linger_ms=linger_ms,
            max_in_flight_bytes=max_in_flight_bytes,
            delivery_timeout=delivery_timeout,
        )
        self._producer = Producer(self._connection, self._topics, settings)
        self._subscriptions: WeakSet[KafkaSubscription] = WeakSet()
        self._close_timeout = close_timeout
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<KafkaBus {state} {self._connection.bootstrap_servers} {self.statistics()}>"

    async def __aenter__(self) -> Self:
        """Raises BrokerUnreachable or AuthenticationFailed, within `connect_timeout`."""
        self._check_open()
        await self._connection.probe()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for acknowledgements and leave all groups; afterwards `sent = acknowledged + failed`."""
        self._closed = True
        await asyncio.gather(*(subscription.close() for subscription in list(self._subscriptions)))
        await self._producer.close(self._close_timeout)

    async def publish(self, event: Event, *, topic: str | None = None) -> RecordMetadata:
        """Publish one event and wait until all replicas in sync have it.

        Raises:
            BusClosed
            BrokerUnreachable, AuthenticationFailed, TopicDenied, DeliveryFailed: it was not acknowledged.
        """
        self._check_open()
        return await self._producer.send(self._record(event, topic))

    async def publish_many(self, events: Iterable[Event | ProducerRecord]) -> int:
        """Publish many, in order within each partition, and wait for all acknowledgements; returns how many.

        When cancelled, what was taken from `events` is still delivered, at the latest by `close`.

        Raises:
            TypeError: something is neither an event nor a record.
            BusClosed
            DeliveryFailed: some were not acknowledged; it has the counts.
            BrokerUnreachable, AuthenticationFailed, TopicDenied: none was, for this reason.
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
        """Read topics: as a member of `group` from its committed offsets on, or alone from `auto_offset_reset`."""
        self._check_open()
        subscription = KafkaSubscription(
            self._connection,
            self._topics,
            (topics,) if isinstance(topics, str) else tuple(topics),
            group=group,
            auto_offset_reset=auto_offset_reset,
            auto_commit=auto_commit,
            close_timeout=self._close_timeout,
        )
        self._subscriptions.add(subscription)
        return subscription

    async def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Create the topics that do not exist yet, with this many partitions each.

        Raises:
            TopicDenied, InvalidTopic, BrokerUnreachable
        """
        self._check_open()
        await self._topics.create(partitions)

    async def prepare(self, topics: Iterable[str]) -> None:
        """Create those of the topics that do not exist yet, with the partitions this bus was given, and get ready to
        send, so that the first event does not wait for all that.

        Raises:
            TopicDenied, InvalidTopic, BrokerUnreachable
        """
        self._check_open()
        await self._producer.prepare(topics)

    def statistics(self) -> DeliveryStatistics:
        """How many records were sent, acknowledged and failed."""
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
