"""Events into PostgreSQL through Faust, beside a Faust agent as its manual shows it: `take()` and `executemany`.

Ours stores events, chains, statistics and offsets in one transaction; the baseline inserts the raw rows and no more.
"""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import faust

from eventbus import InProcessBus, KafkaBus
from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.processors.postgres import EmbeddedServer
from eventbus.processors.processor import Processor
from eventbus.processors.store.connect import connect
from eventbus.processors.store.migrate import migrate
from eventbus.record import ProducerRecord, record_of
from tests.bench.table import Row
from tests.kafka.maven import UnavailableError
from tests.kafka.provider import given_or_container
from tests.kafka.server import KafkaServer

CHAINS = 80_000
"""About 190,000 events: enough for the first and the last batch, which wait for nobody, not to matter much."""

STOCK_EVENTS = 15_000
PARTITIONS = 4
REPEAT = 3

RAW_TABLE = "raw_events"
RAW_COLUMNS = "(event_id uuid PRIMARY KEY, type text, timestamp timestamptz, correlation_id uuid, payload jsonb)"


def rows() -> Iterator[Row]:
    events = list(ChainGenerator(Catalog.default(), seed=1, rate=1000).events(chains=CHAINS))
    gc.collect()
    gc.freeze()  # a processor does not hold its input: nor shall the garbage collector walk it again and again
    with database() as dsn, kafka() as bootstrap:
        stock = best(lambda topic: stock_from_bus(dsn, bound(events[:STOCK_EVENTS], topic), topic))
        ours = best(lambda topic: from_bus(dsn, bound(events, topic), topic))
        yield Row("processing: bus → Faust → PostgreSQL", ours, stock, "take + executemany", target="≥ 80,000, ≥ 5")
        ours = best(lambda topic: from_bus(dsn, bound(events, topic), topic, pipelines=2))
        yield Row("processing: the same, 2 pipelines", ours, stock, "take + executemany")
        if bootstrap is None:
            return
        stock = best(lambda topic: stock_from_kafka(dsn, bootstrap, bound(events[:STOCK_EVENTS], topic), topic))
        ours = best(lambda topic: from_kafka(dsn, bootstrap, bound(events, topic), topic))
        yield Row("processing: Kafka → Faust → PostgreSQL", ours, stock, "take + executemany", target="≥ 60,000, ≥ 5")


def best(work: Callable[[str], Coroutine[Any, Any, float]]) -> float:
    """The best rate of several runs, each with a topic and a group of its own."""
    return max(asyncio.run(work(f"bench-{uuid.uuid4().hex}")) for _ in range(REPEAT))


def bound(events: list[Any], topic: str) -> list[ProducerRecord]:
    return [record_of(event, topic) for event in events]


async def from_bus(dsn: str, records: list[ProducerRecord], topic: str, *, pipelines: int = 1) -> float:
    await empty(dsn)
    async with InProcessBus() as bus, Processor(dsn, bus=bus, topics=[topic], group=topic, pipelines=pipelines):
        begin = time.perf_counter()
        await bus.publish_many(records)
        await bus.settled(topic)
        return len(records) / (time.perf_counter() - begin)


async def from_kafka(dsn: str, bootstrap: str, records: list[ProducerRecord], topic: str) -> float:
    await empty(dsn)
    await produce(bootstrap, records, topic)
    async with Processor(dsn, bootstrap_servers=bootstrap, topics=[topic], group=topic) as processor:
        begin = time.perf_counter()
        while processor.statistics().read < len(records):  # noqa: ASYNC110 - as a dashboard would
            await asyncio.sleep(0.005)
        return len(records) / (time.perf_counter() - begin)


async def stock_from_bus(dsn: str, records: list[ProducerRecord], topic: str) -> float:
    await empty(dsn)
    async with InProcessBus() as bus:
        await bus.publish_many(records)
        return await stock(Processor(dsn, bus=bus, topics=["stored"], group=topic).app, dsn, topic, len(records))


async def stock_from_kafka(dsn: str, bootstrap: str, records: list[ProducerRecord], topic: str) -> float:
    await empty(dsn)
    await produce(bootstrap, records, topic)
    with TemporaryDirectory() as folder:
        app = faust.App(topic, broker=f"kafka://{bootstrap}", store="memory://", web_enabled=False, datadir=folder)
        return await stock(app, dsn, topic, len(records))


async def stock(app: faust.App, dsn: str, topic: str, count: int) -> float:
    """Its rate from the first batch on, so that joining the group does not count."""
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=2)
    done: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    @app.agent(app.topic(topic, value_serializer="json"))
    async def store(stream: faust.StreamT[dict[str, Any]]) -> None:
        read, begin = 0, 0.0
        async for batch in stream.take(1_000, within=1):
            begin = begin or time.perf_counter()
            await pool.executemany(f"INSERT INTO {RAW_TABLE} VALUES ($1, $2, $3, $4, $5)", [raw(e) for e in batch])
            read += len(batch)
            if read >= count and not done.done():
                done.set_result(count / (time.perf_counter() - begin))

    await app.start()
    try:
        return await done
    finally:
        await app.stop()
        await pool.close()


def raw(event: dict[str, Any]) -> tuple[object, ...]:
    when = datetime.fromisoformat(event["timestamp"])
    return event["event_id"], event["event_type"], when, event["correlation_id"], json.dumps(event["payload"])


async def produce(bootstrap: str, records: list[ProducerRecord], topic: str) -> None:
    async with KafkaBus(bootstrap) as bus:
        await bus.create_topics({topic: PARTITIONS})
        await bus.publish_many(records)


async def empty(dsn: str) -> None:
    """Every run begins with the same database."""
    connection = await connect(dsn)
    await migrate(connection)
    await connection.execute(
        "TRUNCATE eventbus.events, eventbus.chains, eventbus.event_counts, eventbus.chain_counts;"
        f"DROP TABLE IF EXISTS {RAW_TABLE}; CREATE TABLE {RAW_TABLE} {RAW_COLUMNS}; CHECKPOINT"
    )
    await connection.close()


@contextmanager
def database() -> Iterator[str]:
    """A PostgreSQL as users have it: with fsync."""
    folder = Path(tempfile.mkdtemp(prefix="eventbus-bench-"))
    folder.chmod(0o755)
    try:
        with EmbeddedServer(folder / "data") as server:
            yield server.dsn
    finally:
        shutil.rmtree(folder)


@contextmanager
def kafka() -> Iterator[str | None]:
    """A real Kafka, or None where there is none."""
    with ExitStack() as stack:
        try:
            bootstrap: str | None = stack.enter_context(given_or_container())
        except UnavailableError:
            bootstrap = None
        if bootstrap is None:
            with suppress(UnavailableError):
                bootstrap = stack.enter_context(KafkaServer()).bootstrap
        yield bootstrap
