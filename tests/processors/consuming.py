"""Consumers as a transport would run them: chunks of any size, begun again wherever the database is."""

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
    mine: Iterable[TopicPartition],
    *,
    seed: int,
    group: str = "test",
    definitions: ChainDefinitions = DEFINITIONS,
    chaos: Callable[[], Awaitable[None]] = nothing,
) -> Pipeline:
    """Process these partitions of a log to their end, in random chunks and batches, assigning again when fenced.

    Args:
        chaos: called between chunks.
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
            await _read_to_end(pipeline, {p: log[p] for p in mine}, rng, chaos)
            done = True
    await pipeline.stop()
    return pipeline


async def _read_to_end(pipeline: Pipeline, log: Log, rng: random.Random, chaos: Callable[[], Awaitable[None]]) -> None:
    position = await pipeline.assign(list(log))
    left = {p: [record for record in log[p] if record[0] >= position[p]] for p in log}
    while waiting := [p for p in left if left[p]]:
        partition = rng.choice(waiting)
        size = rng.choice([1, 3, 20, 60])
        chunk, left[partition] = left[partition][:size], left[partition][size:]
        await pipeline.put(partition, chunk)
        await chaos()
    await pipeline.drain()
