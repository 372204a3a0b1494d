"""What the tests of the Faust side share: events to produce, and the proof that exactly they were stored."""

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
    """The events of so many chains, ordered by time."""
    return list(ChainGenerator(CATALOG, seed=seed).events(chains=chains))


async def fetch(dsn: str, query: str, *arguments: object) -> list[tuple[object, ...]]:
    """Rows of a query, on a connection of its own."""
    connection = await connect(dsn, application_name="test")
    try:
        return [tuple(row) for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what no event announces; a test that waits in vain ends by its timeout."""
    while not condition():  # noqa: ASYNC110 - looks at a database and at other processes
        await asyncio.sleep(0.01)


async def assert_exact(dsn: str, events: Sequence[Event]) -> None:
    """The database holds these events, each once and unchanged, and its counts say the same."""
    assert await stored(dsn) == expected(events)
    chains = len({event.correlation_id for event in events})
    assert await fetch(dsn, "SELECT count(*), sum(events) FROM eventbus.chains") == [(chains, len(events))]
    assert await fetch(dsn, "SELECT sum(n) FROM eventbus.event_counts") == [(len(events),)]
    assert await fetch(dsn, "SELECT sum(n) FROM eventbus.chain_counts") == [(chains,)]
    broken = await fetch(dsn, "SELECT * FROM eventbus.offsets WHERE read <> new + duplicates + dead")
    assert broken == []
    assert await fetch(dsn, "SELECT sum(new) FROM eventbus.offsets") == [(len(events),)]


async def stored(dsn: str) -> set[tuple[object, ...]]:
    """What identifies and orders the stored events."""
    rows = await fetch(
        dsn, "SELECT event_id::text, correlation_id::text, causation_id::text, type, timestamp FROM eventbus.events"
    )
    return set(rows)


def expected(events: Iterable[Event]) -> set[tuple[object, ...]]:
    """The same of the produced ones."""
    return {(e.event_id, e.correlation_id, e.causation_id, e.event_type, e.timestamp) for e in events}


async def sums(dsn: str) -> tuple[object, ...]:
    """Read, new, duplicates and dead letters of all partitions."""
    [row] = await fetch(dsn, "SELECT sum(read), sum(new), sum(duplicates), sum(dead) FROM eventbus.offsets")
    return row


async def kill_writers(dsn: str) -> int:
    """End the server's processes behind all writers, as an administrator would; returns how many there were."""
    rows = await fetch(
        dsn,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'eventbus-writer'",
    )
    return len(rows)
