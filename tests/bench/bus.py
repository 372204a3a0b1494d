"""The in-process bus: publish → consumer group, beside a bare `asyncio.Queue` that carries the same objects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka.partitioner import murmur2 as aiokafka_murmur2

from eventbus import BusClosed, Event, InProcessBus, ProducerRecord
from eventbus.broker.partitioner import murmur2, partitions_for
from eventbus.record import record_of
from tests.bench.table import Row, best_rate

COUNT = 100_000
TOPIC = "omninode.agent"


def rows() -> Iterator[Row]:
    events = [
        Event.new(
            "omninode.agent.execution.started.v1",
            {"agent": "agent-researcher", "query": "optimize database", "attempt": number},
            timestamp=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number, microseconds=1),
        )
        for number in range(COUNT)
    ]
    records = [record_of(event, TOPIC) for event in events]
    queued = rate(lambda: through_queue(records))
    target = "≥ 300,000"
    batches = rate(lambda: through_bus(records, in_batches))
    yield Row("bus: publish_many(records) → group, batches", batches, queued, "asyncio.Queue", target=target)
    columns = rate(lambda: through_bus(records, in_columns))
    yield Row("bus: publish_many(records) → group, columns", columns, queued, "asyncio.Queue", target=target)
    single = rate(lambda: through_bus(records, one_by_one))
    yield Row("bus: publish_many(records) → group, one by one", single, queued, "asyncio.Queue")
    encoded = rate(lambda: through_bus(events, in_batches))
    encoding = best_rate(lambda: sum(1 for event in events if record_of(event, TOPIC)))
    yield Row("bus: publish_many(events) → group, batches", encoded, encoding, "encoding alone")
    yield Row("bus: await publish(event)", rate(lambda: publish_each(events[: COUNT // 5])), encoding, "encoding alone")
    keys = [event.key for event in events]
    theirs = best_rate(lambda: sum(1 for key in keys[:20_000] if aiokafka_murmur2(key)), repeat=2)
    yield Row(
        "partitioner, 1000 keys at once", best_rate(lambda: hash_in_thousands(keys)), theirs, "aiokafka", "keys/s"
    )
    scalar = best_rate(lambda: sum(1 for key in keys[:20_000] if murmur2(key)))
    yield Row("partitioner, key by key", scalar, theirs, "aiokafka", "keys/s")


def rate(work: Callable[[], Coroutine[Any, Any, float]], repeat: int = 3) -> float:
    """The best of several runs; `work` returns its own rate, so that setting up does not count."""
    return max(asyncio.run(work()) for _ in range(repeat))


async def through_queue(records: list[ProducerRecord]) -> float:
    """Object by object, bounded, as a program without a bus would hand them over."""
    queue: asyncio.Queue[ProducerRecord] = asyncio.Queue(maxsize=1000)

    async def consume() -> None:
        for _ in records:
            await queue.get()

    begin = time.perf_counter()
    consumer = asyncio.create_task(consume())
    for record in records:
        await queue.put(record)
    await consumer
    return len(records) / (time.perf_counter() - begin)


Reader = Callable[[InProcessBus], Coroutine[Any, Any, None]]


async def through_bus(items: list[ProducerRecord] | list[Event], reader: Reader) -> float:
    """Until the group has committed all of them."""
    async with InProcessBus() as bus:
        consumer = asyncio.create_task(reader(bus))
        await asyncio.sleep(0)
        begin = time.perf_counter()
        await bus.publish_many(items)
        await bus.settled("bench", TOPIC)
        seconds = time.perf_counter() - begin
    await consumer
    return len(items) / seconds


async def in_batches(bus: InProcessBus) -> None:
    async for batch in bus.subscribe(TOPIC, group="bench").batches():
        assert batch


async def one_by_one(bus: InProcessBus) -> None:
    async for record in bus.subscribe(TOPIC, group="bench"):
        assert record


async def in_columns(bus: InProcessBus) -> None:
    consumer = bus.consumer(TOPIC, group="bench")
    with suppress(BusClosed):
        while await consumer.poll(max_records=1000):
            consumer.commit()


async def publish_each(events: list[Event]) -> float:
    async with InProcessBus() as bus:
        begin = time.perf_counter()
        for event in events:
            await bus.publish(event)
        return len(events) / (time.perf_counter() - begin)


def hash_in_thousands(keys: list[bytes]) -> int:
    for start in range(0, len(keys), 1000):
        partitions_for(keys[start : start + 1000], 4)
    return len(keys)
