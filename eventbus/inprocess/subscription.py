"""Reading the in-process bus record by record, or list by list, with the commits done on the way."""

from __future__ import annotations

from collections import deque
from typing import Self

from eventbus.errors import BusClosed, IllegalGeneration, UnknownMember
from eventbus.inprocess.consumer import InProcessConsumer, Partitions
from eventbus.prefetch import HandsOut, partition_of
from eventbus.record import TopicPartition


class InProcessSubscription(HandsOut):
    """`eventbus.bus.Subscription` on the in-process bus; made by `InProcessBus.subscribe`."""

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
        """Records that were trimmed before this subscription got them."""
        return self._consumer.lost

    async def __aenter__(self) -> Self:
        await self._consumer.ready()
        return self

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
        return self._epoch == self._consumer.epoch and self._consumer.is_current()

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
            self._consumer.rewind(partition_of(records), records[0].offset)
        self._lists.clear()
