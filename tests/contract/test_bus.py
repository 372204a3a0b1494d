"""The contract of every bus, tested in process and on a real Kafka."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from eventbus import (
    BusClosed,
    ConsumerRecord,
    Event,
    EventBus,
    IllegalGeneration,
    NoGroup,
    ProducerRecord,
    Subscription,
    TopicPartition,
    UnknownMember,
)
from eventbus.bus import ColumnBus
from eventbus.record import columns_by_topic
from tests.contract.conftest import PARTITIONS, BusFactory

pytestmark = pytest.mark.timeout(90)

EVENT_TYPE = "omninode.agent.execution.started.v1"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_MS = 1767268800000

KAFKA_HASHES = {  # org.apache.kafka.common.utils.UtilsTest, testMurmur2
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


def event(number: int, **changes: object) -> Event:
    """The event of this number: the root of a chain, a second after the previous one."""
    made = Event.new(EVENT_TYPE, {"number": number}, timestamp=NOON + timedelta(seconds=number))
    return made.evolve(**changes)


def record(topic: str, number: int, key: bytes | None = None) -> ProducerRecord:
    """A record that is not an event; its default key is its number."""
    return ProducerRecord(topic, key or b"key-%d" % number, b"value-%d" % number, NOON_MS + number, ())


async def take(subscription: Subscription, count: int) -> list[ConsumerRecord]:
    """The next records; the subscription can be read further."""
    return [await anext(subscription) for _ in range(count)]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; only the test's own timeout ends the wait."""
    while not condition():  # noqa: ASYNC110 - a real broker tells nobody
        await asyncio.sleep(0.01)


def shared_out(topic: str, *members: Subscription) -> Callable[[], bool]:
    """Whether all partitions are assigned to these members, some to each and none to two."""
    every = {TopicPartition(topic, partition) for partition in range(PARTITIONS)}

    def check() -> bool:
        shares = [member.assignment() for member in members]
        return all(shares) and sum(map(len, shares)) == PARTITIONS and frozenset().union(*shares) == every

    return check


def by_partition(records: Iterable[ConsumerRecord]) -> dict[int, list[ConsumerRecord]]:
    found: dict[int, list[ConsumerRecord]] = defaultdict(list)
    for item in records:
        found[item.partition].append(item)
    return found


async def test_an_event_published_is_the_event_received(bus: EventBus, topic: str) -> None:
    """A subscriber gets what was published, with its key, timestamp and offset."""
    sent = event(1)
    place = await bus.publish(sent, topic=topic)
    async with bus.subscribe(topic) as subscription:
        [got] = await take(subscription, 1)
    assert got.event == sent
    assert (got.topic, got.partition, got.offset) == place
    assert got.key == sent.correlation_id.encode()
    assert got.timestamp == NOON_MS + 1000


async def test_the_topic_follows_from_the_event_type(bus: EventBus, unique: str) -> None:
    """Without a topic, an event goes to the topic of its domain, which is created."""
    place = await bus.publish(event(1, event_type=f"omninode.{unique}.thing.done.v1"))
    assert place.topic == f"omninode.{unique}"


async def test_keys_go_where_kafka_sends_them(bus: EventBus, topic: str) -> None:
    """The partition is `toPositive(murmur2(key)) % partitions`."""
    await bus.publish_many([ProducerRecord(topic, key, b"", NOON_MS, ()) for key in KAFKA_HASHES])
    async with bus.subscribe(topic) as subscription:
        got = {item.key: item.partition for item in await take(subscription, len(KAFKA_HASHES))}
    assert got == {key: (value & 0x7FFFFFFF) % PARTITIONS for key, value in KAFKA_HASHES.items()}


