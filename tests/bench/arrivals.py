"""What it costs to begin chains in other ways than at a constant rate, and how punctually a paced run keeps to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from eventbus import InProcessBus
from eventbus.catalog import Uniform
from eventbus.catalog.model import Arrivals, ClosedWorkload, ConstantRate, OpenWorkload, Profile, Spacing, Stage, Stages
from eventbus.catalog.reading.arrivals import load_profile
from eventbus.chains import ChainGenerator
from tests.bench.table import Row, best_rate

CHAINS = 100_000
ROUNDS = 3
PACED, SECONDS = 10_000, 5
"""Events per second, for how long."""

EVERY_MINUTE = Stages(stages=(Stage(duration=30, begin=0, end=200), Stage(duration=30, begin=200, end=0)), repeat=True)
BERLIN = Profile(hours=load_profile("visitors").hours, per_day=5_000_000, time_zone="Europe/Berlin")
MODELS: dict[str, Arrivals] = {
    "gamma spacing": OpenWorkload(rate=ConstantRate(rate=100), spacing=Spacing(name="gamma", cv=3)),
    "even spacing": OpenWorkload(rate=ConstantRate(rate=100), spacing=Spacing(name="even")),
    "stages, rising and falling each minute": OpenWorkload(rate=EVERY_MINUTE),
    "profile, 5 M chains a day": OpenWorkload(rate=BERLIN),
    "profile, 221 chains a day": OpenWorkload(rate=load_profile("visitors")),
    "1,000 users": ClosedWorkload(users=1000, think=Uniform(minimum=2000, maximum=15_000), ramp_up=60),
    "10 users": ClosedWorkload(users=10, think=Uniform(minimum=2000, maximum=15_000), ramp_up=60),
}


def rows() -> Iterator[Row]:
    """Each model beside a constant rate, measured in turns; then lags."""
    works = [partial(blocks, model) for model in (None, *MODELS.values())]
    constant, *others = best_of_turns(works)
    for name, rate in zip(MODELS, others, strict=True):
        yield Row(name, rate, constant, "constant rate", target="" if "users" in name or "221" in name else "≥ 0.9")
    sleeper = asyncio.run(sleeper_p99_ms())
    paced = asyncio.run(paced_p99_ms())
    yield Row(
        f"lag p99 of {PACED:,} events/s paced into the bus", paced, sleeper, "lag p99 of mere sleeping", "ms", "< 5"
    )


def best_of_turns(works: Sequence[Callable[[], int]]) -> list[float]:
    found = [[best_rate(work, repeat=1) for work in works] for _ in range(ROUNDS)]
    return [max(rates) for rates in zip(*found, strict=True)]


def blocks(model: Arrivals | None, chains: int = CHAINS) -> int:
    return sum(len(block) for block in ChainGenerator(seed=7, rate=100, arrivals=model).blocks(chains=chains))


async def paced_p99_ms() -> float:
    generator = ChainGenerator(seed=7)
    per_chain = sum(len(block) for block in generator.blocks(chains=500)) / 500
    model = OpenWorkload(rate=ConstantRate(rate=PACED / per_chain), spacing=Spacing(name="even"))
    async with InProcessBus() as bus:
        return (await generator.run(bus, arrivals=model, duration=SECONDS)).lag_p99_ms


async def sleeper_p99_ms() -> float:
    """How late a loop wakes that does nothing but wait: what the machine adds to any lag."""
    lags = []
    deadline = time.perf_counter()
    for _ in range(SECONDS * 1000):
        deadline += 0.001
        await asyncio.sleep(max(0.0, deadline - time.perf_counter()))
        lags.append(time.perf_counter() - deadline)
    return sorted(lags)[len(lags) * 99 // 100] * 1000
