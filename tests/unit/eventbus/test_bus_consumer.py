"""The consumer below subscriptions: whole batches, positions, and rebalance notifications."""

from __future__ import annotations

import asyncio

import pytest

from eventbus import (
    BusClosed,
    IllegalGeneration,
    InProcessBus,
    ManualClock,
    NoGroup,
    NotAssigned,
    OffsetOutOfRange,
    ProducerRecord,
    TopicPartition,
    UnknownMember,
)
from eventbus.inprocess.consumer import InProcessConsumer, Partitions

ALL = frozenset(TopicPartition("t", partition) for partition in range(4))


class Heard:
    """Records the rebalances of a consumer, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[Partitions, Partitions]] = []

    def __call__(self, assigned: Partitions, revoked: Partitions) -> None:
        self.calls.append((assigned, revoked))


def records(count: int, topic: str = "t") -> list[ProducerRecord]:
    """Records without keys, which are assigned round-robin."""
    return [ProducerRecord(topic, None, b"%d" % number, number, ()) for number in range(count)]


def values(polled: dict[TopicPartition, list]) -> list[bytes]:  # type: ignore[type-arg]
    return [value for batches in polled.values() for batch in batches for value in batch.values]


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def joined(consumer: InProcessConsumer) -> InProcessConsumer:
    await consumer.ready()
    return consumer


async def test_poll_gives_columns_by_partition() -> None:
    """Batches are given by partition, as columns, up to `max_records` over all partitions."""
    bus = InProcessBus()
    await bus.publish_many(records(100))
    consumer = bus.consumer("t", group="g")
    polled = await consumer.poll(max_records=60)
    assert sum(len(batch) for batches in polled.values() for batch in batches) == 60
    for partition, batches in polled.items():
        assert partition in ALL
        assert batches[0].base_offset == 0
        assert consumer.position(partition) == batches[-1].next_offset
        assert batches[0].timestamps == [int(value or b"") for value in batches[0].values]
    rest = await consumer.poll(max_records=1000)
    assert sorted(map(int, values(polled) + values(rest))) == list(range(100))


async def test_no_partition_starves() -> None:
    """Every partition has its turn, however small the polls."""
    bus = InProcessBus()
    await bus.publish_many(records(4000))
    consumer = bus.consumer("t")
    assert {partition for _ in range(4) for partition in await consumer.poll(max_records=10)} == ALL


async def test_poll_without_records() -> None:
    """A timeout of 0 does not wait; other waits end with the first record."""
    bus = InProcessBus()
    consumer = bus.consumer("t", group="g")
    assert await consumer.poll(timeout=0) == {}
    waiting = asyncio.create_task(consumer.poll())
    await turns()
    assert not waiting.done()
    await bus.publish_many(records(1))
    assert values(await waiting) == [b"0"]


async def test_positions_commits_and_ends() -> None:
    """A consumer knows its positions, the beginnings and the ends of its partitions."""
    bus = InProcessBus(partitions=1)
    await bus.publish_many(records(10))
    partition = TopicPartition("t", 0)
    consumer = await joined(bus.consumer("t", group="g"))
    assert consumer.assignment() == {partition}
    assert (consumer.position(partition), consumer.committed(partition)) == (0, None)
    await consumer.poll(max_records=4)
    consumer.commit()
    assert (consumer.position(partition), consumer.committed(partition)) == (4, 4)
    consumer.commit({partition: 2})
    assert consumer.committed(partition) == 2
    assert (consumer.beginning_offset(partition), consumer.high_watermark(partition)) == (0, 10)
    assert consumer.offset_for_timestamp(partition, 7) == 7
    assert consumer.offset_for_timestamp(partition, 99) is None


async def test_seek_wakes_a_poll_that_waits() -> None:
    """Records after a position moved back are polled at once."""
    bus = InProcessBus(partitions=1)
    await bus.publish_many(records(3))
    consumer = bus.consumer("t")
    await consumer.poll()
    waiting = asyncio.create_task(consumer.poll())
    await turns()
    consumer.seek(TopicPartition("t", 0), 1)
    assert values(await waiting) == [b"1", b"2"]


@pytest.mark.parametrize("offset", [-1, 4])
async def test_seek_stays_within_the_log(offset: int) -> None:
    """A seek before the beginning or after the end is refused, and the position stays."""
    bus = InProcessBus(partitions=1)
    await bus.publish_many(records(3))
    consumer = await joined(bus.consumer("t"))
    with pytest.raises(OffsetOutOfRange, match="from 0 to 3"):
        consumer.seek(TopicPartition("t", 0), offset)
    assert consumer.position(TopicPartition("t", 0)) == 0


async def test_paused_partitions_are_not_polled() -> None:
    """`pause` stops partitions, and `resume` delivers their records without loss."""
    bus = InProcessBus()
    await bus.publish_many(records(8))
    consumer = await joined(bus.consumer("t", group="g"))
    paused = {TopicPartition("t", 0), TopicPartition("t", 1)}
    consumer.pause(paused)
    assert set(await consumer.poll()) == ALL - paused
    waiting = asyncio.create_task(consumer.poll())
    await turns()
    assert not waiting.done()
    consumer.resume(paused)
    assert set(await waiting) == paused


async def test_a_rebalance_revokes_all_then_assigns() -> None:
    """The first member is notified of all its revoked partitions before the second has any, and then of its share."""
    bus = InProcessBus()
    first_heard, second_heard = Heard(), Heard()
    first = bus.consumer("t", group="g", on_rebalance=first_heard)
    second = bus.consumer("t", group="g", on_rebalance=second_heard)
    await first.poll(timeout=0)
    assert first_heard.calls == [(ALL, frozenset())]
    joining = asyncio.create_task(second.ready())
    await turns()
    assert second_heard.calls == []
    await first.poll(timeout=0)
    await joining
    assert first_heard.calls[1] == (frozenset(), ALL)
    [(first_share, _)] = first_heard.calls[2:]
    [(second_share, _)] = second_heard.calls
    assert first_share | second_share == ALL
    assert not first_share & second_share
    assert (first.assignment(), second.assignment()) == (first_share, second_share)


async def test_revoked_partitions_can_be_committed_in_the_callback() -> None:
    """`on_rebalance` may be a coroutine function that commits; the next owner continues at those offsets."""
    bus = InProcessBus(partitions=1)
    await bus.publish_many(records(10))
    partition = TopicPartition("t", 0)

    async def on_rebalance(assigned: Partitions, revoked: Partitions) -> None:
        await asyncio.sleep(0)
        if revoked:
            old.commit({partition: 7})

    old = bus.consumer("t", group="g", on_rebalance=on_rebalance)
    await old.poll(max_records=10)
    new = bus.consumer("t", group="g")
    joining = asyncio.create_task(new.ready())
    await turns()
    await old.poll(timeout=0)
    await joining
    await old.close()
    assert values(await new.poll()) == [b"7", b"8", b"9"]


async def test_a_rebalance_waits_for_records_in_flight() -> None:
    """A new member gets no partitions while records are in flight, so that no record is processed twice at once."""
    bus = InProcessBus(partitions=1)
    await bus.publish_many(records(10))
    old, new = bus.consumer("t", group="g"), bus.consumer("t", group="g")
    await old.poll(max_records=5)
    joining = asyncio.create_task(new.ready())
    await turns()
    assert not joining.done()
    old.commit()
    old.release()
    await joining
    assert {old.assignment(), new.assignment()} == {frozenset(), frozenset({TopicPartition("t", 0)})}


async def test_a_member_that_does_not_rejoin_is_evicted() -> None:
    """After `rebalance_timeout_ms`, the others continue without it; its commit is refused, and it may rejoin."""
    clock = ManualClock()
    bus = InProcessBus(partitions=1, rebalance_timeout_ms=1, clock=clock)
    await bus.publish_many(records(3))
    partition = TopicPartition("t", 0)
    stuck, new = bus.consumer("t", group="g"), bus.consumer("t", group="g")
    await stuck.poll()
    joining = asyncio.create_task(new.poll())
    await turns()
    assert not joining.done()
    clock.advance(1)
    assert values(await joining) == [b"0", b"1", b"2"]
    with pytest.raises((IllegalGeneration, UnknownMember)):
        stuck.commit({partition: 3})
    assert new.committed(partition) is None
    back = asyncio.create_task(stuck.ready())
    await turns()
    new.commit()
    new.release()
    await back
    assert bus.broker_statistics().groups["g"].members == 2


async def test_a_member_that_does_not_poll_is_evicted_but_not_one_that_waits() -> None:
    """`session_timeout_ms` evicts members that do not poll, but not those that wait in `poll`."""
    clock = ManualClock()
    bus = InProcessBus(partitions=1, session_timeout_ms=1000, clock=clock)
    await bus.publish_many(records(1))
    silent = bus.consumer("t", group="g")
    await silent.poll()
    waiting = asyncio.create_task(bus.consumer("other", group="g2").poll())
    await turns()
    clock.advance(1001)
    assert values(await bus.consumer("t", group="g").poll()) == [b"0"]
    latecomer = bus.consumer("other", group="g2")
    await latecomer.ready()
    assert bus.broker_statistics().groups["g"].members == 0  # the one that polled was dropped, and so has left
    assert bus.broker_statistics().groups["g2"].members == 2
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_a_group_with_more_members_than_partitions() -> None:
    """A member without partitions waits, and takes over when another leaves."""
    bus = InProcessBus(partitions=1)
    consumers = [await joined(bus.consumer("t", group="g")) for _ in range(3)]
    assert sorted(len(consumer.assignment()) for consumer in consumers) == [0, 0, 1]
    [owner] = [consumer for consumer in consumers if consumer.assignment()]
    await bus.publish_many(records(1))
    await owner.close()
    rest = [consumer for consumer in consumers if consumer is not owner]
    polled = [await consumer.poll(timeout=0) for consumer in rest]
    assert sorted(map(values, polled)) == [[], [b"0"]]


async def test_members_may_read_different_topics() -> None:
    """Partitions are assigned only to members that are subscribed to their topic."""
    bus = InProcessBus(partitions=2)
    one = await joined(bus.consumer(["a", "b"], group="g"))
    other = await joined(bus.consumer("b", group="g"))
    assert {p.topic for p in other.assignment()} == {"b"}
    assert len(one.assignment()) == 3


async def test_unassigned_partitions_cannot_be_positioned() -> None:
    """Positions and commits are limited to the partitions of the consumer."""
    bus = InProcessBus(partitions=1)
    consumer = await joined(bus.consumer("t", group="g"))
    elsewhere = TopicPartition("t", 5)
    with pytest.raises(NotAssigned):
        consumer.seek(elsewhere, 0)
    with pytest.raises(NotAssigned):
        consumer.position(elsewhere)
    with pytest.raises(IllegalGeneration, match="not assigned"):
        consumer.commit({elsewhere: 1, TopicPartition("t", 0): 1})
    assert consumer.committed(TopicPartition("t", 0)) is None


async def test_one_task_at_a_time_polls() -> None:
    """Two tasks could not tell whose records are in flight, so the second one gets an error."""
    bus = InProcessBus()
    consumer = bus.consumer("t", group="g")
    waiting = asyncio.create_task(consumer.poll())
    await turns()
    with pytest.raises(RuntimeError, match="already polled by another task"):
        await consumer.poll()
    await bus.publish_many(records(1))
    assert values(await waiting) == [b"0"]


async def test_a_failed_rebalance_callback_is_called_again() -> None:
    """If the callback fails, the partitions are not assigned."""
    heard = Heard()

    def at_the_second_time(assigned: Partitions, revoked: Partitions) -> None:
        heard(assigned, revoked)
        if len(heard.calls) == 1:
            raise ZeroDivisionError

    consumer = InProcessBus().consumer("t", group="g", on_rebalance=at_the_second_time)
    with pytest.raises(ZeroDivisionError):
        await consumer.poll(timeout=0)
    await consumer.poll(timeout=0)
    assert heard.calls == [(ALL, frozenset())] * 2


async def test_a_consumer_without_group_cannot_commit() -> None:
    """Offsets belong to groups."""
    consumer = await joined(InProcessBus().consumer("t"))
    with pytest.raises(NoGroup):
        consumer.commit()
    with pytest.raises(NoGroup):
        consumer.committed(TopicPartition("t", 0))


async def test_closing_ends_a_poll_that_waits() -> None:
    """A closed consumer raises BusClosed in running and in later calls."""
    bus = InProcessBus()
    consumer = bus.consumer("t", group="g")
    waiting = asyncio.create_task(consumer.poll())
    await turns()
    await consumer.close()
    await consumer.close()
    with pytest.raises(BusClosed):
        await waiting
    with pytest.raises(BusClosed):
        await consumer.poll()
    assert consumer.assignment() == frozenset()


async def test_the_state_can_be_seen() -> None:
    """`repr` shows its id and topics."""
    consumer = await joined(InProcessBus().consumer(["t", "u"], group="g"))
    assert repr(consumer) == "<InProcessConsumer g-1 t, u partitions=8>"
