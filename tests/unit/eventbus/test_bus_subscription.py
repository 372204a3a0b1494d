"""In-process subscriptions: delivery and commits across rebalances."""

from __future__ import annotations

import asyncio

from eventbus import InProcessBus, ManualClock, ProducerRecord, TopicPartition
from eventbus.inprocess.subscription import InProcessSubscription

TP = TopicPartition("t", 0)


def records(count: int) -> list[ProducerRecord]:
    return [ProducerRecord("t", None, b"%d" % number, number, ()) for number in range(count)]


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def offsets(subscription: InProcessSubscription, count: int) -> list[int]:
    return [(await anext(subscription)).offset for _ in range(count)]


async def one_partition(count: int) -> InProcessBus:
    """A bus whose clock stands still: a rebalance waits for records in flight without limit."""
    bus = InProcessBus(partitions=1, clock=ManualClock())
    await bus.publish_many(records(count))
    return bus


async def test_commit_lets_a_new_member_join() -> None:
    """After `commit`, no records are in flight, so that a rebalance need not wait for the next request."""
    bus = await one_partition(10)
    async with bus.subscribe("t", group="g", auto_commit=False) as old:
        await offsets(old, 4)
        newcomer = bus.subscribe("t", group="g")
        joining = asyncio.create_task(newcomer.__aenter__())
        await turns()
        assert not joining.done()
        await old.commit()
        await joining
        await newcomer.close()


async def test_records_polled_ahead_go_to_the_new_owner() -> None:
    """Records fetched but not delivered before a rebalance are delivered by the new owner alone."""
    bus = await one_partition(10)
    old = bus.subscribe("t", group="a")
    assert await offsets(old, 3) == [0, 1, 2]
    newcomer = bus.subscribe("t", group="a")
    joining = asyncio.create_task(newcomer.__aenter__())
    await turns()
    following = asyncio.create_task(offsets(old, 1))
    await joining
    [owner, other] = sorted((old, newcomer), key=lambda member: -len(member.assignment()))
    if owner is old:
        assert await following == [3]
        await other.close()
    else:
        assert await offsets(newcomer, 7) == [3, 4, 5, 6, 7, 8, 9]
        following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_an_evicted_member_continues_at_the_committed_offsets() -> None:
    """Records whose commit was refused are delivered again; those after them are not skipped."""
    clock = ManualClock()
    bus = InProcessBus(partitions=1, rebalance_timeout_ms=1, clock=clock)
    await bus.publish_many(records(5))
    slow = bus.subscribe("t", group="g")
    assert await offsets(slow, 2) == [0, 1]
    async with bus.subscribe("t", group="other"):  # a group of its own: no matter
        newcomer = bus.subscribe("t", group="g")
        joining = asyncio.create_task(newcomer.__aenter__())
        await turns()
        clock.advance(1)
        await joining
        assert await offsets(newcomer, 1) == [1]
        await newcomer.close()
        assert await offsets(slow, 4) == [1, 2, 3, 4]


async def test_records_and_batches_can_be_mixed() -> None:
    """Each way to read continues where the other stopped, and batches keep to their size."""
    bus = await one_partition(20)
    async with bus.subscribe("t", group="g") as subscription:
        assert await offsets(subscription, 2) == [0, 1]
        batches = subscription.batches(max_records=5)
        assert [record.offset for record in await anext(batches)] == [2, 3, 4, 5, 6]
        assert await offsets(subscription, 1) == [7]
        assert [record.offset for record in await anext(batches)] == [8, 9, 10, 11, 12]
        assert bus.broker_statistics().groups["g"].lag == 12


async def test_seek_keeps_prefetched_records_of_other_partitions() -> None:
    """Seeking in one partition neither skips nor repeats records of others."""
    bus = InProcessBus(partitions=2)
    await bus.publish_many(records(20))
    async with bus.subscribe("t") as subscription:
        first = await anext(subscription)
        moved = TopicPartition("t", first.partition)
        await subscription.seek(moved, 8)
        got = [await anext(subscription) for _ in range(12)]
    by_partition = {p: [r.offset for r in got if r.partition == p] for p in (0, 1)}
    assert by_partition == {first.partition: [8, 9], 1 - first.partition: list(range(10))}


async def test_seek_joins_first() -> None:
    """Seeking joins the group first."""
    bus = await one_partition(5)
    subscription = bus.subscribe("t", group="g")
    await subscription.seek(TP, 3)
    assert await offsets(subscription, 2) == [3, 4]
    await subscription.seek_to_timestamp(1)
    assert await offsets(subscription, 4) == [1, 2, 3, 4]


async def test_auto_commit_is_for_groups() -> None:
    """Reading without a group creates no group."""
    bus = await one_partition(5)
    async with bus.subscribe("t") as subscription:
        await offsets(subscription, 5)
    assert bus.broker_statistics().groups == {}


async def test_manual_commits_cover_all_delivered_records() -> None:
    """`commit` covers all partitions and several polls."""
    bus = InProcessBus(partitions=2)
    await bus.publish_many(records(2000))
    async with bus.subscribe("t", group="g", auto_commit=False) as subscription:
        await offsets(subscription, 2000)
        assert bus.broker_statistics().groups["g"].lag == 2000
        await subscription.commit()
        assert bus.broker_statistics().groups["g"].lag == 0


async def test_the_state_can_be_seen() -> None:
    """`repr` shows consumer and topics."""
    subscription = InProcessBus().subscribe(["t", "u"], group="g")
    assert repr(subscription) == "<InProcessSubscription of <InProcessConsumer g-1 t, u partitions=0>>"


async def test_records_delivered_before_a_reset_are_not_committed_after_it() -> None:
    """Old offsets are deleted, so that they cannot skip newer records."""
    bus = InProcessBus(partitions=2)
    async with bus.subscribe("t", group="g", auto_commit=False) as subscription:
        await bus.publish_many(records(10))
        await offsets(subscription, 10)
        bus.reset()
        await bus.publish_many(records(1))
        await offsets(subscription, 1)
        await subscription.commit()
        await bus.publish_many(records(2))
        assert bus.broker_statistics().groups["g"].lag == 2
