"""The store: decoding, whole transactions beside COPY alone and beside a stock `executemany`, and queries."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from statistics import quantiles
from typing import Any

import orjson

from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.event import Event
from eventbus.processors.ingest.batch import Record, RowBatch
from eventbus.processors.ingest.decode import Decoder
from eventbus.processors.ingest.pipeline import Pipeline
from eventbus.processors.ingest.rows import COLUMNS, COPY_HEADER, COPY_TRAILER
from eventbus.processors.postgres import EmbeddedServer
from eventbus.processors.store import ChainDefinitions, EventStore
from eventbus.processors.store.connect import connect
from eventbus.processors.store.migrate import migrate
from eventbus.record import TopicPartition
from tests.bench.table import Row, best_rate

EVENTS = 1_000_000 if os.environ.get("BENCH_FULL") else 100_000
STOCK_EVENTS = 10_000
CHUNK, BATCH = 500, 10_000
PARTITIONS = [TopicPartition("bench", 0), TopicPartition("bench", 1)]
REPEAT = 2

BARE_TABLE = """DROP TABLE IF EXISTS bare; CREATE TABLE bare (LIKE eventbus.events INCLUDING INDEXES)"""


def rows() -> Iterator[Row]:
    stream = ChainGenerator(Catalog.default(), seed=1).events(chains=EVENTS * 2 // 5)
    first = list(islice(stream, STOCK_EVENTS))
    values = [event.to_bytes() for event in chain(first, stream)]
    some = values[: 2 * STOCK_EVENTS]
    loads = best_rate(lambda: sum(1 for value in some if orjson.loads(value)))
    yield Row("store: decode to COPY rows", best_rate(lambda: decode(some)), loads, "orjson.loads", target="≥ 0.3")
    folder = Path(tempfile.mkdtemp(prefix="eventbus-bench-"))
    folder.chmod(0o755)
    try:
        with EmbeddedServer(folder / "data") as server:
            yield from asyncio.run(database_rows(server.dsn, first, values))
    finally:
        shutil.rmtree(folder)


def decode(values: list[bytes]) -> int:
    decoder, batch = Decoder(), RowBatch()
    decoder.add(batch, PARTITIONS[0], list(enumerate(values)), len(values))
    return len(batch.rows)


async def database_rows(dsn: str, some: list[Event], values: list[bytes]) -> list[Row]:
    copied = max([await copy_alone(dsn, values) for _ in range(REPEAT)])
    inserted = max([await executemany(dsn, some) for _ in range(REPEAT)])
    one = max([await write(dsn, values, pipelines=1) for _ in range(REPEAT)])
    two = max([await write(dsn, values, pipelines=2) for _ in range(REPEAT)])
    p50, p99 = await query_latency(dsn, [event.correlation_id for event in some[::10]])
    size = f"of {len(values):,} events"
    return [
        Row("store: full transactions, 1 pipeline", one, copied, "COPY alone, same rows"),
        Row("store: full transactions, 2 pipelines", two, copied, "COPY alone, same rows"),
        Row("store: full transactions, 2 pipelines", two, inserted, "executemany, raw rows", target="≥ 2"),
        Row(f"store: events by correlation_id {size}, p50", p50, unit="ms", target="< 5"),
        Row(f"store: events by correlation_id {size}, p99", p99, unit="ms", target="< 5"),
    ]


async def write(dsn: str, values: list[bytes], pipelines: int) -> float:
    """Decode and write everything: offsets, events, chains, counts."""
    await empty(dsn)
    log: dict[TopicPartition, list[Record]] = {partition: [] for partition in PARTITIONS}
    for number, value in enumerate(values):  # whole chains are close together, so a run of 1000 keeps most of them
        part = log[PARTITIONS[number // 1000 % 2]]
        part.append((len(part), value))
    made = [Pipeline(dsn, ChainDefinitions.of(Catalog.default()), group="bench", limit=BATCH) for _ in range(pipelines)]
    owned = [PARTITIONS[number::pipelines] for number in range(pipelines)]
    for pipeline, mine in zip(made, owned, strict=True):
        await pipeline.open(mine)
    begin = time.perf_counter()
    await asyncio.gather(
        *(feed(pipeline, {p: log[p] for p in mine}) for pipeline, mine in zip(made, owned, strict=True))
    )
    seconds = time.perf_counter() - begin
    for pipeline in made:
        await pipeline.stop()
    return len(values) / seconds


async def feed(pipeline: Pipeline, log: dict[TopicPartition, list[Record]]) -> None:
    for partition, records in log.items():
        for begin in range(0, len(records), CHUNK):
            await pipeline.put(partition, records[begin : begin + CHUNK])
    await pipeline.drain()


async def copy_alone(dsn: str, values: list[bytes]) -> float:
    """COPY of rows that are ready into a table with the same indexes and no trigger."""
    await empty(dsn)
    batch, decoder = RowBatch(), Decoder()
    decoder.add(batch, PARTITIONS[0], list(enumerate(values)), len(values))
    connection = await connect(dsn)
    await connection.execute(BARE_TABLE)
    begin = time.perf_counter()
    for first in range(0, len(batch.rows), BATCH):
        source: Any = memoryview(b"".join((COPY_HEADER, *batch.rows[first : first + BATCH], COPY_TRAILER)))
        await connection.copy_to_table("bare", source=source, columns=COLUMNS, format="binary")
    seconds = time.perf_counter() - begin
    await connection.close()
    return len(batch.rows) / seconds


async def executemany(dsn: str, events: list[Event]) -> float:
    """What a program does that has not thought about it: raw rows, 1000 at a time, nothing else."""
    connection = await connect(dsn)
    await connection.execute(BARE_TABLE)
    insert = f"INSERT INTO bare VALUES ({', '.join(f'${n + 1}' for n in range(len(COLUMNS)))}) ON CONFLICT DO NOTHING"
    begin = time.perf_counter()
    for first in range(0, len(events), 1000):
        await connection.executemany(insert, [row_of(event) for event in events[first : first + 1000]])
    seconds = time.perf_counter() - begin
    await connection.close()
    return len(events) / seconds


def row_of(event: Event) -> tuple[Any, ...]:
    return (
        event.event_id,
        event.timestamp,
        event.correlation_id,
        event.causation_id,
        event.event_type,
        event.tenant_id,
        event.namespace,
        event.source,
        event.schema_version,
        orjson.dumps(event.payload).decode(),
    )


async def query_latency(dsn: str, correlation_ids: list[str]) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds, over one connection."""
    times = []
    async with EventStore.open(dsn) as store:
        for correlation_id in correlation_ids:
            begin = time.perf_counter()
            assert (await store.events(correlation_id=correlation_id)).events
            times.append((time.perf_counter() - begin) * 1000)
    cuts = quantiles(times, n=100)
    return cuts[49], cuts[98]


async def empty(dsn: str) -> None:
    connection = await connect(dsn)
    await connection.execute("DROP SCHEMA IF EXISTS eventbus CASCADE")
    await migrate(connection)
    await connection.close()
