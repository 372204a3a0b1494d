"""A chain that causes others with the same correlation id is stored as itself, for any order of events."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.event import Event
from eventbus.processors.store import EventStore
from eventbus.processors.store.connect import connect
from eventbus.processors.store.definitions import ChainDefinitions
from tests.postgres import execute
from tests.processors.consuming import consume_log
from tests.processors.feeding import AGENT_EXECUTION, DEFINITIONS, START, agent_execution, chain_of, records, store_all
from tests.processors.oracle import assert_exact
from tests.processors.traffic import PARTITIONS, VAULT_READ, Log, values_of

ORDERS = Path(__file__).parent.parent / "unit" / "chains" / "orders.yaml"

CAUSED = sum({DEFINITIONS.types[name].bit for name in (*AGENT_EXECUTION, "omninode.agent.execution.failed.v1")})


def causing_definitions() -> ChainDefinitions:
    """Definitions in which a vault read may cause agent executions."""
    types = {
        name: definition._replace(causing=definition.chain == "vault-read")
        for name, definition in DEFINITIONS.types.items()
    }
    for name in VAULT_READ:
        types[name] = types[name]._replace(causing=True)
    return ChainDefinitions(types, DEFINITIONS.paths, {"vault-read": CAUSED})


def nested_chains(*, end: bool = True, inside: tuple[str, ...] = AGENT_EXECUTION) -> list[Event]:
    """A vault read whose first event causes an agent execution that outlasts it."""
    outer = chain_of(*VAULT_READ, gap_ms=50)
    inner = chain_of(*inside, start=START + timedelta(milliseconds=10), gap_ms=100)
    inner[0] = Event.new(inside[0], {}, cause=outer[0], timestamp=inner[0].timestamp)
    for n, event in enumerate(inner[1:], 1):
        inner[n] = Event.new(event.event_type, {}, cause=inner[n - 1], timestamp=event.timestamp)
    return [*outer[: 2 if end else 1], *inner]


@pytest.mark.parametrize("seed", range(4))
async def test_causing_chain_defines_the_stored_chain(postgres_dsn: str, seed: int) -> None:
    """Name, times and outcome are those of the causing chain; events of the caused chain belong to it and conform."""
    events = nested_chains()
    random.Random(seed).shuffle(events)
    for event in events:
        await store_all(postgres_dsn, event, definitions=causing_definitions())
    async with EventStore.open(postgres_dsn) as store:
        chain = await store.chain(events[0].correlation_id)
        statistics = await store.statistics()
    assert chain is not None
    assert (chain.chain, chain.state, chain.verdict) == ("vault-read", "completed", "conforms")
    assert chain.ended_at == START + timedelta(milliseconds=50)
    assert len(chain.events) == 2 + len(AGENT_EXECUTION)
    assert statistics["chains"]["completed"] == 1
    assert list(statistics["chains"]["by_chain"]) == ["vault-read"]


async def test_caused_chain_does_not_end_it(postgres_dsn: str) -> None:
    """A causing chain without an end is in flight, even if the caused chain has ended."""
    events = nested_chains(end=False)
    await store_all(postgres_dsn, *events, definitions=causing_definitions())
    async with EventStore.open(postgres_dsn) as store:
        chain = await store.chain(events[0].correlation_id)
    assert chain is not None
    assert (chain.outcome, chain.verdict) == (None, "in_flight")


async def test_other_chains_are_unexpected(postgres_dsn: str) -> None:
    """Events of a chain that the catalog does not let it cause are unexpected."""
    events = nested_chains(inside=("omninode.code.generation.requested.v1", "omninode.code.generation.started.v1"))
    await store_all(postgres_dsn, *events, definitions=causing_definitions())
    async with EventStore.open(postgres_dsn) as store:
        chain = await store.chain(events[0].correlation_id)
    assert chain is not None
    assert chain.verdict == "unexpected"


async def test_any_order_and_any_writers(postgres_dsn: str) -> None:
    """Plain and nested chains, in any order over all partitions, give the expected tables."""
    rng = random.Random(11)
    events = [e for _ in range(60) for e in (*nested_chains(end=rng.random() < 0.8), *agent_execution())]
    events = [event for event in events if rng.random() < 0.95]
    rng.shuffle(events)
    log: Log = {partition: records(events[n::4]) for n, partition in enumerate(PARTITIONS)}
    await consume_log(postgres_dsn, log, PARTITIONS, seed=1, definitions=causing_definitions())
    await assert_exact(postgres_dsn, values_of(log), causing_definitions())


async def test_changed_definitions_fold_again(postgres_dsn: str) -> None:
    """Events stored before the catalog defined caused chains are folded again."""
    events = nested_chains()
    await store_all(postgres_dsn, *events)
    await store_all(postgres_dsn, *agent_execution(), definitions=causing_definitions(), group="later")
    async with EventStore.open(postgres_dsn) as store:
        chain = await store.chain(events[0].correlation_id)
    assert chain is not None
    assert (chain.chain, chain.verdict) == ("vault-read", "conforms")
    await execute(postgres_dsn, "SELECT eventbus.rebuild()")
    async with EventStore.open(postgres_dsn) as store:
        assert (await store.statistics())["chains"]["by_chain"]["vault-read"]["total"] == 1


async def test_generated_trees_conform(postgres_dsn: str) -> None:
    """Chains with forks, retries and caused chains conform, whatever the outcome of the caused chains."""
    catalog = Catalog.load(ORDERS).only("order")
    definitions = ChainDefinitions.of(catalog)
    values = [value for lines in ChainGenerator(catalog, seed=3).lines(chains=300) for value in lines]
    random.Random(3).shuffle(values)
    await store_all(postgres_dsn, *values, definitions=definitions)
    await assert_exact(postgres_dsn, values, definitions)
    connection = await connect(postgres_dsn)
    rows = await connection.fetch(
        "SELECT chain, verdict, outcome, count(*) AS n FROM eventbus.chain_states GROUP BY chain, verdict, outcome"
    )
    await connection.close()
    assert {(row["chain"], row["verdict"]) for row in rows} == {("order", "conforms")}
    assert sum(row["n"] for row in rows) == 300
    assert {row["outcome"] for row in rows} == {1, 2}