async def test_columns_arrive_as_the_same_records(bus: EventBus, topic: str, unique: str) -> None:
    """`publish_columns` appends what `publish_many` does, to the same partitions and in the same order."""
    if not isinstance(bus, ColumnBus):
        pytest.skip("this bus takes no columns")
    records = [record(name, number) for number in range(300) for name in (topic, f"{unique}.other")]
    records += [ProducerRecord(topic, f"one-{number % 3}".encode(), None, NOON_MS) for number in range(3)]
    records += [ProducerRecord(topic, b"longer key", event(1).to_bytes(), NOON_MS)]
    assert await bus.publish_columns(columns_by_topic(records)) == len(records)
    await bus.create_topics({f"{unique}.second": PARTITIONS})
    await bus.publish_many(item._replace(topic=f"{unique}.second") for item in records if item.topic == topic)
    logs = []
    for name in (topic, f"{unique}.second"):
        async with bus.subscribe(name) as subscription:
            logs.append([item._replace(topic="") for item in await take(subscription, 304)])
    assert by_partition(logs[0]) == by_partition(logs[1])
    assert len(by_partition(logs[0])) == PARTITIONS


async def test_columns_are_refused_by_a_closed_bus(bus_factory: BusFactory, unique: str) -> None:
    """Nothing is lost silently: the error is that of `publish_many`."""
    async with bus_factory() as bus:
        if not isinstance(bus, ColumnBus):
            pytest.skip("this bus takes no columns")
        assert await bus.publish_columns({}) == 0
    with pytest.raises(BusClosed):
        await bus.publish_columns(columns_by_topic([record(unique, 1)]))


async def test_publish_and_publish_many_agree_on_the_partition(bus: EventBus, topic: str) -> None:
    """The events of a chain go to one partition, however they are published."""
    events = [event(number) for number in range(100)]
    await bus.publish_many([ProducerRecord(topic, e.key, e.to_bytes(), NOON_MS) for e in events])
    places = [await bus.publish(e, topic=topic) for e in events]
    async with bus.subscribe(topic) as subscription:
        got = await take(subscription, 200)
    partitions = defaultdict(set)
    for item in got:
        partitions[item.key].add(item.partition)
    assert partitions == {e.key: {place.partition} for e, place in zip(events, places, strict=True)}


async def test_order_within_a_partition_is_the_order_of_publishing(bus: EventBus, topic: str) -> None:
    """Records of a partition arrive in the order of publishing, with consecutive offsets."""
    assert await bus.publish_many(record(topic, number) for number in range(2500)) == 2500
    async with bus.subscribe(topic) as subscription:
        got = by_partition(await take(subscription, 2500))
    assert len(got) == PARTITIONS
    for records in got.values():
        assert [item.offset for item in records] == list(range(len(records)))
        assert all(one.timestamp < next_one.timestamp for one, next_one in pairwise(records))


async def test_batches_are_of_one_partition_and_bounded(bus: EventBus, topic: str) -> None:
    """`batches` gives lists of limited size with records of one partition, and each record once."""
    await bus.publish_many(record(topic, number) for number in range(10_000))
    seen: list[ConsumerRecord] = []
    async with bus.subscribe(topic) as subscription:
        async for batch in subscription.batches(max_records=300):
            assert 0 < len(batch) <= 300
            assert len({item.partition for item in batch}) == 1
            seen += batch
            if len(seen) == 10_000:
                break
    assert {item.value for item in seen} == {b"value-%d" % number for number in range(10_000)}


async def test_headers_of_an_event_are_derived(bus: EventBus, topic: str) -> None:
    """A published event carries the headers of its envelope."""
    cause = event(1)
    sent = Event.new(EVENT_TYPE, {}, cause=cause)
    await bus.publish(sent, topic=topic)
    async with bus.subscribe(topic) as subscription:
        [got] = await take(subscription, 1)
    assert got.headers == sent.headers
    assert dict(got.headers)["causation_id"] == cause.event_id.encode()


async def test_headers_given_are_kept(bus: EventBus, topic: str) -> None:
    """Headers of a record are kept, repeated names included; an empty list stays empty."""
    headers = (("a", b"1"), ("b", b"\xff\x00"), ("a", b"2"))
    await bus.publish_many(
        [ProducerRecord(topic, b"k", b"1", NOON_MS, headers), ProducerRecord(topic, b"k", b"2", NOON_MS, ())]
    )
    async with bus.subscribe(topic) as subscription:
        got = await take(subscription, 2)
    assert [item.headers for item in got] == [headers, ()]


