"""The part of Faust's consumer that both transports share: fetched batches as messages, offsets kept in PostgreSQL.

Faust commits past events that were not processed (of an agent that raised, or in flight during a rebalance). Therefore
its committed offsets are not used: it schedules the agents, and every assignment starts at the offsets of the database.
This overrides internals of Faust, so exactly one release of it is accepted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from importlib.metadata import version
from typing import Any, cast

from faust.transport.consumer import Consumer
from faust.types import TP, ConsumerMessage, Message

from eventbus.processors.errors import ProcessorError, UnsupportedFaust
from eventbus.processors.ingest.router import FetchedBatch, OffsetRange, PartitionRouter
from eventbus.record import TopicPartition

FAUST_VERSION = "0.15.3"


class OffsetReset(ProcessorError):
    """The client moved a position backwards, because the log no longer has the requested offset."""


class BatchConsumer(Consumer):
    """Delivers the topics of the application's `partition_router` in batches; other topics are left to Faust."""

    _published: dict[TP, int] | None = None

    @property
    def router(self) -> PartitionRouter:
        return cast(PartitionRouter, cast(Any, self.app).partition_router)

    async def offset_ranges(self, partitions: Iterable[TP]) -> dict[TP, OffsetRange]:
        """The offsets that the logs of the partitions hold at the moment."""
        raise NotImplementedError

    async def seek_stored(self, offsets: Mapping[TP, int]) -> None:
        """Seek partitions of stored topics."""
        raise NotImplementedError

    async def seek_others(self, partitions: set[TP]) -> Mapping[TP, int]:
        """Seek partitions of other topics to the offsets that Faust committed; returns the offsets."""
        raise NotImplementedError

    async def publish(self, offsets: Mapping[TP, int]) -> None:
        """Commit the offsets of the database to the broker, for its lag tools; they are never read back."""
        raise NotImplementedError

    async def _stored_ranges(self, partitions: set[TP]) -> dict[TopicPartition, OffsetRange]:
        return {TopicPartition(*tp): offsets for tp, offsets in (await self.offset_ranges(partitions)).items()}

    def is_stored(self, tp: TP) -> bool:
        """Whether the topic is stored, and so delivered in batches."""
        return tp.topic in self.router.topics

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Called by Faust after each assignment to get the offsets to read from."""
        assigned = self.assignment()
        stored = {tp for tp in assigned if self.is_stored(tp)}
        next_offsets = await self.router.assign(
            [TopicPartition(*tp) for tp in stored], lambda: self._stored_ranges(stored)
        )
        offsets = {TP(*partition): offset for partition, offset in next_offsets.items()}
        await self.seek_stored(offsets)
        self._published = {}
        return {**await self.seek_others(assigned - stored), **offsets}

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Fetch once: one message per batch of a stored topic, one per record of any other topic."""
        try:
            fetched, active = await self._wait_next_records(timeout)
        except OffsetReset as reset:
            self.log.warning("%s", reset)
            await self.perform_seek()
            return
        if not fetched or self.should_stop:
            return
        generation = self.app.consumer_generation_id
        for tp, message in self._messages(fetched):
            if not self.flow_active or generation != self.app.consumer_generation_id:
                return  # after a rebalance the new owner of the partition reads this again
            if active is None or tp in active or tp in self._buffered_partitions:
                yield tp, message

    def _messages(self, fetched: Mapping[TP, Any]) -> Iterable[tuple[TP, Message]]:
        unstored = {tp: records for tp, records in fetched.items() if not isinstance(records, FetchedBatch)}
        for tp, batch in fetched.items():
            if isinstance(batch, FetchedBatch):
                yield tp, self._batch_message(tp, batch)
        for tp, record in self.scheduler.iterate(unstored):
            yield tp, self._to_message(tp, record)

    def _batch_message(self, tp: TP, batch: FetchedBatch) -> ConsumerMessage:
        """The batch as the value of a Faust message with the last offset; key, headers and timestamp are empty."""
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            batch.end - 1,
            0.0,
            0,
            [],
            None,
            cast(bytes, batch),  # the raw serializer passes it on unchanged
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    def on_buffer_full(self, tp: TP) -> None:
        """Does nothing for stored topics. Faust would pause the partition, and sleep a second once all are paused; the
        queue of batches is short enough to wait for room instead."""
        if not self.is_stored(tp):
            super().on_buffer_full(tp)

    async def verify_all_partitions_active(self) -> None:
        """Disables Faust's check, which does not see batches; the application has a `ProgressMonitor`."""

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Called by Faust at intervals and at the end: commit other topics, and publish the offsets of stored ones."""
        done: bool = await super().force_commit(topics, start_new_transaction=start_new_transaction)
        published = self._published or {}
        offsets = {TP(*partition): offset for partition, offset in self.router.committed().items()}
        changed = {tp: offset for tp, offset in offsets.items() if published.get(tp) != offset}
        if changed:
            await self.publish(changed)
            self._published = {**published, **changed}
        return done


def require_faust(installed: str) -> None:
    """Refuse any release of Faust but `FAUST_VERSION`.

    Raises:
        UnsupportedFaust: with the installed and the required version.
    """
    if installed != FAUST_VERSION:
        raise UnsupportedFaust(
            f"expected faust-streaming {FAUST_VERSION}, whose internals are relied upon, got {installed}"
        )


require_faust(version("faust-streaming"))
