"""Logs with duplicates, invalid records, chains with two ends or no request, disorder and unknown types."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from eventbus.event import Event, microseconds, uuid7
from eventbus.processors.ingest.batch import Record
from eventbus.record import TopicPartition
from tests.processors.feeding import (
    AGENT_EXECUTION,
    EXECUTION_COMPLETED,
    EXECUTION_FAILED,
    START,
    chain_of,
    records,
)

PARTITIONS = [TopicPartition("omninode.agent", n) for n in range(3)] + [TopicPartition("omninode.vault", 0)]
VAULT_READ = ("omninode.vault.secret.read.requested.v1", "omninode.vault.secret.read.completed.v1")
POISON = [b"", b"{", b"[]", b"null", b"\xff", b'{"event_id": "x"}', None]

Log = dict[TopicPartition, list[Record]]


def make_log(seed: int, *, chains: int = 400, by_key: bool = True) -> Log:
    """More than a thousand records in four partitions; without `by_key`, chains are spread over all of them."""
    rng = random.Random(seed)
    values: list[tuple[float, str, bytes | None]] = []
    for number in range(chains):
        for event in _chain(rng, number):
            time = event.timestamp.timestamp() + rng.random() * 5  # up to 5 s of disorder
            values.append((time, event.correlation_id, event.to_bytes()))
            if rng.random() < 0.03:
                values.append((time + rng.choice([0.001, 1, 60]), event.correlation_id, event.to_bytes()))
        if rng.random() < 0.05:
            values.append((START.timestamp() + number, str(number), rng.choice(POISON)))
    values.sort(key=lambda value: value[0])
    parts: dict[TopicPartition, list[bytes | None]] = {partition: [] for partition in PARTITIONS}
    for _, key, value in values:
        number = random.Random(key).randrange(4) if by_key else rng.randrange(4)
        parts[PARTITIONS[number]].append(value)
    return {partition: _with_gaps(rng, records(part)) for partition, part in parts.items()}


def values_of(log: Log) -> list[bytes | None]:
    """All values, by partition."""
    return [value for part in log.values() for _, value in part]


def _chain(rng: random.Random, number: int) -> list[Event]:
    start = START + timedelta(seconds=number * 0.7)
    types = rng.choice([AGENT_EXECUTION, (*AGENT_EXECUTION[:-1], EXECUTION_FAILED), VAULT_READ])
    tenant = rng.choice(["default-tenant", "other", "third"])
    events = chain_of(*types, start=start, gap_ms=rng.expovariate(1 / 300), tenant_id=tenant, rng=rng)
    match rng.randrange(12):
        case 0:
            return events[1:]  # without its request
        case 1:
            return events[:-1]  # without an end
        case 2:
            late = start + timedelta(milliseconds=rng.randint(-500, 500))
            return [*events, _more(rng, events[0], EXECUTION_FAILED, late)]
        case 3:
            return [*events, _more(rng, events[0], EXECUTION_COMPLETED, start).evolve(tenant_id="a")]
        case 4:
            return [*events, _more(rng, events[0], "shop.order.placed.v1", start)]
        case _:
            return events


def _more(rng: random.Random, cause: Event, event_type: str, when: datetime) -> Event:
    event_id = uuid7(microseconds(when), rng.getrandbits(62))
    return Event.new(event_type, {}, cause=cause, timestamp=when, event_id=event_id)


def _with_gaps(rng: random.Random, part: list[Record]) -> list[Record]:
    """The records with gaps between offsets, as after compaction."""
    offset = 0
    gapped: list[Record] = []
    for _, value in part:
        offset += 1 if rng.random() < 0.99 else rng.randint(2, 9)
        gapped.append((offset, value))
    return gapped
