"""`KafkaBus` on a real broker, beside bare aiokafka with the same settings, in the same run."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from eventbus import KafkaBus, ProducerRecord
from eventbus.chains import ChainGenerator
from eventbus.kafka.batching import headers_for
from eventbus.kafka.producer import BATCH_BYTES
from tests.bench.table import Row
from tests.kafka.maven import UnavailableError
from tests.kafka.provider import given_or_container
from tests.kafka.server import KafkaServer

COUNT = 60_000
PARTITIONS = 4
REPEAT = 3

Work = Callable[[str, str, list[ProducerRecord]], Coroutine[Any, Any, float]]


def rows() -> Iterator[Row]:
    with ExitStack() as stack:
        try:
            bootstrap = kafka(stack)
        except UnavailableError as error:
            print(f"kafka is not measured: {error}", file=sys.stderr)
            return
        topic = f"bench-{uuid.uuid4().hex[:8]}"
        records = asyncio.run(prepared(bootstrap, topic))
        ours, bare = alternating(bootstrap, topic, records, publish_many, bare_send)
        yield Row("kafka: publish_many(records), acknowledged", ours, bare, "aiokafka send()")
        ours, bare = alternating(bootstrap, topic, records, read_batches, bare_getmany)
        yield Row("kafka: subscription.batches()", ours, bare, "aiokafka getmany()")
        ours, bare = alternating(bootstrap, topic, records, read_one_by_one, bare_iteration)
        yield Row("kafka: async for record", ours, bare, "aiokafka async for")


def kafka(stack: ExitStack) -> str:
    """The same broker that the tests would take."""
    try:
        return stack.enter_context(given_or_container())
    except UnavailableError:
        return stack.enter_context(KafkaServer()).bootstrap


async def prepared(bootstrap: str, topic: str) -> list[ProducerRecord]:
    """Events of the shipped catalog, for one topic, which holds them once."""
    batches = ChainGenerator(seed=1, rate=1000).records(topic_strategy="single")
    records = [record._replace(topic=topic) for batch in batches_until(batches, COUNT) for record in batch][:COUNT]
    async with KafkaBus(bootstrap, partitions=PARTITIONS) as bus:
        await bus.publish_many(records)
    return records


def batches_until(batches: Iterator[list[ProducerRecord]], count: int) -> Iterator[list[ProducerRecord]]:
    while count > 0:
        batch = next(batches)
        count -= len(batch)
        yield batch


def alternating(
    bootstrap: str, topic: str, records: list[ProducerRecord], ours: Work, bare: Work
) -> tuple[float, float]:
    """The best of several runs of each, taking turns, so that both meet the same machine."""
    best = [0.0, 0.0]
    for _ in range(REPEAT):
        for i, work in enumerate((ours, bare)):
            best[i] = max(best[i], asyncio.run(work(bootstrap, topic, records)))
    return best[0], best[1]


async def publish_many(bootstrap: str, topic: str, records: list[ProducerRecord]) -> float:
    async with KafkaBus(bootstrap) as bus:
        await bus.prepare([topic])
        begin = time.perf_counter()
        count = await bus.publish_many(records)
        return count / (time.perf_counter() - begin)


async def bare_send(bootstrap: str, topic: str, records: list[ProducerRecord]) -> float:
    """As its documentation shows; the headers are ready, ours are worked out on the way."""
    headers = [list(headers_for(record)) for record in records]
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, max_batch_size=BATCH_BYTES)
    async with producer:
        await producer.partitions_for(topic)
        begin = time.perf_counter()
        promises = [
            await producer.send(topic, record.value, record.key, timestamp_ms=record.timestamp, headers=ready)
            for record, ready in zip(records, headers, strict=True)
        ]
        await asyncio.gather(*promises)
        return len(promises) / (time.perf_counter() - begin)


async def read_batches(bootstrap: str, topic: str, records: list[ProducerRecord]) -> float:
    async with KafkaBus(bootstrap) as bus, bus.subscribe(topic) as subscription:
        begin, count = time.perf_counter(), 0
        async for batch in subscription.batches():
            count += len(batch)
            if count >= COUNT:
                break
        return count / (time.perf_counter() - begin)


async def bare_getmany(bootstrap: str, topic: str, records: list[ProducerRecord]) -> float:
    async with consumer(bootstrap, topic) as reader:
        begin, count = time.perf_counter(), 0
        while count < COUNT:
            for batch in (await reader.getmany(timeout_ms=1000, max_records=1000)).values():
                count += len(batch)
        return count / (time.perf_counter() - begin)


async def read_one_by_one(bootstrap: str, topic: str, records: list[ProducerRecord]) -> float:
    async with KafkaBus(bootstrap) as bus, bus.subscribe(topic) as subscription:
        return await counted(subscription)


async def bare_iteration(bootstrap: str, topic: str, records: list[ProducerRecord]) -> float:
    async with consumer(bootstrap, topic) as reader:
        return await counted(reader)


async def counted(reader: AsyncIterator[Any]) -> float:
    begin, count = time.perf_counter(), 0
    async for _ in reader:
        count += 1
        if count == COUNT:
            break
    return count / (time.perf_counter() - begin)


def consumer(bootstrap: str, topic: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
