"""Consumers as a transport runs them: batches of random size, restarted at the offsets of the database."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from eventbus.processors.errors import Fenced
from eventbus.processors.ingest.pipeline import Pipeline
from eventbus.processors.ingest.retry import ExponentialBackoff
from eventbus.processors.store.definitions import ChainDefinitions
from eventbus.record import TopicPartition
from tests.processors.feeding import DEFINITIONS
from tests.processors.traffic import Log

IMPATIENT = ExponentialBackoff(base=0.001, cap=0.02)


async def nothing() -> None:
    """No chaos."""


async def consume_log(
    dsn: str,
    log: Log,
    partitions: Iterable[TopicPartition],
    *,
    seed: int,
    group: str = "test",
    definitions: ChainDefinitions = DEFINITIONS,
    chaos: Callable[[], Awaitable[None]] = nothing,
) -> Pipeline:
    """Process partitions of a log to their end, in batches of random size, assigning again when fenced.

    Args:
        partitions: of the log.
        chaos: called after each batch.
    """
    rng = random.Random(seed)
    pipeline = Pipeline(
        dsn,
        definitions,
        group=group,
        limit=rng.choice([1, 50, 700]),
        cache_size=rng.choice([1, 50, 100_000]),
        backoff=IMPATIENT,
    )
    await pipeline.open()
    done = False
    while not done:
        with suppress(Fenced):
            await _read_to_end(pipeline, {p: log[p] for p in partitions}, rng, chaos)
            done = True
    await pipeline.stop()
    return pipeline


async def _read_to_end(pipeline: Pipeline, log: Log, rng: random.Random, chaos: Callable[[], Awaitable[None]]) -> None:
    position = await pipeline.assign(list(log))
    remaining = {p: [record for record in log[p] if record[0] >= position[p]] for p in log}
    while unread := [p for p in remaining if remaining[p]]:
        partition = rng.choice(unread)
        size = rng.choice([1, 3, 20, 60])
        records, remaining[partition] = remaining[partition][:size], remaining[partition][size:]
        await pipeline.put(partition, records)
        await chaos()
    await pipeline.drain()
