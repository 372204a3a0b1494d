"""Visitor sessions are stored as chains, defined by the session's events and not by those it caused."""

from __future__ import annotations

from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.processors.store.connect import connect
from eventbus.processors.store.definitions import ChainDefinitions
from tests.processors.feeding import store_all
from tests.processors.oracle import assert_exact


async def test_sessions_conform(postgres_dsn: str) -> None:
    """Every completed session conforms, including those that caused backend chains."""
    catalog = Catalog.default().only("visitor-session")
    definitions = ChainDefinitions.of(catalog)
    values = [value for lines in ChainGenerator(catalog, seed=3).lines(chains=150) for value in lines]
    await store_all(postgres_dsn, *values, definitions=definitions)
    await assert_exact(postgres_dsn, values, definitions)
    connection = await connect(postgres_dsn)
    rows = await connection.fetch(
        "SELECT chain, verdict, outcome, count(*) AS n FROM eventbus.chain_states GROUP BY 1, 2, 3"
    )
    caused = await connection.fetchval("SELECT count(*) FROM eventbus.events WHERE type NOT LIKE 'omninode.visitor.%'")
    await connection.close()
    assert [tuple(row) for row in rows] == [("visitor-session", "conforms", 1, 150)]
    assert caused > 0
