"""Reading the in-process bus record by record, or list by list, with the commits done on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Self

from eventbus.bus import Batches
from eventbus.consumer import InProcessConsumer, Partitions
from eventbus.errors import BusClosed, IllegalGeneration, UnknownMember
from eventbus.record import ConsumerRecord, TopicPartition

POLL_RECORDS = 500


class InProcessSubscription:
    """`eventbus.bus.Subscription` on the in-process bus; made by `InProcessBus.subscribe`."""

    def __init__(self, consumer: InProcessConsumer, *, auto_commit: bool) -> None:
        self._consumer = consumer
        self._auto_commit = auto_commit
        self._lists: deque[list[ConsumerRecord]] = deque()
        self._current: Iterator[ConsumerRecord] = iter(())
        self._epoch = -1
        self._handed_out: dict[TopicPartition, int] = {}
        """For each partition the offset after the last record handed out and not yet committed."""
        self._partition = TopicPartition("", 0)
        """Of the current list."""

    def __repr__(self) -> str:
        return f"<InProcessSubscription of {self._consumer!r}>"

    @property
    def lost(self) -> int:
        """Records that were trimmed before this subscription got them."""
        return self._consumer.lost

    async def __aenter__(self) -> Self:
        await self._consumer.ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._note_processed()
        await self.close()

    def __aiter__(self) -> AsyncIterator[ConsumerRecord]:
        return self

    async def __anext__(self) -> ConsumerRecord:
        self._note_processed()
        record = next(self._current, None) if self._is_fresh() else None
        if record is None:
            await self._refill(POLL_RECORDS)
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

    async def commit(self) -> None:
        """Commit everything handed out so far.

        Raises:
            NoGroup: this subscription reads alone.
            IllegalGeneration: the group has rebalanced since these records were handed out.
            UnknownMember: this member was put out of the group.
        """
        self._consumer.commit(self._handed_out)
        self._handed_out.clear()
        self._consumer.release()

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on from this offset.

        Raises:
            NotAssigned, OffsetOutOfRange
        """
        await self._consumer.ready()
        self._put_back()
        self._consumer.seek(partition, offset)

    async def seek_to_timestamp(self, timestamp: int) -> None:
        """Position every assigned partition at its first record of at least this time (ms), else at its end."""
        await self._consumer.ready()
        self._put_back()
        for partition in self._consumer.assignment():
            offset = self._consumer.offset_for_timestamp(partition, timestamp)
            self._consumer.seek(partition, self._consumer.highwater(partition) if offset is None else offset)

    def assignment(self) -> Partitions:
        return self._consumer.assignment()

    async def close(self) -> None:
        """Leave; what was handed out last is not committed. Iterations that wait end."""
        self._lists.clear()
        self._current = iter(())
        self._handed_out.clear()
        await self._consumer.close()

    def _note_processed(self) -> None:
        """Commit what was handed out, since more is asked for; refused commits mean that another member has it now."""
        if self._auto_commit and self._handed_out:
            try:  # noqa: SIM105 - `suppress` would cost as much as the commit
                self._consumer.commit(self._handed_out)
            except (IllegalGeneration, UnknownMember):  # they come again, to their new owner
                pass
            self._handed_out.clear()

    def _is_fresh(self) -> bool:
        """Whether the records at hand are still ours to hand out."""
        return self._epoch == self._consumer.epoch and self._consumer.is_current()

    async def _refill(self, max_records: int) -> None:
        """Make the next list the current one; polls when there is none left."""
        if not (self._lists and self._is_fresh()):
            await self._poll(max_records)
        records = self._lists.popleft()
        self._partition = _partition(records)
        self._current = iter(records)

    async def _poll(self, max_records: int) -> None:
        try:
            polled = await self._consumer.poll(max_records)
        except BusClosed:
            raise StopAsyncIteration from None
        if self._epoch != self._consumer.epoch:  # after a rebalance these are others' to commit
            self._epoch = self._consumer.epoch
            self._handed_out.clear()
        self._lists = deque(
            [record for batch in batches for record in batch.records(*partition)]
            for partition, batches in polled.items()
        )

    def _put_back(self) -> None:
        """Give up what was polled and not handed out."""
        rest = list(self._current) if self._is_fresh() else []
        for records in filter(None, (rest, *self._lists)):
            self._consumer.rewind(_partition(records), records[0].offset)
        self._lists.clear()


def _partition(records: list[ConsumerRecord]) -> TopicPartition:
    return TopicPartition(records[0].topic, records[0].partition)
