"""After any failures, the tables are as if every event had been processed exactly once, one after the other."""

from __future__ import annotations

import asyncio
import os
import pickle
import random
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventbus.event import Event
from eventbus.processors.ingest.batch import RowBatch
from eventbus.processors.ingest.decode import Decoder
from eventbus.processors.ingest.writer import Writer
from eventbus.processors.postgres import EmbeddedServer
from eventbus.processors.store import EventStore
from eventbus.processors.store.connect import connect
from eventbus.processors.store.definitions import ChainDefinitions
from eventbus.record import TopicPartition
from tests.processors.consuming import consume_log
from tests.processors.feeding import AGENT_EXECUTION, DEFINITIONS, EXECUTION_FAILED, PARTITION, chain_of, records
from tests.processors.oracle import assert_exact
from tests.processors.traffic import PARTITIONS, POISON, VAULT_READ, make_log, values_of

KILL_WRITERS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'eventbus-writer' AND datname = current_database()"""


async def dead_offsets(dsn: str, group: str = "test") -> list[tuple[str, int, int]]:
    """The positions of all dead letters."""
    async with EventStore.open(dsn) as store:
        letters = await store.dead_letters(limit=100_000)
    return sorted((letter.topic, letter.partition, letter.offset) for letter in letters if letter.group == group)


@pytest.mark.parametrize("by_key", [True, False], ids=["chains in one partition", "chains over all partitions"])
async def test_two_writers(postgres_dsn: str, by_key: bool) -> None:
    """Two writers with different partitions, in random batches."""
    log = make_log(1, by_key=by_key)
    await asyncio.gather(
        consume_log(postgres_dsn, log, PARTITIONS[:2], seed=1), consume_log(postgres_dsn, log, PARTITIONS[2:], seed=2)
    )
    await assert_exact(postgres_dsn, values_of(log), DEFINITIONS)
    poison = sorted((*partition, offset) for partition in log for offset, v in log[partition] if v in POISON)
    assert await dead_offsets(postgres_dsn) == poison


async def test_replay_changes_nothing(postgres_dsn: str) -> None:
    """Reading everything again, in other batches, counts duplicates and changes no other table."""
    log = make_log(2)
    await consume_log(postgres_dsn, log, PARTITIONS, seed=1)
    await consume_log(postgres_dsn, log, PARTITIONS, seed=2, group="again")
    await assert_exact(postgres_dsn, values_of(log), DEFINITIONS)
    async with EventStore.open(postgres_dsn) as store:
        replayed = [account for account in await store.conservation() if account.group == "again"]
    assert sum(account.new for account in replayed) == 0
    assert sum(account.read for account in replayed) == len(values_of(log))
    assert await dead_offsets(postgres_dsn, "again") == await dead_offsets(postgres_dsn)


async def test_split_brain(postgres_dsn: str) -> None:
    """Two writers of one group with the same partitions fence each other, and nothing is counted twice."""
    log = make_log(3)
    pipelines = await asyncio.gather(*(consume_log(postgres_dsn, log, PARTITIONS, seed=seed) for seed in (1, 2)))
    await assert_exact(postgres_dsn, values_of(log), DEFINITIONS)
    assert sum(pipeline.statistics().fences for pipeline in pipelines) > 0


@pytest.mark.parametrize("owners", [(PARTITIONS[:2], PARTITIONS[2:]), (PARTITIONS, PARTITIONS)], ids=["two", "split"])
async def test_killed_connections(postgres_dsn: str, owners: tuple[list[TopicPartition], ...]) -> None:
    """The server terminates connections at random, with chains spread over all partitions."""
    log = make_log(4, by_key=False)
    admin = await connect(postgres_dsn)
    rng, lock = random.Random(4), asyncio.Lock()

    async def kill_sometimes() -> None:
        async with lock:
            if rng.random() < 0.1:
                await admin.execute(KILL_WRITERS)

    pipelines = await asyncio.gather(
        *(
            consume_log(postgres_dsn, log, partitions, seed=seed, chaos=kill_sometimes)
            for seed, partitions in enumerate(owners)
        )
    )
    await admin.close()
    await assert_exact(postgres_dsn, values_of(log), DEFINITIONS)
    assert sum(pipeline.statistics().retries for pipeline in pipelines) > 0


WORKER = """
import asyncio, os, pickle, signal, sys
from tests.processors.consuming import consume_log
dsn, path, batches = sys.argv[1:]
remaining = int(batches)
async def kill_this_process():
    global remaining
    remaining -= 1
    if remaining == 0:
        os.kill(os.getpid(), signal.SIGKILL)
with open(path, "rb") as file:
    log = pickle.load(file)
