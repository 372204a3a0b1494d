"""The protocol of a bus: code written against it runs in process and on Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from functools import lru_cache
from types import TracebackType
from typing import Literal, Protocol, Self, runtime_checkable

from eventbus.event import Event, domain_of
from eventbus.record import Columns, ConsumerRecord, ProducerRecord, RecordMetadata, TopicPartition

TopicStrategy = Literal["domain", "event_type", "single"]
"""A topic for each domain, for each event type, or one for all (`omninode.events`)."""

AutoOffsetReset = Literal["earliest", "latest"]
"""Where a partition without a committed offset is read from (Kafka's `auto.offset.reset`)."""

SINGLE_TOPIC = "omninode.events"


def topic_of_domains(domains: Collection[str]) -> Callable[[str], str]:
    """Maps event types to a topic for each of these domains, and those of any other domain to `omninode.events`.

    So a reader of these topics receives every event, whatever its type.
    """

    def topic_of(event_type: str) -> str:
        domain = domain_of(event_type)
        return domain if domain in domains else SINGLE_TOPIC

    return topic_of


def topic_namer(strategy: TopicStrategy) -> Callable[[str], str]:
    """The function from event type to topic of a strategy."""
    if strategy == "domain":
        return lru_cache(maxsize=4096)(domain_of)
    if strategy == "event_type":
        return str
    return lambda event_type: SINGLE_TOPIC


class Subscription(Protocol):
    """A member of a consumer group or, without a group, a reader of all partitions.

    Iterate it for records, or `batches()` for lists of records. With `auto_commit` (the default for a group), a record
    counts as processed when the next one is requested, or when `async with` ends without an exception: delivery is
    at-least-once. A subscription joins when first used or entered, and leaves on `close()` or at the end of
    `async with`, which ends waiting iterations. A loop left by `break` can be continued by another loop.
    """

    @property
    def lost(self) -> int:
        """Records that retention dropped before this subscription fetched them; always 0 on Kafka."""
        ...

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def __aiter__(self) -> AsyncIterator[ConsumerRecord]: ...
    async def __anext__(self) -> ConsumerRecord: ...
    def batches(self, max_records: int = 1000) -> AsyncIterator[list[ConsumerRecord]]:
        """Lists of at most `max_records` records of one partition, in offset order."""
        ...

    async def commit(self) -> None:
        """Commit all records delivered so far.

        Raises:
            NoGroup: subscribed without a group.
            IllegalGeneration, UnknownMember: the group has assigned these partitions to other members since.
        """
        ...

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        """Continue from this offset of an assigned partition.

        Raises:
            NotAssigned: the partition is not assigned to this subscription.
            OffsetOutOfRange: the log does not have this offset.
        """
        ...

    async def seek_to_timestamp(self, timestamp: int) -> None:
        """Set each assigned partition to its first record with at least this timestamp (ms since the Unix epoch).

        A partition without such a record is set to its end.
        """
        ...

    def assignment(self) -> frozenset[TopicPartition]: ...
    async def close(self) -> None: ...


class BatchIterator:
    """The iterator of `Subscription.batches`.

    Unlike an async generator, it needs no closing when a loop is left by `break`.
    """

    def __init__(self, next_batch: Callable[[], Awaitable[list[ConsumerRecord]]]) -> None:
        self._next_batch = next_batch

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[ConsumerRecord]:
        return await self._next_batch()


class EventBus(Protocol):
    """Publish events, subscribe to topics."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    async def publish(self, event: Event, *, topic: str | None = None) -> RecordMetadata:
        """Publish one event and wait until it is in the log (Kafka: acknowledged by all replicas in sync)."""
        ...

    async def publish_many(self, events: Iterable[Event | ProducerRecord]) -> int:
        """Publish many events in order; returns how many are in the log. Waits while the bus has no room."""
        ...

    def subscribe(
        self,
        topics: str | Iterable[str],
        *,
        group: str | None = None,
        auto_offset_reset: AutoOffsetReset = "earliest",
        auto_commit: bool = True,
    ) -> Subscription:
        """Read topics from a group's committed offsets on, or from `auto_offset_reset` where there are none."""
        ...

    async def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Create the topics that do not exist, with these numbers of partitions."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class ColumnBus(Protocol):
    """A bus that takes records as columns by topic too, which costs less than a tuple for each record."""

    async def publish_columns(self, columns: Mapping[str, Columns]) -> int:
        """Publish many records, in order within each partition; returns how many are in the log.

        Args:
            columns: become the bus's: do not modify them.
        """
        ...
