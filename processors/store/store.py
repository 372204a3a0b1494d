"""Reads what the writers stored: events, chains with their verdicts, statistics, and where every record has gone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from uuid import UUID

import asyncpg
import orjson

from eventbus.event import Event, microseconds
from eventbus.processors.errors import InvalidCursor, NoDatabase, StoreUnreachable
from eventbus.processors.store.connect import SESSION, connect, is_passing, without_password
from eventbus.processors.store.migrate import is_migrated, migrate
from eventbus.processors.store.queries import SQL

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Row = asyncpg.Record


# Quantiles from logarithmic bins: bin n holds durations above γⁿ⁻¹ and up to γⁿ microseconds (SQL: `eventbus.bin`).


GAMMA = 1.02


def value_of(bin: int) -> float:
    """Microseconds that stand for a bin: no duration in it is further off than 1 %."""
    return float(2 * GAMMA**bin / (1 + GAMMA))


def quantile(counts: Mapping[int, int], q: float) -> float | None:
    """The smallest value with at least a share `q` at or below it, within 1 %; None when there are no counts.

    Args:
        counts: how many durations each bin holds.
        q: between 0 and 1.
    """
    needed, reached = q * sum(counts.values()), 0
    for bin, count in sorted(counts.items()):
        reached += count
        if reached >= needed and reached:
            return value_of(bin)
    return None


OUTCOMES = (None, "completed", "failed", "failed")
"""What the bits of `chains.outcome` mean; a chain that both completed and failed has failed."""

MINUTE = timedelta(minutes=1)

cursor_pattern = re.compile(r"(-?\d{1,18})\.([0-9a-f-]{36})")


class Page(NamedTuple):
    """Some events, newest first."""

    events: list[Event]
    next_cursor: str | None
    """Where the next page begins; None on the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChain:
    """All that is known of one correlation id."""

    correlation_id: str
    chain: str | None
    """Name in the catalog; None while its request has not been seen."""
    tenant_id: str
    state: str
    """requested, started, completed or failed."""
    outcome: str | None
    """completed, failed, or None in flight."""
    verdict: str
    """conforms, in_flight, incomplete, unexpected, out_of_order, orphan or conflict."""
    requested_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    events: tuple[Event, ...]
    """In causal order: a cause before its effects."""


class StoredDeadLetter(NamedTuple):
    """A record that could not become an event."""

    group: str
    topic: str
    partition: int
    offset: int
    value: bytes | None
    error: str
    at: datetime


class Conservation(NamedTuple):
    """Where the records of a partition have gone, by the account of one consumer group."""

    group: str
    topic: str
    partition: int
    first_offset: int
    next_offset: int
    read: int
    new: int
    duplicates: int
    dead: int

    @property
    def skipped(self) -> int:
        """Offsets that held no record: compacted away, or marks of a transaction."""
        return self.next_offset - self.first_offset - self.read

    @property
    def holds(self) -> bool:
        """Whether nothing was lost and nothing counted twice."""
        return self.read == self.new + self.duplicates + self.dead and self.skipped >= 0


