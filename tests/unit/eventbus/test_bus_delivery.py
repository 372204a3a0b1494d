"""What reaches a group, whatever its members do: nothing skipped, and nothing twice unless somebody died."""

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
    """Members of one group that do what they are told; a clock that stands still, so nobody is put out for slowness."""

    def __init__(self) -> None:
        self.bus = InProcessBus(partitions=3, clock=ManualClock())
        self.members: dict[int, InProcessConsumer] = {}
        self.delivered: dict[TopicPartition, list[int]] = defaultdict(list)
        """The offsets handed out, in the order in which they were."""
        self.published = 0

    async def play(self, actions: list[Action]) -> None:
        for action, number in actions:
            await getattr(self, action)(number)
        for _ in range(DRAINING):
            for number in range(MEMBERS):
                await self.step(number)

    async def publish(self, count: int) -> None:
        """Half of the records have a key, half go round."""
        keys = [b"%d" % number if number % 2 else None for number in range(count)]
        await self.bus.publish_many([ProducerRecord("t", key, b"", 0, ()) for key in keys])
        self.published += count

    async def step(self, number: int) -> None:
        """A member finishes what it has, if anything, and takes more, if there is any; it joins when it must."""
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
def test_exactly_once_while_everybody_finishes(actions: list[Action]) -> None:
    """However members come and go, each record is handed out once, in order, as long as they finish what they have."""
    group = Group()
    asyncio.run(group.play(actions))
    for partition, offsets in group.delivered.items():
        assert offsets == list(range(len(offsets))), partition
    assert sum(map(len, group.delivered.values())) == group.published


@settings(max_examples=150, deadline=None)
@given(st.lists(publish | step | leave | die, max_size=60))
def test_at_least_once_whoever_dies(actions: list[Action]) -> None:
    """When members die over their records, these come again; none is skipped, and what comes again comes in order."""
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
