"""Handing out records to a reader, one by one or list by list, and remembering which ones: for every kind of bus."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Self

from eventbus.bus import Batches
from eventbus.record import ConsumerRecord, TopicPartition


class HandsOut(ABC):
    """The half of a subscription that its reader sees; whoever asks for more has processed what came before."""

    poll_records: int
    """Records fetched at once for a reader that takes them one by one."""

    def __init__(self) -> None:
        self._lists: deque[list[ConsumerRecord]] = deque()
        """Fetched; each is of one partition."""
        self._current: Iterator[ConsumerRecord] = iter(())
        self._partition = TopicPartition("", 0)
        """Of the current list."""
        self._handed_out: dict[TopicPartition, int] = {}
        """For each partition the offset after the last record handed out and not yet noted as processed."""

    @abstractmethod
    def _note_processed(self) -> None:
        """More is asked for, so what was handed out is done."""

    @abstractmethod
    def _is_fresh(self) -> bool:
        """Whether the records at hand are still ours to hand out."""

    @abstractmethod
    async def _poll(self, max_records: int) -> None:
        """Wait until there are lists.

        Raises:
            StopAsyncIteration: the subscription was closed.
        """

    @abstractmethod
    async def close(self) -> None: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._note_processed()
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ConsumerRecord:
        self._note_processed()
        record = next(self._current, None) if self._is_fresh() else None
        if record is None:
            await self._refill(self.poll_records)
            record = next(self._current)
        self._handed_out[self._partition] = record.offset + 1
        return record

    def batches(self, max_records: int = 1000) -> AsyncIterator[list[ConsumerRecord]]:
        """Lists of at most `max_records` records, each of one partition, in offset order."""
        return Batches(partial(self.next_batch, max_records))

    async def next_batch(self, max_records: int) -> list[ConsumerRecord]:
        """What `batches` hands out next."""
        self._note_processed()
        records = list(islice(self._current, max_records)) if self._is_fresh() else []
        if not records:
            await self._refill(max_records)
            records = list(islice(self._current, max_records))
        self._handed_out[self._partition] = records[-1].offset + 1
        return records

    async def _refill(self, max_records: int) -> None:
        """Make the next list the current one; polls when there is none left."""
        if not (self._lists and self._is_fresh()):
            await self._poll(max_records)
        records = self._lists.popleft()
        self._partition = partition_of(records)
        self._current = iter(records)


def partition_of(records: list[ConsumerRecord]) -> TopicPartition:
    """The one that all these records are of."""
    return TopicPartition(records[0].topic, records[0].partition)