class EventStore:
    """A pool of connections that only read. Make one with `open`."""

    def __init__(self, pool: Pool, address: str) -> None:
        self._pool = pool
        self._address = address

    def __repr__(self) -> str:
        return f"<EventStore {self._address}>"

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str, *, create: bool = True, connections: int = 4) -> AsyncIterator[Self]:
        """The store at an address, as an asynchronous context manager.

        Args:
            dsn: a PostgreSQL URL.
            create: False refuses a database in which nothing was ever stored, rather than setting it up.
            connections: at most so many queries at a time.

        Raises:
            StoreError: it cannot be used (which error says why); `NoDatabase` with `create=False`.
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
            min_size=0,  # or the pool itself would try again and again, and log each stack, when the server is gone
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
    ) -> Page:
        """Events that match, newest first.

        Args:
            since: the earliest time.
            until: the time before which they are.
            limit: of the page.
            cursor: `next_cursor` of the page before.

        Raises:
            InvalidCursor: not one that a page gave.
            ValueError: `correlation_id` is not a UUID.
            StoreUnreachable: the database does not answer.
        """
        after = _from_cursor(cursor) if cursor else (None, None)
        chain = [UUID(correlation_id)] if correlation_id else []
        query = SQL["newest_events_of_chain" if chain else "newest_events"]
        filters = (event_type, tenant_id, namespace, source, since, until)
        rows = await self._fetch(query, *filters, *after, limit + 1, *chain)
        events = [_event(row) for row in rows[:limit]]
        return Page(events, _to_cursor(events[-1]) if events and len(rows) > limit else None)

    async def event(self, event_id: str) -> Event | None:
        """One event; None when it is not stored.

        Raises:
            ValueError: not a UUID.
            StoreUnreachable: the database does not answer.
        """
        rows = await self._fetch(SQL["event"], UUID(event_id))
        return _event(rows[0]) if rows else None

    async def chain(self, correlation_id: str) -> StoredChain | None:
        """One chain with all its events; None when nothing of it is stored.

        Raises:
            ValueError: not a UUID.
            StoreUnreachable: the database does not answer.
        """
        wanted = UUID(correlation_id)
        chains = await self._fetch(SQL["chain"], wanted)
        if not chains:
            return None
        events = [_event(row) for row in await self._fetch(SQL["chain_events"], wanted)]
        row = dict(chains[0])
        return StoredChain(
            **{**row, "correlation_id": str(wanted), "outcome": OUTCOMES[row["outcome"]]},
            events=tuple(causal_order(events)),
        )

    async def statistics(
        self, since: datetime | None = None, until: datetime | None = None, tenant_id: str | None = None
    ) -> dict[str, Any]:
        """Counts of events and chains, and percentiles of the chains' durations within 1 %.

        Counts are kept by the minute: `since` means the minute it lies in, and so does `until`, unless it is the very
        beginning of one. A chain belongs to the minute of its request; one whose request was never seen is not counted.
        `per_second` is over the same minutes; where an end is left open, up to that end of the events.

        Raises:
            StoreUnreachable: the database does not answer.
        """
        period = (since, until, tenant_id)
        events = await self._fetch(SQL["event_counts"], *period)
        chains = await self._fetch(SQL["chain_counts"], *period)
        return {"events": _event_statistics(events, since, until), "chains": _chain_statistics(chains)}

    async def dead_letters(self, limit: int = 100) -> list[StoredDeadLetter]:
        """The newest dead letters."""
        return [StoredDeadLetter(*row) for row in await self._fetch(SQL["newest_dead_letters"], limit)]

    async def conservation(self) -> list[Conservation]:
        """For each group and partition, where every record that was read has gone."""
        return [Conservation(*row) for row in await self._fetch(SQL["conservation"])]

    async def ping(self) -> None:
        """Return once the database has answered.

        Raises:
            StoreUnreachable: it does not.
        """
        await self._fetch(SQL["ping"])

    async def _fetch(self, query: str, *arguments: Any) -> list[Row]:
        try:
            return await self._pool.fetch(query, *arguments)
        except Exception as error:
            if not is_passing(error):
                raise
            problem = f"no answer from PostgreSQL at {self._address}: {str(error) or type(error).__name__}"
            raise StoreUnreachable(problem) from error


def causal_order(events: Sequence[Event]) -> list[Event]:
    """The events of a chain, each after its cause, and otherwise by time.

    An event whose cause is not among them counts as a root; those that cause each other in a circle come last.
    """
    here = {event.event_id: event for event in events}
    effects: dict[str | None, list[Event]] = {}
    for event in events:
        effects.setdefault(event.causation_id if event.causation_id in here else None, []).append(event)
    ready = [_when(event) for event in effects.get(None, ())]
    heapify(ready)
    ordered: list[Event] = []
    while ready:
        _, event_id = heappop(ready)
        ordered.append(here.pop(event_id))
        for effect in effects.get(event_id, ()):
            heappush(ready, _when(effect))
    return ordered + sorted(here.values(), key=_when)


def _when(event: Event) -> tuple[datetime, str]:
    return event.timestamp, event.event_id


def _event(row: Row) -> Event:
    # an integer of more than 64 bits is stored exactly, and shown here as the nearest float: JSON in Python ends there
    event_id, timestamp, correlation, cause, *texts, payload = row
    kind, tenant_id, namespace, source, schema_version = texts
    return Event(
        str(event_id),
        kind,
        timestamp,
        str(correlation),
        str(cause) if cause else None,
        tenant_id,
        namespace,
        source,
        schema_version,
        orjson.loads(payload),
    )


def _to_cursor(event: Event) -> str:
    return f"{microseconds(event.timestamp)}.{event.event_id}"


def _from_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        found = cursor_pattern.fullmatch(cursor)
        time, event_id = found.groups() if found else ("", "")
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(time)), UUID(event_id)
    except (ValueError, OverflowError) as error:
        raise InvalidCursor(f"expected the next_cursor of a page, got {cursor!r}") from error


def _event_statistics(rows: Sequence[Row], since: datetime | None, until: datetime | None) -> dict[str, Any]:
    by_type = {row["type"]: row["n"] for row in rows}
    total, minutes = sum(by_type.values()), 0
    if rows:
        begin = (since or min(row["first"] for row in rows)).replace(second=0, microsecond=0)
        length = until - begin if until else max(row["last"] for row in rows) - begin + MINUTE
        minutes = -(-length // MINUTE)  # rounded up
    return {"total": total, "per_second": total / (60 * minutes) if minutes else 0.0, "by_type": by_type}


def _chain_statistics(rows: Sequence[Row]) -> dict[str, Any]:
    outcomes: dict[str, Counter[str]] = {}
    bins: dict[str, Counter[int]] = {}
    for name, outcome, bin, n in rows:
        outcomes.setdefault(name, Counter())[OUTCOMES[outcome] or "in_flight"] += n
        if outcome:
            bins.setdefault(name, Counter())[bin] += n
    everything = sum(outcomes.values(), Counter[str]())
    return {
        "total": everything.total(),
        "completed": everything["completed"],
        "failed": everything["failed"],
        "in_flight": everything["in_flight"],
        "by_chain": {name: _one_chain(count, bins.get(name, Counter())) for name, count in outcomes.items()},
    }


def _one_chain(outcomes: Counter[str], bins: Counter[int]) -> dict[str, Any]:
    return {
        "total": outcomes.total(),
        "completed": outcomes["completed"],
        "failed": outcomes["failed"],
        **{f"p{percent}_ms": _milliseconds(quantile(bins, percent / 100)) for percent in (50, 95, 99)},
    }


def _milliseconds(us: float | None) -> float | None:
    return None if us is None else round(us / 1000, 3)
