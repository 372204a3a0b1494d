"""Consumer of the in-process bus: group membership, positions, and fetching whole batches."""

from __future__ import annotations

import asyncio
import inspect
import logging
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping

from eventbus.broker.batch import RecordBatch
from eventbus.broker.coordinator import OFFSETS_COMMITTED, GroupCoordinator
from eventbus.broker.groups import ConsumerGroup, GroupState
from eventbus.bus import AutoOffsetReset
from eventbus.errors import BusClosed, IllegalGeneration, NoGroup, NotAssigned, OffsetOutOfRange
from eventbus.record import TopicPartition

log = logging.getLogger(__name__)

Partitions = frozenset[TopicPartition]
OnRebalance = Callable[[Partitions, Partitions], Awaitable[None] | None]
"""Called with the partitions assigned and those revoked, one of which is empty. May be a coroutine function."""

NONE: Partitions = frozenset()


class InProcessConsumer:
    """Reads whole batches as columns; created by `InProcessBus.consumer`.

    With a group, it joins at the first `poll` and continues from the committed offsets; without one, it reads all
    partitions. Polled records are in flight until the next `poll` or `release`; a rebalance waits for them, at most
    for the bus's `rebalance_timeout_ms`. A consumer dropped without `close()` leaves its group when it is
    garbage-collected.

    Attributes:
        lost: records trimmed before this consumer fetched them.
        epoch: incremented when partitions are revoked or positions reset.
    """

    def __init__(
        self,
        coordinator: GroupCoordinator,
        topics: Iterable[str],
        *,
        group: str | None,
        auto_offset_reset: AutoOffsetReset,
        on_rebalance: OnRebalance | None = None,
    ) -> None:
        self.topics = tuple(dict.fromkeys(topics))
        self.lost = 0
        self.epoch = 0
        self.name = coordinator.new_member_id(group)
        self._coordinator = coordinator
        self._broker = coordinator.broker
        self._group = None if group is None else coordinator.broker.group(group)
        self._auto_offset_reset = auto_offset_reset
        self._on_rebalance = on_rebalance
        self._generation = -1
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._in_flight = False
        self._polling = False
        self._waiting = False
        self._closed = False
        self._watched = (*self.topics, self.name) if group is None else (*self.topics, self.name, group)
        coordinator.consumers.add(self)
        if self._group is not None:
            weakref.finalize(self, coordinator.leave, self._group, self.name).atexit = False

    def __repr__(self) -> str:
        return f"<InProcessConsumer {self.name} {', '.join(self.topics)} partitions={len(self._positions)}>"

    async def poll(
        self, max_records: int = 500, timeout: float | None = None
    ) -> dict[TopicPartition, list[RecordBatch]]:
        """Fetch the next records of the assigned partitions, in turn from each partition.

        Every call yields to the event loop once, so that a consumer with a long backlog does not starve other tasks.

        Args:
            max_records: limit over all partitions.
            timeout: seconds to wait for records; 0 does not wait, None waits without limit.

        Raises:
            BusClosed: this consumer or its bus is closed, or is closed while waiting.
            RuntimeError: another task is polling this consumer.
        """
        if self._polling:
            raise RuntimeError(f"consumer {self.name} is already polled by another task")
        self._polling = True
        try:
            return await self._poll(max_records, timeout)
        finally:
            self._polling = False

    async def ready(self) -> None:
        """Wait until partitions are assigned.

        Raises:
            BusClosed: this consumer or its bus is closed, or is closed while waiting.
        """
        while not await self._is_current():
            await self._wait(None)

    def is_current(self) -> bool:
        """Whether the assignment holds: the group has not rebalanced since and is not rebalancing."""
        group = self._group
        if group is None:
            return self._generation >= 0
        return group.generation == self._generation and group.state is GroupState.STABLE

    def assignment(self) -> Partitions:
        """The assigned partitions; none before this consumer has joined."""
        group = self._group
        if group is not None and self._on_rebalance is None and self._has_new_assignment(group):
            self._assign(group)
        return frozenset(self._positions)

    def position(self, partition: TopicPartition) -> int:
        """Offset of the record that is polled next."""
        self._check_assigned(partition)
        return self._positions[partition]

    def high_watermark(self, partition: TopicPartition) -> int:
        """Offset of the next record to be appended to this partition."""
        return self._broker.log(partition).log_end_offset

    def beginning_offset(self, partition: TopicPartition) -> int:
        """Offset of the oldest record in this partition."""
        return self._broker.log(partition).log_start_offset

    def offset_for_timestamp(self, partition: TopicPartition, timestamp: int) -> int | None:
        """Offset of the first record with at least this timestamp (ms since the Unix epoch); None if there is none."""
        return self._broker.log(partition).offset_for_timestamp(timestamp)

    def committed(self, partition: TopicPartition) -> int | None:
        """The committed offset of the group; None if it has none."""
        return self._require_group().committed.get(partition)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Set the position of a partition.

        Raises:
            NotAssigned: the partition is not assigned to this consumer.
            OffsetOutOfRange: the offset is neither that of a record in the log nor its end.
        """
        self._check_assigned(partition)
        beginning, end = self.beginning_offset(partition), self.high_watermark(partition)
        if not beginning <= offset <= end:
            raise OffsetOutOfRange(f"expected an offset from {beginning} to {end} of {partition}, got {offset}")
        self._positions[partition] = offset
        self._coordinator.watchers.notify(self.name)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop fetching these partitions until `resume` or the next assignment."""
        self._paused.update(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.difference_update(partitions)
        self._coordinator.watchers.notify(self.name)

    def commit(self, offsets: Mapping[TopicPartition, int] | None = None) -> None:
        """Commit offsets for the group: all of them or, if an error is raised, none.

        Args:
            offsets: by default the positions of all assigned partitions.

        Raises:
            NoGroup: this consumer has no group.
            IllegalGeneration: the group has rebalanced since, or a partition is not assigned to this consumer.
            UnknownMember: this consumer was evicted from the group.
        """
        group = self._require_group()
        positions = dict(self._positions) if offsets is None else offsets
        if not positions.keys() <= self._positions.keys():
            unassigned = ", ".join(map(str, positions.keys() - self._positions.keys()))
            raise IllegalGeneration(f"not assigned to {self.name} any more: {unassigned}")
        group.commit(positions, member_id=self.name, generation=self._generation)
        self._coordinator.watchers.notify(OFFSETS_COMMITTED)

    def release(self) -> None:
        """Declare the polled records processed, so that a rebalance need not wait for the next `poll`."""
        self._in_flight = False
        if self._group is not None and self._must_rejoin(self._group):
            self._coordinator.on_rebalance(self._group)

    def rewind(self, partition: TopicPartition, offset: int) -> None:
        """Set the position of a partition back to records that were polled but not processed."""
        self._positions[partition] = offset

    async def close(self) -> None:
        """Leave the group. Closing twice is allowed."""
        self.close_nowait()

    def close_nowait(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._positions.clear()
        self.epoch += 1
        self._coordinator.consumers.discard(self)
        self._coordinator.watchers.notify(self.name)
        if self._group is not None:
            self._coordinator.leave(self._group, self.name)

    def reset_positions(self) -> None:
        """Drop all positions, because topics were emptied or deleted."""
        self._positions.clear()
        self._generation = -1
        self.epoch += 1
        self._coordinator.watchers.notify(self.name)

    def rejoin(self, group: ConsumerGroup) -> None:
        """Join this group's rebalance at once, unless records are in flight or a listener has to be notified."""
        if group is self._group and not self._in_flight and self._on_rebalance is None and self._must_rejoin(group):
            self._revoke()
            group.join(self.name, self.topics, self._coordinator.clock.now_ms())

    async def _poll(self, max_records: int, timeout: float | None) -> dict[TopicPartition, list[RecordBatch]]:
        self._in_flight = False
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        await asyncio.sleep(0)
        while True:
            if await self._is_current() and (batches := self._fetch(max_records)):
                self._in_flight = True
                return batches
            remaining = None if deadline is None else deadline - loop.time()
            if remaining is not None and remaining <= 0:
                return {}
            await self._wait(remaining)

    def heartbeat(self, group: ConsumerGroup, now: int) -> None:
        """Renew the session in the group while waiting for records."""
        if self._waiting and group is self._group and self.name in group.members:
            group.heartbeat(self.name, now)

    async def _is_current(self) -> bool:
        """Join or rejoin the group as needed; False while a rebalance waits for other members.

        Checks the state again after each `await`, so that the result holds when it is returned.
        """
        while True:
            if self._closed:
                raise BusClosed(f"consumer {self.name} is closed")
            group = self._group
            if group is None:
                return self.is_current() or self._assign_all()
            self._coordinator.evict_expired(group)
            now = self._coordinator.clock.now_ms()
            if self.name not in group.members or self._must_rejoin(group):
                await self._notify_listener(NONE, frozenset(self._positions))
                if not self._closed:
                    self._revoke()
                    group.join(self.name, self.topics, now)
                    self._coordinator.on_rebalance(group)
            elif self._has_new_assignment(group):
                self._assign(group)
                await self._notify_assigned()
            else:
                group.heartbeat(self.name, now)
                return group.state is GroupState.STABLE

    def _must_rejoin(self, group: ConsumerGroup) -> bool:
        member = group.members.get(self.name)
        return group.state is GroupState.PREPARING_REBALANCE and member is not None and not member.joined

    def _has_new_assignment(self, group: ConsumerGroup) -> bool:
        stable = group.state is GroupState.STABLE and self.name in group.members
        return stable and self._generation != group.generation

    def _revoke(self) -> None:
        self._positions.clear()
        self._generation = -1
        self.epoch += 1

    def _assign(self, group: ConsumerGroup) -> None:
        """Take the partitions of the current generation, each at its committed or initial offset."""
        self._revoke()
        self._generation = group.generation
        self._paused.clear()
        for partition in sorted(group.assignment(self.name)):
            offset = group.offset(partition)
            if offset is None:
                offset = group.initial_offsets[partition] = self._reset_offset(partition)
            self._positions[partition] = min(offset, self.high_watermark(partition))

    def _assign_all(self) -> bool:
        self._revoke()
        self._generation = 0
        self._positions = {p: self._reset_offset(p) for p in self._broker.topic_partitions(self.topics)}
        return True

    def _reset_offset(self, partition: TopicPartition) -> int:
        if self._auto_offset_reset == "earliest":
            return self.beginning_offset(partition)
        return self.high_watermark(partition)

    async def _notify_assigned(self) -> None:
        try:
            await self._notify_listener(frozenset(self._positions), NONE)
        except BaseException:  # failed or cancelled: the next poll assigns the partitions and notifies again
            self._revoke()
            raise

    async def _notify_listener(self, assigned: Partitions, revoked: Partitions) -> None:
        if self._on_rebalance is not None and (assigned or revoked):
            result = self._on_rebalance(assigned, revoked)
            if inspect.isawaitable(result):
                await result

    async def _wait(self, timeout: float | None) -> None:
        """Wait until records arrive, the group changes, or the deadline of a rebalance passes."""
        group = self._group
        if group is not None and group.state is GroupState.PREPARING_REBALANCE:
            remaining = max(group.rebalance_deadline - self._coordinator.clock.now_ms(), 1) / 1000
            timeout = remaining if timeout is None else min(timeout, remaining)
        self._waiting = True
        try:
            await self._coordinator.watchers.wait(self._watched, timeout)
        finally:
            self._waiting = False

    def _fetch(self, max_records: int) -> dict[TopicPartition, list[RecordBatch]]:
        fetched: dict[TopicPartition, list[RecordBatch]] = {}
        for partition, position in list(self._positions.items()):
            if max_records <= 0:
                break
            if position == self.high_watermark(partition) or partition in self._paused:
                continue
            batches = self._broker.fetch(partition, self._skip_lost(partition, position), max_records=max_records)
            max_records -= batches[-1].next_offset - batches[0].base_offset
            del self._positions[partition]  # moves it to the end: the other partitions come first next time
            self._positions[partition] = batches[-1].next_offset
            fetched[partition] = batches
        return fetched

    def _skip_lost(self, partition: TopicPartition, position: int) -> int:
        """The position or, where the log was trimmed past it, the oldest record; counts the records between as lost."""
        beginning = self.beginning_offset(partition)
        if position < beginning:
            if not self.lost:
                log.warning("records_lost consumer=%s partition=%s first=%d", self.name, partition, position)
            self.lost += beginning - position
            if self._group is not None:
                self._group.lost += beginning - position
        return max(position, beginning)

    def _check_assigned(self, partition: TopicPartition) -> None:
        if partition not in self.assignment():
            raise NotAssigned(f"{partition} is not assigned to {self.name}")

    def _require_group(self) -> ConsumerGroup:
        if self._group is None:
            raise NoGroup
        return self._group
