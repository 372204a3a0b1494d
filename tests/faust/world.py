"""Shared by the tests of Faust: generated events, and checks of the stored ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.event import Event
from eventbus.processors.store.connect import connect

CATALOG = Catalog.default()
TOPICS = sorted({event.domain for event in CATALOG.events.values()})


def generated(chains: int, seed: int = 7) -> list[Event]:
    """The events of a number of chains, ordered by time."""
    return list(ChainGenerator(CATALOG, seed=seed).events(chains=chains))


async def fetch(dsn: str, query: str, *arguments: object) -> list[tuple[object, ...]]:
    """The rows of a query, on a new connection."""
    connection = await connect(dsn, application_name="test")
    try:
        return [tuple(row) for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()


async def until(condition: Callable[[], bool]) -> None:
    """Poll a condition until it is true; limited by the timeout of the test."""
    while not condition():  # noqa: ASYNC110 - the state of a database or of another process
        await asyncio.sleep(0.01)


async def assert_exact(dsn: str, events: Sequence[Event]) -> None:
    """Check that exactly these events are stored, and that the counts agree."""
    assert await stored(dsn) == expected(events)
    chains = len({event.correlation_id for event in events})
    assert await fetch(dsn, "SELECT count(*), sum(events) FROM eventbus.chains") == [(chains, len(events))]
    assert await fetch(dsn, "SELECT sum(n) FROM eventbus.event_counts") == [(len(events),)]
    assert await fetch(dsn, "SELECT sum(n) FROM eventbus.chain_counts") == [(chains,)]
    broken = await fetch(dsn, "SELECT * FROM eventbus.offsets WHERE read <> new + duplicates + dead")
    assert broken == []
    assert await fetch(dsn, "SELECT sum(new) FROM eventbus.offsets") == [(len(events),)]


async def stored(dsn: str) -> set[tuple[object, ...]]:
    """Ids, type and timestamp of the stored events."""
    rows = await fetch(
        dsn, "SELECT event_id::text, correlation_id::text, causation_id::text, type, timestamp FROM eventbus.events"
    )
    return set(rows)


def expected(events: Iterable[Event]) -> set[tuple[object, ...]]:
    """Ids, type and timestamp of the produced events."""
    return {(e.event_id, e.correlation_id, e.causation_id, e.event_type, e.timestamp) for e in events}


async def sums(dsn: str) -> tuple[object, ...]:
    """The sums of read, new, duplicates and dead over all partitions."""
    [row] = await fetch(dsn, "SELECT sum(read), sum(new), sum(duplicates), sum(dead) FROM eventbus.offsets")
    return row


async def kill_writers(dsn: str) -> int:
    """Terminate the connections of all writers; returns their number."""
    rows = await fetch(
        dsn,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'eventbus-writer'",
    )
    return len(rows)