async def test_anything_can_be_a_value(bus: EventBus, topic: str) -> None:
    """Keys and values are any bytes or None."""
    values = [None, b"", b"\x00\xff", b"{not json", b"[]"]
    await bus.publish_many([ProducerRecord(topic, b"same", value, NOON_MS, ()) for value in values])
    async with bus.subscribe(topic) as subscription:
        got = await take(subscription, len(values))
    assert [item.value for item in got] == values


async def test_records_without_a_key_are_kept_without(bus: EventBus, topic: str) -> None:
    """A record without a key goes to some partition and has no key."""
    await bus.publish_many([ProducerRecord(topic, None, b"%d" % number, NOON_MS, ()) for number in range(50)])
    async with bus.subscribe(topic) as subscription:
        got = await take(subscription, 50)
    assert {item.key for item in got} == {None}
    assert {item.value for item in got} == {b"%d" % number for number in range(50)}


async def test_a_reader_without_group_gets_everything(bus: EventBus, topic: str) -> None:
    """Readers without a group each get all partitions."""
    await bus.publish_many(record(topic, number) for number in range(40))
    async with bus.subscribe(topic) as one, bus.subscribe(topic) as other:
        assert len(one.assignment()) == len(other.assignment()) == PARTITIONS
        assert sorted(await take(one, 40)) == sorted(await take(other, 40))


async def test_latest_starts_with_what_comes_next(bus: EventBus, topic: str) -> None:
    """`auto_offset_reset="latest"` skips earlier records."""
    await bus.publish_many(record(topic, number) for number in range(20))
    async with bus.subscribe(topic, auto_offset_reset="latest") as subscription:
        await bus.publish_many([record(topic, 20)])
        [got] = await take(subscription, 1)
    assert got.value == b"value-20"


async def test_several_topics_in_one_subscription(bus: EventBus, topic: str) -> None:
    """A subscription may read several topics."""
    other = f"{topic}-other"
    await bus.create_topics({other: 1})
    await bus.publish_many([record(topic, 1), record(other, 2)])
    async with bus.subscribe([topic, other]) as subscription:
        got = await take(subscription, 2)
    assert {(item.topic, item.value) for item in got} == {(topic, b"value-1"), (other, b"value-2")}


async def test_members_of_a_group_share_the_partitions(bus: EventBus, topic: str, group: str) -> None:
    """Two members have half of the partitions each, and every record goes to the owner of its partition."""
    async with bus.subscribe(topic, group=group) as one, bus.subscribe(topic, group=group) as other:
        await until(shared_out(topic, one, other))
        assert len(one.assignment()) == len(other.assignment()) == PARTITIONS // 2
        await bus.publish_many(record(topic, number) for number in range(200))
        got: dict[int, set[int]] = defaultdict(set)
        values: list[bytes | None] = []
        done = asyncio.Event()

        async def work(name: int, member: Subscription) -> None:
            async for item in member:
                got[name].add(item.partition)
                values.append(item.value)
                if len(values) == 200:
                    done.set()

        tasks = [asyncio.create_task(work(name, member)) for name, member in enumerate((one, other))]
        await done.wait()
        assert got[0] == {p.partition for p in one.assignment()}
        assert got[1] == {p.partition for p in other.assignment()}
        await stop(*tasks)
    assert len(set(values)) == 200


async def test_other_members_take_over_when_one_leaves(bus: EventBus, topic: str, group: str) -> None:
    """When a member leaves, the others take its partitions and continue at its offsets."""
    await bus.publish_many(record(topic, number) for number in range(100))
    async with bus.subscribe(topic, group=group) as stays:
        async with bus.subscribe(topic, group=group) as leaves:
            await until(shared_out(topic, stays, leaves))
            first = await take(leaves, 10)
        await until(shared_out(topic, stays))
        rest = await take(stays, 90)
    assert {item.value for item in (*first, *rest)} == {b"value-%d" % number for number in range(100)}


