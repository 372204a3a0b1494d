"""A pipeline loses and repeats nothing, whatever errors the database raises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from eventbus.processors.errors import Fenced, StoreUnreachable
from eventbus.processors.ingest.batch import Record
from eventbus.processors.ingest.pipeline import Pipeline, ProcessorStatistics
from eventbus.processors.ingest.retry import ExponentialBackoff
from eventbus.processors.store import EventStore
from eventbus.processors.store.connect import connect
from eventbus.record import TopicPartition
from tests.postgres import execute
from tests.processors.feeding import DEFINITIONS, PARTITION, agent_execution, records, store_all
from tests.processors.oracle import assert_exact
from tests.processors.proxy import Proxy

OTHER = TopicPartition("omninode.vault", 0)


async def test_open_returns_the_next_offsets(postgres_dsn: str) -> None:
    """A partition without stored offset begins at the given one, any other at the stored one."""
    events = agent_execution()
    await store_all(postgres_dsn, *events)
    pipeline = Pipeline(postgres_dsn, DEFINITIONS, group="test")
    assert await pipeline.open({PARTITION: 0, OTHER: 500}) == {PARTITION: 4, OTHER: 500}
    assert pipeline.next_offsets == {PARTITION: 4, OTHER: 500}
    await pipeline.stop()


async def test_stale_records_are_dropped(postgres_dsn: str) -> None:
    """Records taken before are dropped and counted; gaps are accepted."""
    events = agent_execution() + agent_execution()
    log: list[Record] = [(10 + 2 * n, event.to_bytes()) for n, event in enumerate(events)]
    async with Pipeline(postgres_dsn, DEFINITIONS, group="test") as pipeline:
        await pipeline.assign({PARTITION: 10})
        for begin, end in ((0, 3), (0, 3), (1, 6), (6, 8), (2, 4)):
            await pipeline.put(PARTITION, log[begin:end])
        await pipeline.put(OTHER, log)
        await pipeline.drain()
        statistics = pipeline.statistics()
    await assert_exact(postgres_dsn, [value for _, value in log], DEFINITIONS)
    assert (statistics.read, statistics.new, statistics.stale) == (8, 8, 7)
    assert pipeline.next_offsets == {PARTITION: 25}


async def test_end_beyond_the_last_record(postgres_dsn: str) -> None:
    """Offsets without records at the end of a batch, such as transaction markers, are committed."""
    async with Pipeline(postgres_dsn, DEFINITIONS, group="test") as pipeline:
        await pipeline.assign([PARTITION])
        await pipeline.put(PARTITION, records(agent_execution()), end=7)
        await pipeline.drain()
        assert pipeline.next_offsets == {PARTITION: 7}
    async with EventStore.open(postgres_dsn) as store:
        (account,) = await store.conservation()
    assert (account.read, account.skipped, account.holds) == (4, 3, True)


@asynccontextmanager
async def locked_events(dsn: str) -> AsyncIterator[None]:
    """Blocks inserts of events."""
    connection = await connect(dsn)
    async with connection.transaction():
        await connection.execute("LOCK TABLE eventbus.events IN SHARE MODE")
        yield
    await connection.close()


async def test_put_waits_while_the_database_is_busy(postgres_dsn: str) -> None:
    """While one batch is written and the next is full, `put` waits; nothing is lost."""
    events = [event for _ in range(10) for event in agent_execution()]
    log = records(events)
    async with Pipeline(postgres_dsn, DEFINITIONS, group="test", limit=10) as pipeline:
        await pipeline.assign([PARTITION])
        async with locked_events(postgres_dsn):
            feeding = asyncio.create_task(_put_individually(pipeline, log))
            connection = await connect(postgres_dsn)
            while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                pass
            await connection.close()
            for _ in range(200):
                await asyncio.sleep(0)
            assert not feeding.done()
            assert repr(pipeline) == "<Pipeline writing 1 partitions 10 waiting>"
        await feeding
    await assert_exact(postgres_dsn, [value for _, value in log], DEFINITIONS)


async def _put_individually(pipeline: Pipeline, log: list[Record]) -> None:
    for record in log:
        await pipeline.put(PARTITION, [record])


async def test_fenced_pipeline(postgres_dsn: str) -> None:
    """After another writer has committed the offsets, every call raises until the partitions are assigned again."""
    events = agent_execution()
    log = records(events)
    first = Pipeline(postgres_dsn, DEFINITIONS, group="test")
    await first.open([PARTITION])
    await store_all(postgres_dsn, *events[:2])
    await first.put(PARTITION, log[:1])
    with pytest.raises(Fenced, match=r"omninode.agent\[0\] were moved by another writer"):
        await first.drain()
    with pytest.raises(Fenced):
        await first.put(PARTITION, log[1:2])
    position = await first.assign([PARTITION])
    assert position == {PARTITION: 2}
    await first.put(PARTITION, log[2:])
    await first.drain()
    assert first.statistics().fences == 1
    await first.stop()
    await assert_exact(postgres_dsn, [event.to_bytes() for event in events], DEFINITIONS)


async def test_assign_drops_unwritten_records(postgres_dsn: str) -> None:
    """After an assignment only records from its offsets on are taken; a waiting `put` returns."""
    log = records([event for _ in range(5) for event in agent_execution()])
    async with Pipeline(postgres_dsn, DEFINITIONS, group="test", limit=1) as pipeline:
        await pipeline.assign([PARTITION])
        async with locked_events(postgres_dsn):
            feeding = asyncio.create_task(_put_individually(pipeline, log))
            for _ in range(50):
                await asyncio.sleep(0)
            assigning = asyncio.create_task(pipeline.assign([PARTITION]))
            await asyncio.sleep(0)
        position = (await assigning)[PARTITION]
        feeding.cancel()
        assert position < len(log)
        await pipeline.put(PARTITION, log[position:])
    await assert_exact(postgres_dsn, [value for _, value in log], DEFINITIONS)


async def test_rejected_rows_become_dead_letters(postgres_dsn: str) -> None:
    """Rows that violate a constraint of the user are found by bisection; the others are stored."""
    await execute(postgres_dsn, "ALTER TABLE eventbus.events ADD CHECK (payload ->> 'n' <> '13')")
    events = [event for _ in range(10) for event in agent_execution()]
    invalid = {5, 17, 18}
    log = records(event.evolve(payload={"n": 13}) if n in invalid else event for n, event in enumerate(events))
    await store_all(postgres_dsn, events[0])
    async with Pipeline(postgres_dsn, DEFINITIONS, group="other") as pipeline:
        await pipeline.assign([PARTITION])
        await pipeline.put(PARTITION, log)
        await pipeline.drain()
        statistics = pipeline.statistics()
    assert (statistics.read, statistics.new, statistics.duplicates, statistics.dead) == (40, 36, 1, 3)
    async with EventStore.open(postgres_dsn) as store:
        letters = await store.dead_letters()
    assert {letter.offset for letter in letters} == invalid
    assert all("violates check constraint" in letter.error for letter in letters)
    await assert_exact(postgres_dsn, [value for n, (_, value) in enumerate(log) if n not in invalid], DEFINITIONS)


async def test_number_out_of_range(postgres_dsn: str) -> None:
    """A JSON number out of the range of PostgreSQL becomes a dead letter instead of being retried forever."""
    events = agent_execution()
    odd = events[1].to_bytes().replace(b'{"n":1}', b'{"n":1e-20000}')
    await store_all(postgres_dsn, events[0], odd, *events[2:])
    async with EventStore.open(postgres_dsn) as store:
        (letter,) = await store.dead_letters()
    assert (letter.offset, letter.value) == (1, odd)


async def test_permanent_error(postgres_dsn: str) -> None:
    """An error that is neither transient nor caused by a row is raised, and is in the statistics; nothing is lost."""
    log = records(agent_execution())
    pipeline = Pipeline(postgres_dsn, DEFINITIONS, group="test")
    await pipeline.open([PARTITION])
    await execute(postgres_dsn, "ALTER TABLE eventbus.events RENAME TO gone")
    await pipeline.put(PARTITION, log)
    with pytest.raises(Exception, match=r"eventbus.events"):
        await pipeline.drain()
    assert "eventbus.events" in str(pipeline.statistics().last_error)
    await execute(postgres_dsn, "ALTER TABLE eventbus.gone RENAME TO events")
    assert await pipeline.assign([PARTITION]) == {PARTITION: 0}
    await pipeline.put(PARTITION, log)
    await pipeline.drain()
    await pipeline.stop()


async def test_first_event_of_an_id_is_kept(postgres_dsn: str) -> None:
    """Another event with a stored id is a duplicate, in the same batch or later."""
    events = agent_execution()
    other = events[1].evolve(payload={"other": True})
    await store_all(postgres_dsn, *events[:2], other, *events[2:])
    await store_all(postgres_dsn, other)
    await assert_exact(postgres_dsn, [event.to_bytes() for event in events], DEFINITIONS)


@pytest.mark.parametrize("word", [b"COMMIT", b"COPY "])
@pytest.mark.parametrize("dedup", [False, True])
async def test_connection_lost_before_the_answer(
    postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory, word: bytes, dedup: bool
) -> None:
    """When a connection dies during a commit, the writer queries whether the transaction was committed."""
    events = agent_execution()
    if dedup:
        await store_all(postgres_dsn, events[0], group="earlier")
    async with Proxy(postgres_dsn, tmp_path_factory.mktemp("p")) as proxy:
        pipeline = Pipeline(proxy.dsn, DEFINITIONS, group="test", backoff=ExponentialBackoff(base=0.0))
        await pipeline.open([PARTITION])
        if dedup:  # prepares the statements
            await pipeline.put(PARTITION, records(events[:1]))
            await pipeline.drain()
        proxy.cut_after = word
        await pipeline.put(PARTITION, records(events))
        await pipeline.drain()
        statistics = pipeline.statistics()
        await pipeline.stop()
    assert statistics.retries >= 1
    assert (statistics.read, statistics.new, statistics.duplicates) == (4, 3 if dedup else 4, 1 if dedup else 0)
    await assert_exact(postgres_dsn, [event.to_bytes() for event in events], DEFINITIONS)


async def test_database_unreachable_after_the_commit(
    postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A commit without an answer stays in doubt until the database is reachable, and does not count as a fence."""
    events = agent_execution()
    async with (
        Proxy(postgres_dsn, tmp_path_factory.mktemp("p")) as proxy,
        Pipeline(proxy.dsn, DEFINITIONS, group="test", backoff=ExponentialBackoff(base=0.0)) as pipeline,
    ):
        await pipeline.assign([PARTITION])
        proxy.cut_after, proxy.cut_next = b"COMMIT", 3
        await pipeline.put(PARTITION, records(events))
        await pipeline.drain()
        statistics = pipeline.statistics()
    assert (statistics.read, statistics.new, statistics.retries, statistics.fences) == (4, 4, 4, 0)
    await assert_exact(postgres_dsn, [event.to_bytes() for event in events], DEFINITIONS)


async def test_database_unreachable_at_the_start(tmp_path: Path) -> None:
    """The first failure to connect is raised instead of retried."""
    pipeline = Pipeline(f"postgresql://postgres@/x?host={quote(str(tmp_path), safe='')}", DEFINITIONS)
    with pytest.raises(StoreUnreachable):
        await pipeline.open([PARTITION])


async def _no_sleep(seconds: float) -> None:
    return None


def test_backoff_grows_to_a_cap_with_full_jitter() -> None:
    """Delays are uniform between 0 and an upper bound that doubles up to the cap."""
    backoff = ExponentialBackoff(base=0.1, cap=30.0, random=lambda: 1.0, sleep=_no_sleep)
    assert [backoff.delay(attempt) for attempt in range(4)] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert backoff.delay(100_000) == 30.0
    assert ExponentialBackoff(random=lambda: 0.0).delay(5) == 0.0


def test_initial_statistics() -> None:
    """The statistics of a new pipeline are all zero."""
    assert Pipeline("postgresql://", DEFINITIONS).statistics() == ProcessorStatistics()
