"""The in-process bus: bounded memory, inspection, and cleanup."""

from __future__ import annotations

import asyncio
import gc
from datetime import UTC, datetime, timedelta

import pytest

from eventbus import (
    BufferFull,
    BusClosed,
    Event,
    InProcessBus,
    InvalidEvent,
    InvalidTopic,
    ManualClock,
    NoActiveMembers,
    ProducerRecord,
    TopicPartition,
)
from eventbus.broker.groups import GroupState
from eventbus.record import RECORD_OVERHEAD

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_MS = 1767268800000
TYPE = "omninode.agent.execution.started.v1"
TP = TopicPartition("t", 0)
ROW_BYTES = RECORD_OVERHEAD + 40


def event(number: int, **changes: object) -> Event:
    return Event.new(TYPE, {"number": number}, timestamp=NOON + timedelta(seconds=number)).evolve(**changes)


def record(number: int, topic: str = "t") -> ProducerRecord:
    """A record of `ROW_BYTES` in memory."""
    return ProducerRecord(topic, None, b"%040d" % number, NOON_MS + number, ())


def small(**options: object) -> InProcessBus:
    """A bus with one partition per topic that holds eight records."""
    return InProcessBus(partitions=1, retention_bytes=8 * ROW_BYTES, **options)  # type: ignore[arg-type]


