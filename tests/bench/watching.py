"""What it costs to look on at a run: counts and a hash, measured in turns with a run that nobody watches."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import cast

from eventbus.bus import EventBus
from eventbus.chains import ChainGenerator
from eventbus.chains.pacing.observers import Digest, Observer
from eventbus.event import Event
from eventbus.record import ProducerRecord
from tests.bench.table import Row, best_rate

CHAINS = 200_000
SECONDS = 60.0
ROUNDS = 5
UNWATCHED = "nobody watches"


class NullBus:
    """Takes everything."""

    async def publish_many(self, events: Iterable[Event | ProducerRecord]) -> int:
        await asyncio.sleep(0)
        return len(cast("Sequence[ProducerRecord]", events))


def rows() -> Iterator[Row]:
    """Records are made for a bus that takes them at once; blocks are copied, as a file would need."""
    yield from _compared(
        {
            "run, records into a null bus": partial(run, lambda _: []),
            "… with a census": partial(run, lambda generator: [generator.summary()]),
            "… with a census and a hash": partial(run, lambda generator: [generator.summary(), Digest()]),
        }
    )
    yield from _compared(
        {"blocks": partial(blocks, counted=False), "blocks, with a census": partial(blocks, counted=True)}
    )


def run(observers: Callable[[ChainGenerator], list[Observer]]) -> int:
    generator = ChainGenerator(seed=7)
    running = generator.run(
        cast(EventBus, NullBus()), rate=2000, duration=SECONDS, speed=math.inf, observers=observers(generator)
    )
    return asyncio.run(running).emitted


def blocks(*, counted: bool) -> int:
    generator = ChainGenerator(seed=7)
    census, size = generator.summary(), 0
    for block in generator.blocks(chains=CHAINS):
        size += len(block) if bytes(block.buffer) else 0
        if counted:
            census.add(block.table)
    return size


def _compared(works: dict[str, Callable[[], int]]) -> Iterator[Row]:
    found = [[best_rate(work, repeat=1) for work in works.values()] for _ in range(ROUNDS)]
    rates = list(map(max, zip(*found, strict=True)))
    for name, rate in list(zip(works, rates, strict=True))[1:]:
        yield Row(name, rate, rates[0], UNWATCHED, target="" if "hash" in name else "≥ 0.95")  # a hash needs a core
