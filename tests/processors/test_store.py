"""Queries of the store: pages of events, chains with verdicts, statistics, dead letters and offsets."""

from __future__ import annotations

import math
import random
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from eventbus.event import Event, uuid7
from eventbus.processors.errors import InvalidCursor, NoDatabase, StoreUnreachable
from eventbus.processors.store import EventStore
from tests.processors.feeding import (
    AGENT_EXECUTION,
    EXECUTION_COMPLETED,
    EXECUTION_FAILED,
    EXECUTION_STARTED,
    PARTITION,
    ROUTING_COMPLETED,
    ROUTING_REQUESTED,
    START,
    agent_execution,
    chain_of,
    store_all,
)
from tests.processors.proxy import Proxy


async def test_event_round_trip(postgres_dsn: str) -> None:
    """Every field survives COPY and jsonb, in any script."""
    event = Event.new(
        "omninode.agent.routing.requested.v1",
        {"text": 'quote " backslash \\ newline \n 😀', "nested": {"list": [1, 2.5, None, True]}, "huge": 2**63 - 1},
        source="ルーター",
        tenant_id="tenant\t1",
        timestamp=START + timedelta(microseconds=1),
    )
    await store_all(postgres_dsn, event)
    async with EventStore.open(postgres_dsn) as store:
        assert await store.event(event.event_id) == event
        assert await store.event(uuid7(0, 0)) is None


async def test_long_integers_keep_every_digit(postgres_dsn: str) -> None:
    """An integer of more than 64 bits is stored exactly, not as the nearest float."""
    event = agent_execution()[0]
    digits = b"123456789012345678901234567890"
    await store_all(postgres_dsn, event.to_bytes().replace(b'{"n":0}', b'{"n":%b}' % digits))
    connection = await asyncpg.connect(postgres_dsn)
    assert await connection.fetchval("SELECT payload ->> 'n' FROM eventbus.events") == digits.decode()
    await connection.close()
    async with EventStore.open(postgres_dsn) as store:
        stored = await store.event(event.event_id)
    assert stored is not None
    assert stored.payload["n"] == float(digits)


