"""The protocol that every bus speaks. Write against it, and the same code runs in process and on Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from functools import lru_cache
from types import TracebackType
from typing import Literal, Protocol, Self

from eventbus.event import Event, domain_of
from eventbus.record import ConsumerRecord, ProducerRecord, RecordMetadata, TopicPartition

TopicStrategy = Literal["domain", "event_type", "single"]
"""How an event type finds its topic: one per domain, one per type, or one for all (`omninode.events`)."""

AutoOffsetReset = Literal["earliest", "latest"]

SINGLE_TOPIC = "omninode.events"


def topic_of_domains(domains: Collection[str]) -> Callable[[str], str]:
    """A topic for each of these domains, and `omninode.events` for the events of any other: who reads them all misses
    nothing, whatever is sent in."""

    def topic_of(event_type: str) -> str:
        domain = domain_of(event_type)
        return domain if domain in domains else SINGLE_TOPIC

    return topic_of


def topic_namer(strategy: TopicStrategy) -> Callable[[str], str]:
    """The function from event type to topic for a strategy."""
    if strategy == "domain":
        return lru_cache(maxsize=4096)(domain_of)
    if strategy == "event_type":
        return str
    return lambda event_type: SINGLE_TOPIC


class Subscription(Protocol):
    """A member of a consumer group (or, without a group, a reader of every partition).

    Iterate it for records, or `batches()` for lists of records. With `auto_commit` (the default for a group) a
    record counts as processed when the next one is asked for, or when `async with` ends without an exception:
    at-least-once. It joins when first used or entered, and leaves on `close()` or at the end of `async with`;
    iterations that wait then end. A loop that is broken off can be taken up again where it stopped.
    """

    @property
    def lost(self) -> int:
        """Records that retention dropped before this subscription got them, as far as it is told."""
        ...

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def __aiter__(self) -> AsyncIterator[ConsumerRecord]: ...
    async def __anext__(self) -> ConsumerRecord: ...
    def batches(self, max_records: int = 1000) -> AsyncIterator[list[ConsumerRecord]]:
        """Lists of records, each of one partition, in offset order."""
        ...

    async def commit(self) -> None:
        """Commit the positions of all assigned partitions (everything handed out so far counts as processed).

        Raises:
            NoGroup: subscribed without a group.
            IllegalGeneration, UnknownMember: the group has given these partitions to others since.
        """
        ...

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on from this offset of an assigned partition.

        Raises:
            NotAssigned: somebody else reads it, or nobody.
        """
        ...

    async def seek_to_timestamp(self, timestamp: int) -> None:
        """Position every assigned partition at its first record of at least this time (ms since the epoch)."""
        ...

    def assignment(self) -> frozenset[TopicPartition]: ...
    async def close(self) -> None: ...


class Batches:
    """What `Subscription.batches` gives, list by list.

    An iterator rather than an async generator: a loop that breaks off leaves nothing behind to be closed.
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
        """Publish many in order; returns how many are in the log. Waits when the bus pushes back."""
        ...

    def subscribe(
        self,
        topics: str | Iterable[str],
        *,
        group: str | None = None,
        auto_offset_reset: AutoOffsetReset = "earliest",
        auto_commit: bool = True,
    ) -> Subscription:
        """Read topics: as a member of `group` from its committed offsets on, or alone from `auto_offset_reset`."""
        ...

    async def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Create the topics that do not exist yet, with this many partitions each."""
        ...

    async def close(self) -> None: ...
