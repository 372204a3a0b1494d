"""Events, and pipelines to store them, for tests of the stored data."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from eventbus.catalog import Catalog
from eventbus.event import Event, microseconds, uuid7
from eventbus.processors.ingest.batch import Record
from eventbus.processors.ingest.pipeline import Pipeline
from eventbus.processors.store.definitions import ChainDefinitions
from eventbus.record import TopicPartition

DEFINITIONS = ChainDefinitions.of(Catalog.default())
PARTITION = TopicPartition("omninode.agent", 0)
START = datetime(2026, 1, 1, tzinfo=UTC)

ROUTING_REQUESTED = "omninode.agent.routing.requested.v1"
ROUTING_COMPLETED = "omninode.agent.routing.completed.v1"
EXECUTION_STARTED = "omninode.agent.execution.started.v1"
EXECUTION_COMPLETED = "omninode.agent.execution.completed.v1"
EXECUTION_FAILED = "omninode.agent.execution.failed.v1"
AGENT_EXECUTION = (ROUTING_REQUESTED, ROUTING_COMPLETED, EXECUTION_STARTED, EXECUTION_COMPLETED)


def chain_of(
    *types: str,
    start: datetime = START,
    gap_ms: float = 100.0,
    payload: dict[str, Any] | None = None,
    rng: random.Random | None = None,
    **fields: Any,
) -> list[Event]:
    """Events of these types, each the cause of the next, at equal intervals; their ids come from `rng`."""
    events: list[Event] = []
    bits = rng or random.SystemRandom()
    for number, event_type in enumerate(types):
        cause = events[-1] if events else None
        when = start + timedelta(milliseconds=gap_ms * number)
        ids = {"event_id": uuid7(microseconds(when), bits.getrandbits(62))}
        events.append(Event.new(event_type, payload or {"n": number}, cause=cause, timestamp=when, **ids, **fields))
    return events


def agent_execution(**options: Any) -> list[Event]:
    """A chain that conforms to the catalog."""
    return chain_of(*AGENT_EXECUTION, **options)


def records(values: Iterable[Event | bytes | None], first: int = 0) -> list[Record]:
    """Records with these values at consecutive offsets."""
    return [(first + n, v.to_bytes() if isinstance(v, Event) else v) for n, v in enumerate(values)]


async def store_all(
    dsn: str, *values: Event | bytes | None, definitions: ChainDefinitions = DEFINITIONS, group: str = "test"
) -> None:
    """Append the values to a partition, and wait until they are committed."""
    async with Pipeline(dsn, definitions, group=group) as pipeline:
        position = await pipeline.assign([PARTITION])
        await pipeline.put(PARTITION, records(values, position[PARTITION]))
