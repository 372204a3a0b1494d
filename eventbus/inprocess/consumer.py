"""Reading the in-process bus batch by batch: membership, positions, and the rebalance seen from inside."""

from __future__ import annotations

import asyncio
import inspect
import logging
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping

from eventbus.broker.batch import RecordBatch
from eventbus.broker.coordinator import COMMITTED, Hub
from eventbus.broker.groups import ConsumerGroup, GroupState
from eventbus.bus import AutoOffsetReset
from eventbus.errors import BusClosed, IllegalGeneration, NoGroup, NotAssigned, OffsetOutOfRange
from eventbus.record import TopicPartition

log = logging.getLogger(__name__)

Partitions = frozenset[TopicPartition]
OnRebalance = Callable[[Partitions, Partitions], Awaitable[None] | None]
"""Called with the partitions assigned and those revoked; one of the two is empty. May be a coroutine function."""

NONE: Partitions = frozenset()


class InProcessConsumer:
    """A reader of whole batches, as columns; made by `InProcessBus.consumer`.

    As a member of a group it joins at the first `poll` and goes on from the committed offsets; alone it reads all
    partitions. What it was given counts as in its hands until the next `poll` (or `release`); a rebalance waits for
    that, but not longer than the bus's `rebalance_timeout_ms`. A consumer that is dropped without `close()` leaves its
    group when it is garbage-collected.

    Attributes:
        lost: records that were trimmed before this consumer got them.
        epoch: rises whenever positions were taken away or changed by somebody else than `poll`.
    """

    def __init__(
        self,
        hub: Hub,
        topics: Iterable[str],
        *,
        group: str | None,
        auto_offset_reset: AutoOffsetReset,
        on_rebalance: OnRebalance | None = None,
    ) -> None:
        self.topics = tuple(dict.fromkeys(topics))
        self.lost = 0
        self.epoch = 0
        self.name = hub.new_name(group)
        self._hub = hub
        self._broker = hub.broker
        self._group = None if group is None else hub.broker.group(group)
        self._auto_offset_reset = auto_offset_reset
        self._on_rebalance = on_rebalance
        self._generation = -1
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._in_hand = False
        self._polling = False
        self._waiting = False
        self._closed = False
        self._names = (*self.topics, self.name) if group is None else (*self.topics, self.name, group)
        hub.consumers.add(self)
        if self._group is not None:
            weakref.finalize(self, hub.left, self._group, self.name).atexit = False

    def __repr__(self) -> str:
        return f"<InProcessConsumer {self.name} {', '.join(self.topics)} partitions={len(self._positions)}>"

    async def poll(
        self, max_records: int = 500, timeout: float | None = None
    ) -> dict[TopicPartition, list[RecordBatch]]:
        """The next records of the assigned partitions, fairly from all of them.

        Every call gives the event loop a turn, so that a reader with much to read does not starve the rest.

        Args:
            max_records: at most this many, counted over all partitions.
            timeout: seconds to wait for some; 0 only looks, None waits as long as it takes.

        Raises:
            BusClosed: this consumer or its bus is closed, or was closed meanwhile.
            RuntimeError: another task is polling this consumer: what each has in hand could not be told apart.
        """
        if self._polling:
            raise RuntimeError(f"consumer {self.name} is already polled by another task")
        self._polling = True
        try:
            return await self._poll(max_records, timeout)
        finally:
            self._polling = False

    async def ready(self) -> None:
        """Wait until the partitions are assigned.

        Raises:
            BusClosed: closed, or closed meanwhile.
        """
        while not await self._is_current():
            await self._news(None)

    def is_current(self) -> bool:
        """Whether what was polled is still this consumer's to process: no rebalance since or under way."""
        group = self._group
        if group is None:
            return self._generation >= 0
        return group.generation == self._generation and group.state is GroupState.STABLE

    def assignment(self) -> Partitions:
        """The partitions this consumer reads now; none before it has joined."""
        group = self._group
        if group is not None and self._on_rebalance is None and self._may_adopt(group):
            self._adopt(group)
        return frozenset(self._positions)

    def position(self, partition: TopicPartition) -> int:
        """Offset of the record that is polled next."""
        self._check_assigned(partition)
        return self._positions[partition]

    def highwater(self, partition: TopicPartition) -> int:
        """Offset the next record of this partition will get."""
        return self._broker.log(partition).end_offset

    def earliest(self, partition: TopicPartition) -> int:
        """Offset of the oldest record there is in this partition."""
        return self._broker.log(partition).start_offset

    def offset_for_timestamp(self, partition: TopicPartition, timestamp: int) -> int | None:
        """Offset of the first record of at least this time (ms since the epoch); None when there is none."""
        return self._broker.log(partition).offset_for_timestamp(timestamp)

    def committed(self, partition: TopicPartition) -> int | None:
        """What the group has committed; None when nothing."""
        return self._need_group().committed.get(partition)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Poll this partition from here on.

        Raises:
            NotAssigned: it is not this consumer's.
            OffsetOutOfRange: there is no such record, and it is not the end either.
        """
        self._check_assigned(partition)
        earliest, end = self.earliest(partition), self.highwater(partition)
        if not earliest <= offset <= end:
            raise OffsetOutOfRange(f"expected an offset from {earliest} to {end} of {partition}, got {offset}")
        self._positions[partition] = offset
        self._hub.notices.call(self.name)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Poll nothing of these until `resume`, or until they are assigned anew."""
        self._paused.update(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.difference_update(partitions)
        self._hub.notices.call(self.name)

    def commit(self, offsets: Mapping[TopicPartition, int] | None = None) -> None:
        """Note where the group goes on from; all of it or, when refused, nothing.

        Args:
            offsets: by default the position of every assigned partition.

        Raises:
            NoGroup: this consumer reads alone.
            IllegalGeneration: the group has rebalanced since, or a partition is not this consumer's.
            UnknownMember: this consumer was put out of the group.
        """
        group = self._need_group()
        noted = dict(self._positions) if offsets is None else offsets
        if not noted.keys() <= self._positions.keys():
            others = ", ".join(map(str, noted.keys() - self._positions.keys()))
            raise IllegalGeneration(f"not assigned to {self.name} any more: {others}")
        group.commit(noted, member_id=self.name, generation=self._generation)
        self._hub.notices.call(COMMITTED)

    def release(self) -> None:
        """Say that nothing is in hand any more, so that a rebalance need not wait for the next `poll`."""
        self._in_hand = False
        if self._group is not None and self._must_rejoin(self._group):
            self._hub.group_changed(self._group)

    def rewind(self, partition: TopicPartition, offset: int) -> None:
        """Poll again from here what was polled for nothing."""
        self._positions[partition] = offset

    async def close(self) -> None:
        """Leave the group; closing twice does no harm."""
        self.close_nowait()

    def close_nowait(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._positions.clear()
        self.epoch += 1
        self._hub.consumers.discard(self)
        self._hub.notices.call(self.name)
        if self._group is not None:
            self._hub.left(self._group, self.name)

    def start_over(self) -> None:
        """Forget all positions: the topics were emptied or dropped."""
        self._positions.clear()
        self._generation = -1
        self.epoch += 1
        self._hub.notices.call(self.name)

    def rejoin_when_idle(self, group: ConsumerGroup) -> None:
        """Take part in a rebalance of this group right away, when nothing is in hand and nobody must be told."""
        if group is self._group and not self._in_hand and self._on_rebalance is None and self._must_rejoin(group):
            self._let_go()
            group.join(self.name, self.topics, self._hub.clock.now_ms())

    async def _poll(self, max_records: int, timeout: float | None) -> dict[TopicPartition, list[RecordBatch]]:
        self._in_hand = False
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        await asyncio.sleep(0)
        while True:
            if await self._is_current() and (found := self._fetch(max_records)):
                self._in_hand = True
                return found
            left = None if deadline is None else deadline - loop.time()
            if left is not None and left <= 0:
                return {}
            await self._news(left)

    def show_life(self, group: ConsumerGroup, now: int) -> None:
        """Be seen by the group while waiting in `poll`."""
        if self._waiting and group is self._group and self.name in group.members:
            group.heartbeat(self.name, now)

    async def _is_current(self) -> bool:
        """Do what membership asks for; False when it is somebody else's turn (there is nothing to do but to wait).

        Looks again after each `await`, so that the answer holds when it is given.
        """
        while True:
            if self._closed:
                raise BusClosed(f"consumer {self.name} is closed")
            group = self._group
            if group is None:
                return self.is_current() or self._adopt_all()
            self._hub.put_out_silent(group)
            now = self._hub.clock.now_ms()
            if self.name not in group.members or self._must_rejoin(group):
                await self._tell(NONE, frozenset(self._positions))
                if not self._closed:
                    self._let_go()
                    group.join(self.name, self.topics, now)
                    self._hub.group_changed(group)
            elif self._may_adopt(group):
                self._adopt(group)
                await self._tell_assigned()
            else:
                group.heartbeat(self.name, now)
                return group.state is GroupState.STABLE

    def _must_rejoin(self, group: ConsumerGroup) -> bool:
        member = group.members.get(self.name)
        return group.state is GroupState.PREPARING_REBALANCE and member is not None and not member.joined

    def _may_adopt(self, group: ConsumerGroup) -> bool:
        stable = group.state is GroupState.STABLE and self.name in group.members
        return stable and self._generation != group.generation

    def _let_go(self) -> None:
        self._positions.clear()
        self._generation = -1
        self.epoch += 1

    def _adopt(self, group: ConsumerGroup) -> None:
        """Take over the partitions of the group's generation, each at its committed offset or where reading starts."""
        self._let_go()
        self._generation = group.generation
        self._paused.clear()
        for partition in sorted(group.assignment(self.name)):
            offset = group.offset(partition)
            if offset is None:
                offset = group.begun[partition] = self._first(partition)
            self._positions[partition] = min(offset, self.highwater(partition))

    def _adopt_all(self) -> bool:
        self._let_go()
        self._generation = 0
        self._positions = {p: self._first(p) for p in self._broker.topic_partitions(self.topics)}
        return True

    def _first(self, partition: TopicPartition) -> int:
        return self.earliest(partition) if self._auto_offset_reset == "earliest" else self.highwater(partition)

    async def _tell_assigned(self) -> None:
        try:
            await self._tell(frozenset(self._positions), NONE)
        except BaseException:  # failed or cancelled: the next poll takes the partitions over, and tells, again
            self._let_go()
            raise

    async def _tell(self, assigned: Partitions, revoked: Partitions) -> None:
        if self._on_rebalance is not None and (assigned or revoked):
            answer = self._on_rebalance(assigned, revoked)
            if inspect.isawaitable(answer):
                await answer

    async def _news(self, timeout: float | None) -> None:
        """Sleep until records come, the group changes, or a rebalance stops waiting for others."""
        group = self._group
        if group is not None and group.state is GroupState.PREPARING_REBALANCE:
            grace = max(group.rebalance_deadline - self._hub.clock.now_ms(), 1) / 1000
            timeout = grace if timeout is None else min(timeout, grace)
        self._waiting = True
        try:
            await self._hub.notices.wait(self._names, timeout)
        finally:
            self._waiting = False

    def _fetch(self, max_records: int) -> dict[TopicPartition, list[RecordBatch]]:
        found: dict[TopicPartition, list[RecordBatch]] = {}
        for partition, position in list(self._positions.items()):
            if max_records <= 0:
                break
            if position == self.highwater(partition) or partition in self._paused:
                continue
            batches = self._broker.fetch(partition, self._unlost(partition, position), max_records=max_records)
            max_records -= batches[-1].next_offset - batches[0].base_offset
            del self._positions[partition]  # and to the end of the line: the others come first next time
            self._positions[partition] = batches[-1].next_offset
            found[partition] = batches
        return found

    def _unlost(self, partition: TopicPartition, position: int) -> int:
        """The position, or when the log was trimmed past it, the oldest record, with the loss counted."""
        earliest = self.earliest(partition)
        if position < earliest:
            if not self.lost:
                log.warning("records_lost consumer=%s partition=%s first=%d", self.name, partition, position)
            self.lost += earliest - position
            if self._group is not None:
                self._group.lost += earliest - position
        return max(position, earliest)

    def _check_assigned(self, partition: TopicPartition) -> None:
        if partition not in self.assignment():
            raise NotAssigned(f"{partition} is not assigned to {self.name}")

    def _need_group(self) -> ConsumerGroup:
        if self._group is None:
            raise NoGroup
        return self._group
