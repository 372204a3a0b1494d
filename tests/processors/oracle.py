"""The expected content of the tables, computed in plain Python, event by event."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from eventbus.errors import InvalidEvent
from eventbus.event import Event
from eventbus.processors.store import EventStore
from eventbus.processors.store.connect import connect
from eventbus.processors.store.definitions import ChainDefinitions, TypeDefinition

UNKNOWN = TypeDefinition(None, 0, 1 << 62)


class Chain(NamedTuple):
    tenant_id: str
    chain: str | None
    requested_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    outcome: int
    events: int
    seen: int


@dataclass
class Tables:
    """The events and everything derived from them."""

    events: dict[str, Event]
    event_counts: dict[tuple[datetime, str, str], int]
    chains: dict[str, Chain]
    chain_counts: dict[tuple[datetime, str, str, int, int], int]


def expected(values: Iterable[bytes | None], definitions: ChainDefinitions) -> Tables:
    """The content of the tables after these values have been processed."""
    events: dict[str, Event] = {}
    for value in values:
        try:
            event = Event.from_bytes(value or b"")
        except InvalidEvent:
            continue
        events.setdefault(event.event_id, event)
    counts = Counter((_minute(e.timestamp), e.tenant_id, e.event_type) for e in events.values())
    by_chain: dict[str, list[Event]] = {}
    for event in events.values():
        by_chain.setdefault(event.correlation_id, []).append(event)
    chains = {name: _chain(members, definitions) for name, members in by_chain.items()}
    return Tables(events, dict(counts), chains, dict(Counter(filter(None, map(_count_key, chains.values())))))


def _chain(events: list[Event], definitions: ChainDefinitions) -> Chain:
    typed = [(definitions.types.get(e.event_type, UNKNOWN), e) for e in events]
    causing = [(definition, e) for definition, e in typed if definition.causing]
    defining = causing or typed  # events of caused chains do not define the stored chain
    outcome = seen = 0
    for definition, _ in typed:
        seen |= definition.bit
    for definition, _ in defining:
        outcome |= {3: 1, 4: 2}.get(definition.role, 0)

    def earliest(*roles: int) -> datetime | None:
        return min((e.timestamp for definition, e in defining if definition.role in roles), default=None)

    names = (definition.chain for definition, _ in defining if definition.role == 1 and definition.chain)
    tenant = min(e.tenant_id for e in events)
    return Chain(tenant, min(names, default=None), earliest(1), earliest(2), earliest(3, 4), outcome, len(events), seen)


def _count_key(chain: Chain) -> tuple[datetime, str, str, int, int] | None:
    if chain.requested_at is None or chain.chain is None:
        return None
    duration = 0
    if chain.ended_at is not None:
        us = (chain.ended_at - chain.requested_at).total_seconds() * 1e6
        duration = math.ceil(math.log(max(us, 1)) / math.log(1.02))
    return _minute(chain.requested_at), chain.tenant_id, chain.chain, min(chain.outcome, 2), duration


def _minute(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(second=0, microsecond=0)


async def stored(dsn: str) -> Tables:
    """The content of the tables."""
    connection = await connect(dsn)
    counts = await connection.fetch("SELECT minute, tenant_id, type, n FROM eventbus.event_counts")
    chains = await connection.fetch(
        """SELECT correlation_id, tenant_id, chain, requested_at, started_at, ended_at, outcome, events, seen
        FROM eventbus.chain_states"""
    )
    chain_counts = await connection.fetch(
        "SELECT minute, tenant_id, chain, outcome, bin, n FROM eventbus.chain_counts WHERE n <> 0"
    )
    total = await connection.fetchval("SELECT count(*) FROM eventbus.events")
    await connection.close()
    async with EventStore.open(dsn) as store:
        page = await store.events(limit=total + 1)
    return Tables(
        {event.event_id: event for event in page.events},
        {tuple(row)[:3]: row["n"] for row in counts},
        {str(row[0]): Chain(*row[1:]) for row in chains},
        {tuple(row)[:5]: row["n"] for row in chain_counts},
    )


async def assert_exact(dsn: str, values: Iterable[bytes | None], definitions: ChainDefinitions) -> None:
    """Check the content of the tables against the expected one, and the counts of every partition."""
    want, got = expected(values, definitions), await stored(dsn)
    assert got.events == want.events
    assert got.event_counts == want.event_counts
    assert got.chains == want.chains
    assert got.chain_counts == want.chain_counts
    async with EventStore.open(dsn) as store:
        accounts = await store.conservation()
    assert all(account.holds for account in accounts)
    assert sum(account.new for account in accounts) == len(want.events), accounts