async def test_pages_have_every_event_once_newest_first(postgres_dsn: str) -> None:
    """Following the cursors returns all events, also with equal timestamps."""
    events = [event for n in range(6) for event in agent_execution(start=START + timedelta(milliseconds=50 * (n // 3)))]
    await store_all(postgres_dsn, *events)
    seen: list[Event] = []
    cursor = None
    async with EventStore.open(postgres_dsn) as store:
        while True:
            page = await store.events(limit=5, cursor=cursor)
            seen += page.events
            cursor = page.next_cursor
            if cursor is None:
                break
    assert seen == sorted(events, key=lambda e: (e.timestamp, e.event_id), reverse=True)


@pytest.mark.parametrize("cursor", ["x", "1.2", "", "99999999999999999999.x", "9" * 18 + "." + uuid7(0, 0)])
async def test_foreign_cursor_is_refused(postgres_dsn: str, cursor: str) -> None:
    """A cursor that is not from a page raises an error; an empty one means the first page."""
    async with EventStore.open(postgres_dsn) as store:
        if not cursor:
            assert (await store.events(cursor=cursor)).events == []
            return
        with pytest.raises(InvalidCursor, match="next_cursor"):
            await store.events(cursor=cursor)


async def test_filters_select(postgres_dsn: str) -> None:
    """Each filter selects the events that match it, alone and with a correlation id."""
    first = agent_execution()
    second = agent_execution(start=START + timedelta(hours=1), tenant_id="other", namespace="test", source="someone")
    await store_all(postgres_dsn, *first, *second)
    filters: list[tuple[dict[str, Any], list[Event]]] = [
        ({"correlation_id": first[0].event_id}, first),
        ({"event_type": ROUTING_REQUESTED}, [first[0], second[0]]),
        ({"tenant_id": "other"}, second),
        ({"namespace": "test"}, second),
        ({"source": "someone"}, second),
        ({"since": START + timedelta(hours=1)}, second),
        ({"until": START + timedelta(hours=1)}, first),
        ({"correlation_id": first[0].event_id, "event_type": ROUTING_REQUESTED}, first[:1]),
        ({"correlation_id": first[0].event_id, "tenant_id": "other"}, []),
    ]
    async with EventStore.open(postgres_dsn) as store:
        for arguments, expected in filters:
            events = (await store.events(**arguments)).events
            assert sorted(events, key=lambda e: e.event_id) == sorted(expected, key=lambda e: e.event_id), arguments


async def test_chain_is_in_causal_order(postgres_dsn: str) -> None:
    """A cause precedes its effects, even with contradictory timestamps; an event with an unknown cause is a root."""
    root, *rest = agent_execution()
    early = rest[0].evolve(timestamp=START - timedelta(seconds=1))
    lost = Event.new(EXECUTION_FAILED, {}, timestamp=START).evolve(
        correlation_id=root.event_id, causation_id=uuid7(1, 1)
    )
    await store_all(postgres_dsn, *reversed([root, early, *rest[1:], lost]))
    async with EventStore.open(postgres_dsn) as store:
        chain = await store.chain(root.event_id)
        assert await store.chain(uuid7(0, 0)) is None
    assert chain is not None
    order = [event.event_id for event in chain.events]
    assert sorted(order) == sorted(e.event_id for e in [root, early, *rest[1:], lost])
    assert order.index(root.event_id) < order.index(early.event_id) < order.index(rest[1].event_id)


VERDICTS = {
    "conforms": AGENT_EXECUTION,
    "in_flight": (ROUTING_REQUESTED, ROUTING_COMPLETED, EXECUTION_STARTED),
    "incomplete": (ROUTING_REQUESTED, EXECUTION_COMPLETED),
    "unexpected": (*AGENT_EXECUTION[:-1], "omninode.vault.secret.read.completed.v1", EXECUTION_COMPLETED),
    "orphan": (ROUTING_COMPLETED, EXECUTION_STARTED, EXECUTION_COMPLETED),
    "conflict": (*AGENT_EXECUTION, EXECUTION_FAILED),
    "out_of_order": (EXECUTION_STARTED, ROUTING_REQUESTED),
}


@pytest.mark.parametrize(("verdict", "types"), VERDICTS.items())
async def test_verdicts(postgres_dsn: str, verdict: str, types: tuple[str, ...]) -> None:
    """Each deviation from the catalog has its verdict, for any order of arrival."""
    events = chain_of(*types)
    random.Random(verdict).shuffle(events)
    await store_all(postgres_dsn, *events)
    async with EventStore.open(postgres_dsn) as store:
        chain = await store.chain(events[0].correlation_id)
    assert chain is not None
    assert chain.verdict == verdict


@pytest.mark.parametrize("types", [("shop.order.placed.v1",), (*AGENT_EXECUTION, "shop.order.placed.v1")])
async def test_unknown_type_belongs_to_its_chain(postgres_dsn: str, types: tuple[str, ...]) -> None:
    """Events of unknown types are counted like others, and make a chain unexpected."""
    events = chain_of(*types)
    await store_all(postgres_dsn, *events)
    async with EventStore.open(postgres_dsn) as store:
        chain = await store.chain(events[0].correlation_id)
        statistics = await store.statistics()
    assert chain is not None
    assert chain.events == tuple(events)
    assert chain.verdict == ("orphan" if len(types) == 1 else "unexpected")
    assert statistics["events"]["by_type"]["shop.order.placed.v1"] == 1


@pytest.mark.parametrize("failed_first", [False, True])
async def test_two_endings_count_as_one_failure(postgres_dsn: str, failed_first: bool) -> None:
    """A chain that both completed and failed counts as failed, for any order and any batches."""
    *before, completed = agent_execution()
    failed = Event.new(EXECUTION_FAILED, {}, cause=before[-1], timestamp=START + timedelta(seconds=1))
    endings = [failed, completed] if failed_first else [completed, failed]
    await store_all(postgres_dsn, *before)
    for ending in endings:
        await store_all(postgres_dsn, ending)
    async with EventStore.open(postgres_dsn) as store:
        chain = await store.chain(completed.correlation_id)
        chains = (await store.statistics())["chains"]
    assert chain is not None
    assert (chain.state, chain.outcome, chain.verdict) == ("failed", "failed", "conflict")
    assert chain.ended_at == completed.timestamp
    assert (chains["total"], chains["completed"], chains["failed"], chains["in_flight"]) == (1, 0, 1, 0)


async def test_statistics_are_within_one_percent(postgres_dsn: str) -> None:
    """Counts are exact; percentiles have a relative error of at most 1 %."""
    rng = random.Random(5)
    durations = [rng.lognormvariate(6, 1) for _ in range(400)]
    events = []
    for n, duration in enumerate(durations):
        start = START + timedelta(seconds=n)
        last = EXECUTION_FAILED if n % 10 == 0 else EXECUTION_COMPLETED
        events += chain_of(*AGENT_EXECUTION[:-1], last, start=start, gap_ms=duration / 3)
    events += chain_of(ROUTING_REQUESTED, start=START)
    await store_all(postgres_dsn, *events)
    async with EventStore.open(postgres_dsn) as store:
        statistics = await store.statistics()
    by_type = Counter(event.event_type for event in events)
    assert statistics["events"]["total"] == len(events)
    assert statistics["events"]["by_type"] == by_type
    assert statistics["events"]["per_second"] == pytest.approx(len(events) / 420)
    chains = statistics["chains"]
    assert (chains["total"], chains["completed"], chains["failed"], chains["in_flight"]) == (401, 360, 40, 1)
    chain = chains["by_chain"]["agent-execution"]
    for percent in (50, 95, 99):
        exact = sorted(durations)[math.ceil(percent / 100 * len(durations)) - 1]
        assert chain[f"p{percent}_ms"] == pytest.approx(exact, rel=0.0101)


async def test_statistics_of_a_period_and_a_tenant(postgres_dsn: str) -> None:
    """Periods are rounded to minutes; a chain counts in the minute of its request; tenants are counted separately."""
    early = agent_execution(start=START, gap_ms=30_000)
    late = agent_execution(start=START + timedelta(minutes=2), tenant_id="other")
    await store_all(postgres_dsn, *early, *late)
    minute = timedelta(minutes=1)
    async with EventStore.open(postgres_dsn) as store:
        first = await store.statistics(START, START + minute)
        second = await store.statistics(START + 1.5 * minute, START + 2 * minute)
        third = await store.statistics(START + 1.9 * minute, START + 1.95 * minute)
        other = await store.statistics(tenant_id="other")
        nothing = await store.statistics(START + 10 * minute)
    assert (first["events"]["total"], first["chains"]["completed"]) == (2, 1)
    assert first["events"]["per_second"] == pytest.approx(2 / 60)
    assert (second["events"]["total"], second["chains"]["total"]) == (2, 0)
    assert second["events"]["per_second"] == third["events"]["per_second"] == pytest.approx(2 / 60)
    assert (other["events"]["total"], other["chains"]["total"]) == (4, 1)
    assert nothing["events"] == {"total": 0, "per_second": 0.0, "by_type": {}}


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
async def test_statistics_of_extreme_timestamps(postgres_dsn: str, when: str) -> None:
    """Events with the first and the last valid timestamp are counted."""
    event = agent_execution()[0].evolve(timestamp=datetime.fromisoformat(when))
    await store_all(postgres_dsn, event)
    async with EventStore.open(postgres_dsn) as store:
        statistics = await store.statistics()
    assert statistics["events"]["total"] == statistics["chains"]["total"] == 1
    assert statistics["events"]["per_second"] == pytest.approx(1 / 60)


async def test_late_request_corrects_the_statistics(postgres_dsn: str) -> None:
    """A chain whose request is stored last counts in the minute of the request, with the correct duration."""
    request, *rest = agent_execution(gap_ms=1000)
    await store_all(postgres_dsn, *rest)
    async with EventStore.open(postgres_dsn) as store:
        assert (await store.statistics())["chains"]["total"] == 0
        await store_all(postgres_dsn, request)
        chains = (await store.statistics(START, START + timedelta(minutes=1)))["chains"]
    assert chains["by_chain"]["agent-execution"]["completed"] == 1
    assert chains["by_chain"]["agent-execution"]["p50_ms"] == pytest.approx(3000, rel=0.01)


async def test_conservation(postgres_dsn: str) -> None:
    """Law: read = new + duplicates + dead; dead letters have position, value and reason."""
    events = agent_execution()
    await store_all(postgres_dsn, *events, events[0], b"{", None)
    await store_all(postgres_dsn, *events[:2])
    async with EventStore.open(postgres_dsn) as store:
        (account,) = await store.conservation()
        newest, oldest = sorted(await store.dead_letters(), key=lambda letter: letter.offset, reverse=True)
        assert len(await store.dead_letters(limit=1)) == 1
    assert account.holds
    assert account[:5] == ("test", *PARTITION, 0, 9)
    assert (account.read, account.new, account.duplicates, account.dead, account.skipped) == (9, 4, 3, 2, 0)
    assert (oldest.offset, oldest.value, newest.offset, newest.value) == (5, b"{", 6, None)
    assert "expected a JSON object" in oldest.error


async def test_open_without_create(empty_dsn: str) -> None:
    """With `create=False`, a database without the schema is refused and not changed."""
    with pytest.raises(NoDatabase, match="nothing has been stored"):
        async with EventStore.open(empty_dsn, create=False):
            pass
    async with EventStore.open(empty_dsn) as store:
        assert (await store.events()).events == []
        await store.ping()


async def test_terminated_connections(postgres_dsn: str) -> None:
    """After the server has terminated the connections, at most one query fails, and the next one succeeds."""
    async with EventStore.open(postgres_dsn) as store:
        await store.ping()
        connection = await asyncpg.connect(postgres_dsn)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'eventbus-store' AND datname = current_database()"
        )
        await connection.close()
        with suppress(StoreUnreachable):  # unless the pool has noticed already
            await store.ping()
        await store.ping()


async def test_unreachable_server_is_not_logged(
    postgres_dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each query raises an error; no background task writes to the log."""
    async with Proxy(postgres_dsn, tmp_path) as proxy, EventStore.open(proxy.dsn) as store:
        await store.ping()
        proxy.cut_after, proxy.cut_next = b"SELECT", 100
        with pytest.raises(StoreUnreachable):
            await store.statistics()
        for _ in range(3):
            with pytest.raises(StoreUnreachable):
                await store.ping()
    assert caplog.records == []


async def test_no_server() -> None:
    """The error has the address of the server, without the password."""
    assert issubclass(StoreUnreachable, OSError)
    with pytest.raises(StoreUnreachable, match=r"//someone@127\.0\.0\.1:1/none") as error:
        async with EventStore.open("postgresql://someone:secret@127.0.0.1:1/none"):
            pass
    assert "secret" not in str(error.value)
