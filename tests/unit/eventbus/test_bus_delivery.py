"""Delivery to a group: no record is skipped, and none is delivered twice unless a member died."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus import IllegalGeneration, InProcessBus, ManualClock, ProducerRecord, TopicPartition, UnknownMember
from eventbus.inprocess.consumer import InProcessConsumer

MEMBERS = 3
DRAINING = 200
"""More rounds than any history here needs until everything is read."""

numbers = st.integers(0, MEMBERS - 1)
publish = st.tuples(st.just("publish"), st.integers(1, 30))
step = st.tuples(st.just("step"), numbers)
leave = st.tuples(st.just("leave"), numbers)
die = st.tuples(st.just("die"), numbers)
Action = tuple[str, int]


class Group:
    """Members of a group that follow instructions; the clock stands still, so that none is evicted."""

    def __init__(self) -> None:
        self.bus = InProcessBus(partitions=3, clock=ManualClock())
        self.members: dict[int, InProcessConsumer] = {}
        self.delivered: dict[TopicPartition, list[int]] = defaultdict(list)
        """The delivered offsets, in order of delivery."""
        self.published = 0

    async def play(self, actions: list[Action]) -> None:
        for action, number in actions:
            await getattr(self, action)(number)
        for _ in range(DRAINING):
            for number in range(MEMBERS):
                await self.step(number)

    async def publish(self, count: int) -> None:
        """Half of the records have a key, the others are assigned round-robin."""
        keys = [b"%d" % number if number % 2 else None for number in range(count)]
        await self.bus.publish_many([ProducerRecord("t", key, b"", 0, ()) for key in keys])
        self.published += count

    async def step(self, number: int) -> None:
        """A member finishes its records, if it has some, and polls for more; it joins if it has to."""
        member = self.members.get(number)
        if member is None:
            member = self.members[number] = self.bus.consumer("t", group="g")
        self.finish(member)
        for partition, batches in (await member.poll(max_records=5, timeout=0)).items():
            for batch in batches:
                self.delivered[partition] += range(batch.base_offset, batch.next_offset)

    async def leave(self, number: int) -> None:
        if number in self.members:
            self.finish(self.members[number])
            await self.die(number)

    async def die(self, number: int) -> None:
        if number in self.members:
            await self.members.pop(number).close()

    def finish(self, member: InProcessConsumer) -> None:
        with suppress(IllegalGeneration, UnknownMember):
            member.commit()


@settings(max_examples=150, deadline=None)
@given(st.lists(publish | step | leave, max_size=60))
def test_delivery_is_exactly_once_while_members_finish(actions: list[Action]) -> None:
    """Each record is delivered once and in order, as long as members finish their records before they leave."""
    group = Group()
    asyncio.run(group.play(actions))
    for partition, offsets in group.delivered.items():
        assert offsets == list(range(len(offsets))), partition
    assert sum(map(len, group.delivered.values())) == group.published


@settings(max_examples=150, deadline=None)
@given(st.lists(publish | step | leave | die, max_size=60))
def test_delivery_is_at_least_once_when_members_die(actions: list[Action]) -> None:
    """When members die, their records are delivered again; none is skipped, and order is kept."""
    group = Group()
    asyncio.run(group.play(actions))
    seen = 0
    for offsets in group.delivered.values():
        seen += len(set(offsets))
        end = 0
        for offset in offsets:
            assert offset <= end
            end = max(end, offset + 1)
    assert seen == group.published