asyncio.run(consume_log(dsn, log, list(log), seed=remaining, chaos=kill_this_process))
"""
ROOT = Path(__file__).parents[2]


async def test_killed_process(postgres_dsn: str, tmp_path: Path) -> None:
    """The writing process is killed repeatedly; the next one continues at the offsets of the database."""
    log = make_log(5)
    log_file = tmp_path / "log"
    log_file.write_bytes(pickle.dumps(log))
    kills = 0
    for batches in (5, 10, 15, 20, 10_000):
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, postgres_dsn, str(log_file), str(batches), cwd=ROOT
        )
        kills += await worker.wait() == -signal.SIGKILL
    assert kills == 4
    await assert_exact(postgres_dsn, values_of(log), DEFINITIONS)


async def test_killed_server(own_server: EmbeddedServer) -> None:
    """PostgreSQL is killed while two writers work: they wait until it is back, and lose nothing."""
    log = make_log(6)
    batches = 0

    async def kill_once() -> None:
        nonlocal batches
        batches += 1
        if batches == 10:
            os.kill(own_server.pid(), signal.SIGKILL)
            await asyncio.to_thread(own_server.start)

    pipelines = await asyncio.gather(
        consume_log(own_server.dsn, log, PARTITIONS[:2], seed=1, chaos=kill_once),
        consume_log(own_server.dsn, log, PARTITIONS[2:], seed=2),
    )
    await assert_exact(own_server.dsn, values_of(log), DEFINITIONS)
    assert batches >= 10
    assert sum(pipeline.statistics().retries for pipeline in pipelines) > 0


some_chains = st.lists(
    st.lists(st.sampled_from([*AGENT_EXECUTION, EXECUTION_FAILED, *VAULT_READ, "shop.order.placed.v1"]), min_size=1),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chains=some_chains, gap_ms=st.sampled_from([0.0, 1.0, 250.0, 61_000.0]), seed=st.integers())
async def test_order_and_batches_change_nothing(
    postgres_dsn: str, chains: list[list[str]], gap_ms: float, seed: int
) -> None:
    """Any events, in any order and any batches, give the expected tables."""
    order = random.Random(seed)
    values = [event.to_bytes() for types in chains for event in chain_of(*types, gap_ms=gap_ms)]
    order.shuffle(values)
    connection = await connect(postgres_dsn)
    await connection.execute(
        """TRUNCATE eventbus.offsets, eventbus.events, eventbus.chains, eventbus.event_counts, eventbus.chain_counts,
        eventbus.dead_letter"""
    )
    await connection.close()
    writer = Writer(postgres_dsn, "test", DEFINITIONS)
    await writer.open()
    await writer.assign({PARTITION: 0})
    decoder, log = Decoder(), records(values)
    while log:
        size, batch = order.randint(1, 5), RowBatch()
        decoder.add(batch, PARTITION, log[:size], log[:size][-1][0] + 1)
        await writer.write(batch)
        log = log[size:]
    await writer.close()
    await assert_exact(postgres_dsn, values, DEFINITIONS)


async def test_changed_catalog_folds_again(postgres_dsn: str) -> None:
    """When the catalog changes for stored types, chains and counts become those of the new catalog."""
    log = make_log(7)
    writer = Writer(postgres_dsn, "other", ChainDefinitions())  # of an empty catalog
    await writer.open()
    await writer.assign({PARTITION: 0})
    batch = RowBatch()
    Decoder().add(batch, PARTITION, log[PARTITION], log[PARTITION][-1][0] + 1)
    await writer.write(batch)
    await writer.close()
    await assert_exact(postgres_dsn, [value for _, value in log[PARTITION]], ChainDefinitions())
    await consume_log(postgres_dsn, log, PARTITIONS, seed=1)
    await assert_exact(postgres_dsn, values_of(log), DEFINITIONS)


async def test_folding_again_has_a_long_timeout(postgres_dsn: str) -> None:
    """Folding again after a change of the catalog is not subject to the timeout of the writer's statements."""
    await consume_log(postgres_dsn, make_log(8), PARTITIONS, seed=1)
    connection = await connect(postgres_dsn)
    async with connection.transaction():
        await connection.execute("LOCK TABLE eventbus.events IN SHARE MODE")
        writer = Writer(postgres_dsn, "other", ChainDefinitions(), timeout=1.0)
        opening = asyncio.create_task(writer.open())
        await asyncio.wait([opening], timeout=1.5)
        assert not opening.done()
    await connection.close()
    await opening
    await writer.close()
    assert writer.retry.count == 0
    await assert_exact(postgres_dsn, values_of(make_log(8)), ChainDefinitions())


async def test_manual_insert_is_folded(postgres_dsn: str) -> None:
    """The database derives chains and counts: a manual INSERT is folded like the writer's COPY."""
    await consume_log(postgres_dsn, {PARTITION: []}, [PARTITION], seed=1)  # stores the definitions
    event = Event.new(AGENT_EXECUTION[0], {"a": 1}, timestamp=chain_of(*AGENT_EXECUTION)[0].timestamp)
    connection = await connect(postgres_dsn)
    await connection.execute(
        "INSERT INTO eventbus.events VALUES ($1, $2, $1, NULL, $3, $4, $5, $6, $7, $8)",
        event.event_id,
        event.timestamp,
        event.event_type,
        event.tenant_id,
        event.namespace,
        event.source,
        event.schema_version,
        '{"a": 1}',
    )
    await connection.execute("UPDATE eventbus.offsets SET read = 1, new = 1, next_offset = 1")
    await connection.close()
    await assert_exact(postgres_dsn, [event.to_bytes()], DEFINITIONS)