async def test_a_group_continues_where_it_stopped(bus: EventBus, topic: str, group: str) -> None:
    """Committed offsets outlive the member: the next one continues there."""
    await bus.publish_many(record(topic, number, b"one") for number in range(10))
    async with bus.subscribe(topic, group=group) as subscription:
        await take(subscription, 4)
    async with bus.subscribe(topic, group=group) as subscription:
        got = await take(subscription, 6)
    assert [item.value for item in got] == [b"value-%d" % number for number in range(4, 10)]


async def test_unprocessed_records_are_delivered_again(bus: EventBus, topic: str, group: str) -> None:
    """A member that dies over a record has not processed it: the next member gets it."""
    await bus.publish_many(record(topic, number, b"one") for number in range(5))
    subscription = bus.subscribe(topic, group=group)
    await take(subscription, 3)
    await subscription.close()
    async with bus.subscribe(topic, group=group) as subscription:
        got = await take(subscription, 3)
    assert [item.value for item in got] == [b"value-2", b"value-3", b"value-4"]


async def test_an_exception_in_the_handler_leaves_the_record_unprocessed(bus: EventBus, topic: str, group: str) -> None:
    """Leaving `async with` by an exception does not commit the last record delivered."""
    await bus.publish_many(record(topic, number, b"one") for number in range(3))
    with suppress(ZeroDivisionError):
        async with bus.subscribe(topic, group=group) as subscription:
            async for item in subscription:
                if item.offset == 1:
                    raise ZeroDivisionError
    async with bus.subscribe(topic, group=group) as subscription:
        assert [item.offset for item in await take(subscription, 2)] == [1, 2]


async def test_batches_commit_when_the_next_is_requested(bus: EventBus, topic: str, group: str) -> None:
    """With `batches`, the last list delivered is delivered again."""
    await bus.publish_many(record(topic, number, b"one") for number in range(9))
    subscription = bus.subscribe(topic, group=group)
    batches = subscription.batches(max_records=3)
    assert [[item.offset for item in await anext(batches)] for _ in range(2)] == [[0, 1, 2], [3, 4, 5]]
    await subscription.close()
    async with bus.subscribe(topic, group=group) as subscription:
        assert (await take(subscription, 1))[0].offset == 3


async def test_without_auto_commit_only_commit_counts(bus: EventBus, topic: str, group: str) -> None:
    """With `auto_commit=False`, a group continues from the last `commit`."""
    await bus.publish_many(record(topic, number, b"one") for number in range(6))
    async with bus.subscribe(topic, group=group, auto_commit=False) as subscription:
        await take(subscription, 2)
        await subscription.commit()
        await take(subscription, 3)
    async with bus.subscribe(topic, group=group) as subscription:
        assert (await take(subscription, 1))[0].offset == 2


async def test_commit_after_losing_the_partition_is_refused(bus: EventBus, topic: str, group: str) -> None:
    """A member that lost its partitions cannot commit their offsets."""
    await bus.publish_many(record(topic, number, b"one") for number in range(3))
    subscription = bus.subscribe(topic, group=group, auto_commit=False)
    await take(subscription, 2)
    await subscription.close()
    with pytest.raises((BusClosed, IllegalGeneration, UnknownMember)):
        await subscription.commit()
    async with bus.subscribe(topic, group=group) as successor:
        assert (await take(successor, 1))[0].offset == 0


async def test_only_a_group_can_commit(bus: EventBus, topic: str) -> None:
    """`commit` without a group raises NoGroup."""
    async with bus.subscribe(topic) as subscription:
        with pytest.raises(NoGroup):
            await subscription.commit()


