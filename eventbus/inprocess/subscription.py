"""Subscription of the in-process bus: records from a consumer's batches, committed as they are processed."""

from __future__ import annotations

from collections import deque
from typing import Self

from eventbus.errors import BusClosed, IllegalGeneration, UnknownMember
from eventbus.inprocess.consumer import InProcessConsumer, Partitions
from eventbus.prefetch import PrefetchingSubscription, partition_of_records
from eventbus.record import TopicPartition


class InProcessSubscription(PrefetchingSubscription):
    """An `eventbus.bus.Subscription` of the in-process bus; created by `InProcessBus.subscribe`."""

    poll_records = 500

    def __init__(self, consumer: InProcessConsumer, *, auto_commit: bool) -> None:
        super().__init__()
        self._consumer = consumer
        self._auto_commit = auto_commit
        self._epoch = -1

    def __repr__(self) -> str:
        return f"<InProcessSubscription of {self._consumer!r}>"

    @property
    def lost(self) -> int:
        """Records trimmed before this subscription fetched them."""
        return self._consumer.lost

    async def __aenter__(self) -> Self:
        await self._consumer.ready()
        return self

    async def commit(self) -> None:
        """Commit all records delivered so far.

        Raises:
            NoGroup: this subscription has no group.
            IllegalGeneration: the group has rebalanced since these records were delivered.
            UnknownMember: this member was evicted from the group.
        """
        self._consumer.commit(self._delivered)
        self._delivered.clear()
        self._consumer.release()

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        """Continue from this offset.

        Raises:
            NotAssigned, OffsetOutOfRange
        """
        await self._consumer.ready()
        self._return_prefetched()
        self._consumer.seek(partition, offset)

    async def seek_to_timestamp(self, timestamp: int) -> None:
        """Set each assigned partition to its first record with at least this timestamp (ms), else to its end."""
        await self._consumer.ready()
        self._return_prefetched()
        for partition in self._consumer.assignment():
            offset = self._consumer.offset_for_timestamp(partition, timestamp)
            self._consumer.seek(partition, self._consumer.high_watermark(partition) if offset is None else offset)

    def assignment(self) -> Partitions:
        return self._consumer.assignment()

    async def close(self) -> None:
        """Leave without committing the last records delivered. Iterations that wait end."""
        self._prefetched.clear()
        self._current = iter(())
        self._delivered.clear()
        await self._consumer.close()

    def _mark_processed(self) -> None:
        """Commit the delivered records. An error means that another member has their partitions now."""
        if self._auto_commit and self._delivered:
            try:  # noqa: SIM105 - `suppress` would cost as much as the commit
                self._consumer.commit(self._delivered)
            except (IllegalGeneration, UnknownMember):  # the new owner reads them again
                pass
            self._delivered.clear()

    def _is_valid(self) -> bool:
        return self._epoch == self._consumer.epoch and self._consumer.is_current()

    async def _poll(self, max_records: int) -> None:
        try:
            polled = await self._consumer.poll(max_records)
        except BusClosed:
            raise StopAsyncIteration from None
        if self._epoch != self._consumer.epoch:  # after a rebalance, other members commit these
            self._epoch = self._consumer.epoch
            self._delivered.clear()
        self._prefetched = deque(
            [record for batch in batches for record in batch.records(*partition)]
            for partition, batches in polled.items()
        )

    def _return_prefetched(self) -> None:
        """Return records that were polled but not delivered."""
        undelivered = list(self._current) if self._is_valid() else []
        for records in filter(None, (undelivered, *self._prefetched)):
            self._consumer.rewind(partition_of_records(records), records[0].offset)
        self._prefetched.clear()