async def turns(count: int = 20) -> None:
    """Let all runnable tasks run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def stop(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# A full partition


async def test_a_publisher_waits_for_the_slowest_group() -> None:
    """With `block`, publishing continues as the group commits; no record is lost, and the limit holds."""
    bus = small()
    async with bus.subscribe("t", group="slow") as slow:
        publisher = asyncio.create_task(bus.publish_many(map(record, range(100))))
        await turns()
        assert not publisher.done()
        assert bus.broker_statistics().records == 8
        got = []
        async for item in slow:
            got.append(item.offset)
            assert bus.broker_statistics().bytes <= 8 * ROW_BYTES
            if len(got) == 100:
                break
    assert await publisher == 100
    assert got == list(range(100))
    assert slow.lost == 0


async def test_a_publisher_waits_only_for_groups_with_members() -> None:
    """When the last member leaves, the waiting publisher continues."""
    bus = small()
    async with bus.subscribe("t", group="slow"):
        publisher = asyncio.create_task(bus.publish_many(map(record, range(100))))
        await turns()
        assert not publisher.done()
    assert await publisher == 100


async def test_readers_without_group_do_not_block_publishing() -> None:
    """A slow reader without a group loses records and counts them."""
    bus = small()
    async with bus.subscribe("t") as reader:
        await bus.publish_many(map(record, range(100)))
        assert (await anext(reader)).offset == 92
        assert reader.lost == 92


async def test_waiting_ends_with_an_error_that_names_the_group() -> None:
    """After `max_block_ms`, publishing raises an error that names the slow group."""
    bus = small(max_block_ms=0)
    async with bus.subscribe("t", group="stuck"):
        with pytest.raises(BufferFull, match="not yet committed by group stuck"):
            await bus.publish_many(map(record, range(9)))
    assert bus.broker_statistics().appended == 8


async def test_raise_refuses_at_once() -> None:
    """With `raise`, a full partition is an error."""
    bus = small(on_full="raise")
    async with bus.subscribe("t", group="slow") as slow:
        with pytest.raises(BufferFull):
            await bus.publish_many(map(record, range(100)))
        for _ in range(5):
            await anext(slow)
        await bus.publish_many([record(8)])
    assert bus.broker_statistics().appended == 9


async def test_drop_oldest_counts_what_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    """With `drop_oldest`, lost records are counted by subscription and statistics, and logged once."""
    bus = small(on_full="drop_oldest")
    async with bus.subscribe("t", group="slow") as slow:
        first = await anext(slow) if await bus.publish_many([record(0)]) else None
        await bus.publish_many(map(record, range(1, 101)))
        assert first is not None
        assert (await anext(slow)).offset == 93
        assert slow.lost == 92
        assert bus.broker_statistics().groups["slow"].lost == 92
        for _ in range(7):
            await anext(slow)
        await bus.publish_many(map(record, range(101, 201)))
        assert (await anext(slow)).offset == 193
        assert slow.lost == 92 + 92
    assert [entry.levelname for entry in caplog.records] == ["WARNING"]
    assert "records_lost" in caplog.text


async def test_a_blocked_publisher_can_be_cancelled() -> None:
    """Cancelling leaves no waiter behind and no record in the log."""
    bus = small()
    async with bus.subscribe("t", group="slow"):
        publisher = asyncio.create_task(bus.publish_many(map(record, range(9))))
        await turns()
        await stop(publisher)
        assert bus.broker_statistics().appended == 8
        assert len(bus._coordinator.watchers) == 0


async def test_a_publisher_cancelled_at_its_turn_has_published_nothing() -> None:
    """A chunk whose publishing was cancelled before it began is not in the log."""
    bus = small()
    publisher = asyncio.create_task(bus.publish_many([record(0)]))
    await asyncio.sleep(0)
    await stop(publisher)
    assert publisher.cancelled()
    assert bus.broker_statistics().appended == 0


async def test_closing_the_bus_ends_waiting_publishers() -> None:
    """A publisher that waits for room gets BusClosed."""
    bus = small()
    async with bus.subscribe("t", group="slow"):
        publisher = asyncio.create_task(bus.publish_many(map(record, range(9))))
        await turns()
        await bus.close()
        with pytest.raises(BusClosed):
            await publisher


async def test_a_large_run_is_trimmed_in_parts() -> None:
    """A run of many times the limit passes through a full partition in parts, in order, within the limit."""
    bus = small()
    seen: list[int] = []

    async def read() -> None:
        async for batch in bus.subscribe("t", group="g").batches():
            seen.extend(item.offset for item in batch)
            assert bus.broker_statistics().bytes <= 8 * ROW_BYTES

    reader = asyncio.create_task(read())
    await turns()
    await bus.publish_many(list(map(record, range(1000))))
    await bus.settled("g")
    assert seen == list(range(1000))
    await stop(reader)


# Fairness


async def test_publishing_in_a_tight_loop_lets_others_run() -> None:
    """`await publish` in a loop does not starve consumers."""
    bus = InProcessBus()
    reader = bus.subscribe("omninode.agent", group="g")
    task = asyncio.create_task(anext(reader))
    for number in range(500):
        await bus.publish(event(number))
    assert task.done()
    await task


async def test_reading_a_long_backlog_lets_others_run() -> None:
    """A reader with a backlog does not starve other tasks."""
    bus = InProcessBus()
    await bus.publish_many(map(record, range(5000)))
    turns_taken = 0

    async def other() -> None:
        nonlocal turns_taken
        while True:
            turns_taken += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    async with bus.subscribe("t") as reader:
        for _ in range(5000):
            await anext(reader)
    assert turns_taken >= 5
    await stop(task)


# Topics and time


@pytest.mark.parametrize(
    ("strategy", "topic"), [("domain", "omninode.agent"), ("event_type", TYPE), ("single", "omninode.events")]
)
async def test_the_strategy_names_the_topic(strategy: str, topic: str) -> None:
    """One topic per domain, per event type, or one for all."""
    bus = InProcessBus(topic_strategy=strategy)  # type: ignore[arg-type]
    assert (await bus.publish(event(1))).topic == topic
    await bus.publish_many([event(2)])
    assert [item.topic for item in bus.records()] == [topic] * 2


async def test_retention_by_time_follows_the_clock() -> None:
    """Records older than `retention_ms` are dropped once the clock has advanced, without waiting."""
    clock = ManualClock(NOON_MS)
    bus = InProcessBus(retention_ms=60_000, retention_bytes=4_000, clock=clock)  # small batches: one record each
    await bus.publish(event(0))
    await bus.publish(event(30))
    clock.advance(60_000)
    assert len(bus.events()) == 2
    clock.advance(20_000)
    assert [e.payload["number"] for e in bus.events()] == [30]


async def test_a_bad_topic_is_refused() -> None:
    """A topic name that Kafka would refuse is refused."""
    with pytest.raises(InvalidTopic):
        await InProcessBus().publish(event(1), topic="no spaces")


async def test_deleting_a_topic_under_its_readers() -> None:
    """Readers of a deleted topic continue with the new topic of that name."""
    bus = InProcessBus()
    async with bus.subscribe("t") as lone, bus.subscribe("t", group="g") as member:
        await bus.publish_many([record(1)])
        assert (await anext(lone)).value == (await anext(member)).value == record(1).value
        await bus.delete_topic("t")
        await bus.publish_many([record(2)])
        assert (await anext(lone)).value == (await anext(member)).value == record(2).value


# Looking in


async def test_records_and_events_can_be_listed() -> None:
    """The log can be inspected by topic, key, type and chain; events are sorted by time."""
    bus = InProcessBus()
    later, sooner = event(2), event(1)
    effect = Event.new("omninode.agent.execution.completed.v1", {}, cause=later, timestamp=NOON + timedelta(seconds=3))
    await bus.publish_many([later, sooner, effect])
    await bus.publish(sooner, topic="copy")
    assert bus.events("omninode.agent") == [sooner, later, effect]
    assert bus.events(event_type=effect.event_type) == [effect]
    assert bus.events(correlation_id=later.event_id) == [later, effect]
    assert len(bus.records()) == 4
    assert [item.event for item in bus.records(key=sooner.key)] == [sooner, sooner]
    assert bus.records("nothing") == []
    await bus.publish_many([record(1)])
    with pytest.raises(InvalidEvent):
        bus.events()


async def test_settled_waits_for_the_last_commit() -> None:
    """`settled` returns when all records present at the call are committed, not merely delivered."""
    bus = InProcessBus()
    await bus.publish_many(map(record, range(10)))
    async with bus.subscribe("t", group="g") as member:
        waiting = asyncio.create_task(bus.settled("g"))
        for _ in range(10):
            await anext(member)
        await turns()
        assert not waiting.done()
        await member.commit()
        await waiting
        await bus.settled("g", "t")


async def test_settled_is_about_the_records_there_at_the_call() -> None:
    """Later records do not prolong it."""
    bus = InProcessBus()
    await bus.publish_many([record(1)])
    async with bus.subscribe("t", group="g") as member:
        waiting = asyncio.create_task(bus.settled("g"))
        await turns()
        await bus.publish_many([record(2)])
        await anext(member)
        await member.commit()
        await waiting


async def test_settled_waits_for_consumers_just_started() -> None:
    """A consumer whose task was just created is waited for."""
    bus = InProcessBus()
    await bus.publish_many(map(record, range(10)))
    seen = []

    async def read() -> None:
        async for item in bus.subscribe("t", group="g"):
            seen.append(item)

    reader = asyncio.create_task(read())
    await bus.settled("g")
    assert len(seen) == 10
    await stop(reader)


async def test_settled_raises_instead_of_hanging() -> None:
    """A group that has no members, or does not exist, raises NoActiveMembers."""
    bus = InProcessBus()
    await bus.publish_many(map(record, range(5)))
    with pytest.raises(NoActiveMembers, match="no member of a group 'typo'"):
        await bus.settled("typo")
    with pytest.raises(NoActiveMembers, match="'g' has no members, and 5 records"):
        await bus.settled("g", "t")
    async with bus.subscribe("t", group="g"):
        waiting = asyncio.create_task(bus.settled("g"))
        await turns()
        assert not waiting.done()
    with pytest.raises(NoActiveMembers):
        await waiting


async def test_settled_without_members_is_fine_when_nothing_is_left() -> None:
    """A group that has committed everything and left is settled."""
    bus = InProcessBus()
    await bus.publish_many([record(1)])
    async with bus.subscribe("t", group="g") as member:
        await anext(member)
    await bus.settled("g")


async def test_reset_starts_over() -> None:
    """After `reset`, the log is empty, offsets start at 0, and open subscriptions get new records."""
    bus = InProcessBus()
    identity = bus.id
    async with bus.subscribe("t") as lone, bus.subscribe("t", group="g") as member:
        await bus.publish_many([record(1), record(2)])
        await anext(lone)
        await anext(member)
        bus.reset()
        assert bus.records() == []
        assert bus.id != identity
        await bus.publish_many([record(3)])
        assert [(await anext(s)).value for s in (lone, member)] == [record(3).value] * 2
        await member.commit()
        await bus.settled("g")
    assert bus.broker_statistics().appended == 1


async def test_reset_ends_waiting_for_settled() -> None:
    """Trimmed records need not be processed."""
    bus = InProcessBus()
    await bus.publish_many(map(record, range(10)))
    async with bus.subscribe("t", group="g"):
        waiting = asyncio.create_task(bus.settled("g"))
        await turns()
        bus.reset()
        await waiting


async def test_a_closed_bus_can_be_inspected() -> None:
    """A closed bus can still be inspected."""
    async with InProcessBus() as bus:
        await bus.publish(event(1))
    assert len(bus.events()) == 1
    with pytest.raises(BusClosed):
        bus.subscribe("t")
    with pytest.raises(BusClosed):
        async with bus:
            pass


# Nothing is left behind


async def test_break_leaves_the_group() -> None:
    """A subscription without references leaves its group."""
    bus = InProcessBus()
    await bus.publish_many([record(1)])
    async for _ in bus.subscribe("t", group="g"):
        break
    gc.collect()
    assert bus.broker_statistics().groups["g"].members == 0
    async for _ in bus.subscribe("t", group="h").batches():
        break
    gc.collect()
    assert bus.broker_statistics().groups["h"].state is GroupState.EMPTY


async def test_a_cancelled_reader_leaves_the_group_and_no_waiter() -> None:
    """Cancelling the task that iterates makes the member leave."""
    bus = InProcessBus()

    async def read() -> None:
        async for _ in bus.subscribe("t", group="g"):
            pass

    task = asyncio.create_task(read())
    await turns()
    assert bus.broker_statistics().groups["g"].members == 1
    await stop(task)
    del task
    await turns(1)  # asyncio itself holds the task until then
    gc.collect()
    assert bus.broker_statistics().groups["g"].members == 0
    assert len(bus._coordinator.watchers) == 0


async def test_closing_the_bus_ends_every_loop() -> None:
    """Waiting iterations end, and the groups are empty."""
    bus = InProcessBus()

    async def read(group: str | None) -> str:
        async for _ in bus.subscribe("t", group=group):
            pass
        return "ended"

    tasks = [asyncio.create_task(read(group)) for group in ("g", "g", None)]
    await turns()
    await bus.close()
    assert await asyncio.gather(*tasks) == ["ended"] * 3
    assert bus.broker_statistics().groups["g"].members == 0


def test_a_bus_outlives_its_event_loop() -> None:
    """A subscription left behind by a closed event loop does not disturb the next one."""
    bus = InProcessBus()
    kept = []

    async def first() -> None:
        subscription = bus.subscribe("t", group="g")
        kept.append(subscription)
        async with asyncio.timeout(0):
            await anext(subscription)

    with pytest.raises(TimeoutError):
        asyncio.run(first())

    async def second() -> None:
        await bus.publish_many([record(1)])
        async with bus.subscribe("t") as reader:
            assert (await anext(reader)).value == record(1).value

    asyncio.run(second())


async def test_the_state_can_be_seen() -> None:
    """`repr` shows state, topics and groups."""
    bus = InProcessBus()
    await bus.publish(event(1))
    assert repr(bus) == "<InProcessBus open topics=1 groups=0>"
    await bus.close()
    assert repr(bus) == "<InProcessBus closed topics=1 groups=0>"
