"""What faults and a ledger cost beside the clean stream, measured in turns with it; and how fast a file is verified."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from functools import partial

from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.chains.faults import KINDS, Fault
from eventbus.chains.verification import verify
from tests.bench.table import Row, best_rate

CHAINS = 200_000
ROUNDS = 3
CLEAN = "the clean stream"


def rows() -> Iterator[Row]:
    """Copies of the bytes are made in all of them, as a file would need."""
    mixes = {
        "faults: one kind, 1 %": [Fault(kind="late", rate=0.01)],
        "faults: all kinds, 0.1 % each": [Fault(kind=kind, rate=0.001) for kind in KINDS],
        "faults: all kinds, 1 % each": [Fault(kind=kind, rate=0.01) for kind in KINDS],
    }
    works: dict[str, Callable[[], int]] = {name: partial(faulty, mix) for name, mix in mixes.items()}
    works["clean, with a ledger"] = partial(faulty, [], ledger=True)
    works["faults: all kinds, 1 % each, with a ledger"] = partial(
        faulty, mixes["faults: all kinds, 1 % each"], ledger=True
    )
    found = [[best_rate(work, repeat=1) for work in (clean, *works.values())] for _ in range(ROUNDS)]
    baseline, *rates = map(max, zip(*found, strict=True))
    for name, rate in zip(works, rates, strict=True):
        yield Row(name, rate, baseline, CLEAN, target="≥ 0.6" if "ledger" in name else "≥ 0.7")
    few, many = (best_rate_of_the_ledger(sessions) for sessions in (1_000, 40_000))
    yield Row("ledger alone, 40,000 sessions in flight", many, few, "1,000 in flight", target="≥ 0.7")
    yield Row("verify, one core", best_rate(verified(), repeat=2))


def clean() -> int:
    return sum(len(block) for block in ChainGenerator(seed=7).blocks(chains=CHAINS) if bytes(block.buffer))


def faulty(faults: list[Fault], *, ledger: bool = False) -> int:
    generator = ChainGenerator(seed=7)
    with open(os.devnull, "wb") as book:
        stage = generator.injector(faults, book if ledger else None)
        return sum(len(block) for block in stage.blocks(generator.blocks(chains=CHAINS)) if block.buffer)


def best_rate_of_the_ledger(sessions: int) -> float:
    """Events per second that the ledger records, while this many sessions are in flight, each for about 150 s."""
    best = 0.0
    for _ in range(ROUNDS):
        generator = ChainGenerator(Catalog.default().only("visitor-session"), seed=1, rate=sessions / 150)
        injector, events, seconds = generator.injector(ledger=io.BytesIO()), 0, 0.0
        for block in generator.blocks(duration=max(600, 600_000 / sessions)):
            begin = time.process_time()
            injector.inject(block, 0)
            seconds += time.process_time() - begin
            events += len(block)
        best = max(best, events / seconds)
    return best


def verified() -> Callable[[], int]:
    generator = ChainGenerator(seed=7)
    lines = [line for some in generator.lines(chains=CHAINS // 10) for line in some]
    return lambda: verify(lines, generator.catalog).events
