"""Buffers fetched records and tracks the offsets delivered but not yet committed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Self

from eventbus.bus import BatchIterator
from eventbus.record import ConsumerRecord, TopicPartition


class PrefetchingSubscription(ABC):
    """The iteration of a subscription. Asking for the next records marks those delivered before as processed."""

    poll_records: int
    """Records fetched at once when they are delivered one by one."""

    def __init__(self) -> None:
        self._prefetched: deque[list[ConsumerRecord]] = deque()
        """Lists of records of one partition each."""
        self._current: Iterator[ConsumerRecord] = iter(())
        """The rest of the list that is being delivered."""
        self._partition = TopicPartition("", 0)
        """The partition of that list."""
        self._delivered: dict[TopicPartition, int] = {}
        """By partition, the offset after the last record delivered and not yet marked as processed."""

    @abstractmethod
    def _mark_processed(self) -> None:
        """Mark the delivered records as processed."""

    @abstractmethod
    def _is_valid(self) -> bool:
        """Whether the prefetched records may still be delivered here, and not to another member."""

    @abstractmethod
    async def _poll(self, max_records: int) -> None:
        """Wait until `_prefetched` has records.

        Raises:
            StopAsyncIteration: the subscription is closed.
        """

    @abstractmethod
    async def close(self) -> None: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._mark_processed()
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ConsumerRecord:
        self._mark_processed()
        record = next(self._current, None) if self._is_valid() else None
        if record is None:
            await self._refill(self.poll_records)
            record = next(self._current)
        self._delivered[self._partition] = record.offset + 1
        return record

    def batches(self, max_records: int = 1000) -> AsyncIterator[list[ConsumerRecord]]:
        """Lists of at most `max_records` records of one partition, in offset order."""
        return BatchIterator(partial(self.next_batch, max_records))

    async def next_batch(self, max_records: int) -> list[ConsumerRecord]:
        """The next list of `batches`."""
        self._mark_processed()
        records = list(islice(self._current, max_records)) if self._is_valid() else []
        if not records:
            await self._refill(max_records)
            records = list(islice(self._current, max_records))
        self._delivered[self._partition] = records[-1].offset + 1
        return records

    async def _refill(self, max_records: int) -> None:
        """Start delivering the next prefetched list; polls if there is none."""
        if not (self._prefetched and self._is_valid()):
            await self._poll(max_records)
        records = self._prefetched.popleft()
        self._partition = partition_of_records(records)
        self._current = iter(records)


def partition_of_records(records: list[ConsumerRecord]) -> TopicPartition:
    """The partition of a list of records of one partition."""
    return TopicPartition(records[0].topic, records[0].partition)