async def test_replay_from_an_offset(bus: EventBus, topic: str, group: str) -> None:
    """`seek` moves back or forward to any offset."""
    await bus.publish_many(record(topic, number, b"one") for number in range(10))
    async with bus.subscribe(topic, group=group) as subscription:
        [first, *_] = await take(subscription, 10)
        await subscription.seek(TopicPartition(topic, first.partition), 3)
        assert [item.offset for item in await take(subscription, 3)] == [3, 4, 5]
        await subscription.seek(TopicPartition(topic, first.partition), 8)
        assert [item.offset for item in await take(subscription, 2)] == [8, 9]


async def test_replay_from_a_timestamp(bus: EventBus, topic: str) -> None:
    """`seek_to_timestamp` finds the first record with at least that time in every partition."""
    await bus.publish_many(record(topic, number) for number in range(100))
    async with bus.subscribe(topic) as subscription:
        await take(subscription, 100)
        await subscription.seek_to_timestamp(NOON_MS + 60)
        got = await take(subscription, 40)
    assert {item.timestamp for item in got} == {NOON_MS + number for number in range(60, 100)}


async def test_seeking_past_the_last_timestamp_waits_for_the_next_record(bus: EventBus, topic: str) -> None:
    """A time after all records means the end."""
    await bus.publish_many(record(topic, number) for number in range(10))
    async with bus.subscribe(topic) as subscription:
        await subscription.seek_to_timestamp(NOON_MS + 1000)
        await bus.publish_many([record(topic, 5000)])
        assert [item.value for item in await take(subscription, 1)] == [b"value-5000"]


async def test_a_loop_left_by_break_can_be_continued(bus: EventBus, topic: str) -> None:
    """After `break`, the next loop over the subscription continues with the next record."""
    await bus.publish_many(record(topic, number, b"one") for number in range(6))
    offsets = []
    async with bus.subscribe(topic) as subscription:
        for stop_at in (1, 3, 5):
            async for item in subscription:
                offsets.append(item.offset)
                if item.offset == stop_at:
                    break
    assert offsets == list(range(6))


async def test_creating_a_topic_that_exists_changes_nothing(bus: EventBus, topic: str) -> None:
    """`create_topics` does not change existing topics."""
    await bus.publish_many([record(topic, 1)])
    await bus.create_topics({topic: PARTITIONS + 1})
    async with bus.subscribe(topic) as subscription:
        assert len(subscription.assignment()) == PARTITIONS
        assert (await take(subscription, 1))[0].value == b"value-1"


async def test_closing_ends_the_iteration(bus: EventBus, topic: str) -> None:
    """Closing a subscription ends iterations that wait."""
    subscription = bus.subscribe(topic)
    started = asyncio.Event()

    async def read() -> str:
        async with subscription:
            started.set()
            async for _ in subscription:
                pass
        return "ended"

    task = asyncio.create_task(read())
    await started.wait()
    await subscription.close()
    assert await task == "ended"


async def test_a_closed_bus_refuses(bus_factory: BusFactory, unique: str) -> None:
    """After `async with`, publishing and subscribing raise BusClosed."""
    async with bus_factory() as bus:
        await bus.create_topics({unique: 1})
    with pytest.raises(BusClosed, match="async with"):
        await bus.publish(event(1), topic=unique)
    with pytest.raises(BusClosed):
        await bus.publish_many([record(unique, 1)])
    with pytest.raises(BusClosed):
        async with bus.subscribe(unique):
            pass


async def test_other_items_than_events_are_refused(bus: EventBus, topic: str) -> None:
    """An item that is neither an event nor a record is a TypeError, and nothing is published."""
    with pytest.raises(TypeError, match="Event"):
        await bus.publish_many([record(topic, 1), {"not": "an event"}])  # type: ignore[list-item]  # the mistake
    await bus.publish_many([record(topic, 2, b"one")])
    async with bus.subscribe(topic) as subscription:
        assert (await take(subscription, 1))[0].value == b"value-2"


async def stop(*tasks: asyncio.Task[None]) -> None:
    """Cancel and wait."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
