"""Queries of what the writers stored: events, chains with their verdicts, statistics, dead letters and offsets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import asyncpg

from eventbus.event import Event
from eventbus.processors.errors import NoDatabase, StoreUnreachable
from eventbus.processors.postgres.external import without_password
from eventbus.processors.store.chains import OUTCOMES, StoredChain, causal_order
from eventbus.processors.store.connect import SESSION, connect, is_transient
from eventbus.processors.store.dead_letters import StoredDeadLetter
from eventbus.processors.store.events import StoredPage, event_from_row, event_page, parse_cursor
from eventbus.processors.store.migrate import is_migrated, migrate
from eventbus.processors.store.offsets import Conservation
from eventbus.processors.store.queries import SQL
from eventbus.processors.store.statistics import chain_statistics, event_statistics

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


class EventStore:
    """Queries over a pool of connections; create one with `open`."""

    def __init__(self, pool: Pool, address: str) -> None:
        self._pool = pool
        self._address = address

    def __repr__(self) -> str:
        return f"<EventStore {self._address}>"

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str, *, create: bool = True, connections: int = 4) -> AsyncIterator[Self]:
        """Connect to the database and migrate its schema; returns an asynchronous context manager.

        Args:
            dsn: a PostgreSQL URL.
            create: False refuses a database without the schema.
            connections: maximum number of connections, and so of concurrent queries.

        Raises:
            NoDatabase: `create` is False and the database has no schema.
            StoreError: the database cannot be used.
        """
        connection = await connect(dsn)
        try:
            if not create and not await is_migrated(connection):
                raise NoDatabase(f"nothing has been stored yet in {without_password(dsn)}")
            await migrate(connection)
        finally:
            await connection.close()
        settings = {**SESSION, "application_name": "eventbus-store"}
        async with asyncpg.create_pool(
            dsn,
            min_size=0,  # otherwise the pool reconnects on its own and logs a traceback each time the server is gone
            max_size=connections,
            timeout=10,
            command_timeout=30,
            server_settings=settings,
        ) as pool:
            yield cls(pool, without_password(dsn))

    async def events(
        self,
        *,
        correlation_id: str | None = None,
        event_type: str | None = None,
        tenant_id: str | None = None,
        namespace: str | None = None,
        source: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> StoredPage:
        """Events that match all filters, newest first.

        Args:
            since: the earliest timestamp.
            until: the timestamp before which events lie, exclusive.
            limit: maximum number of events in the page.
            cursor: `next_cursor` of the previous page.

        Raises:
            InvalidCursor: `cursor` is not the `next_cursor` of a page.
            ValueError: `correlation_id` is not a UUID.
            StoreUnreachable: the database does not answer.
        """
        after = parse_cursor(cursor) if cursor else (None, None)
        chain = [UUID(correlation_id)] if correlation_id else []
        query = SQL["newest_events_of_chain" if chain else "newest_events"]
        filters = (event_type, tenant_id, namespace, source, since, until)
        return event_page(await self._fetch(query, *filters, *after, limit + 1, *chain), limit)

    async def event(self, event_id: str) -> Event | None:
        """An event by its id; None if it is not stored.

        Raises:
            ValueError: not a UUID.
            StoreUnreachable: the database does not answer.
        """
        rows = await self._fetch(SQL["event"], UUID(event_id))
        return event_from_row(rows[0]) if rows else None

    async def chain(self, correlation_id: str) -> StoredChain | None:
        """A chain with all its events; None if none is stored.

        Raises:
            ValueError: not a UUID.
            StoreUnreachable: the database does not answer.
        """
        uuid = UUID(correlation_id)
        chains = await self._fetch(SQL["chain"], uuid)
        if not chains:
            return None
        events = [event_from_row(row) for row in await self._fetch(SQL["chain_events"], uuid)]
        row = dict(chains[0])
        return StoredChain(
            **{**row, "correlation_id": str(uuid), "outcome": OUTCOMES[row["outcome"]]},
            events=tuple(causal_order(events)),
        )

    async def statistics(
        self, since: datetime | None = None, until: datetime | None = None, tenant_id: str | None = None
    ) -> dict[str, Any]:
        """Counts of events and chains, and percentiles of the chains' durations within 1 %.

        Counts are kept by the minute: `since` is rounded down to the minute, `until` up. A chain is counted in the
        minute of its request; chains without a stored request are not counted. `per_second` is the rate over the same
        minutes; an open end of the range stands for the first or last minute with events.

        Raises:
            StoreUnreachable: the database does not answer.
        """
        filters = (since, until, tenant_id)
        events = await self._fetch(SQL["event_counts"], *filters)
        chains = await self._fetch(SQL["chain_counts"], *filters)
        return {"events": event_statistics(events, since, until), "chains": chain_statistics(chains)}

    async def dead_letters(self, limit: int = 100) -> list[StoredDeadLetter]:
        """The newest dead letters.

        Raises:
            StoreUnreachable: the database does not answer.
        """
        return [StoredDeadLetter(*row) for row in await self._fetch(SQL["newest_dead_letters"], limit)]

    async def conservation(self) -> list[Conservation]:
        """Counts of the records read, by consumer group and partition.

        Raises:
            StoreUnreachable: the database does not answer.
        """
        return [Conservation(*row) for row in await self._fetch(SQL["conservation"])]

    async def ping(self) -> None:
        """Check that the database answers.

        Raises:
            StoreUnreachable: it does not.
        """
        await self._fetch(SQL["ping"])

    async def _fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        try:
            return await self._pool.fetch(query, *arguments)
        except Exception as error:
            if not is_transient(error):
                raise
            problem = f"no answer from PostgreSQL at {self._address}: {str(error) or type(error).__name__}"
            raise StoreUnreachable(problem) from error
