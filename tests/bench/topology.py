"""What chains cost that branch, try again and undo: the order of the guide, among the shipped chains and alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from tests.acceptance.manual import FILES
from tests.bench.table import Row, best_rate

CHAINS = 60_000
ROUNDS = 5
SHARE = 0.027
"""Of chains, so that 8.5 % of the events are theirs: an order has three times as many as a shipped chain."""


def rows() -> Iterator[Row]:
    """Rates of mixes, measured in turns with the shipped catalog."""
    every = orders()
    shipped = Catalog.default()
    total = sum(chain.weight for chain in shipped.chains.values())
    some = every.with_weights({"order": total * SHARE / (1 - SHARE)})
    generators = [ChainGenerator(catalog, seed=7) for catalog in (shipped, some, every.only("order"))]
    works = [partial(events, generator) for generator in generators]
    found = [[best_rate(work, repeat=1) for work in works] for _ in range(ROUNDS)]
    lines, mixed, alone = (max(rates) for rates in zip(*found, strict=True))
    yield Row("8.5 % of events from forking chains", mixed, lines, "the shipped catalog", target="≥ 0.8")
    yield Row("all events from forking chains", alone, lines, "the shipped catalog")


def events(generator: ChainGenerator) -> int:
    return sum(map(len, generator.blocks(chains=CHAINS)))


def orders() -> Catalog:
    """The shipped catalog and the guide's order."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "order.yaml"
        file.write_text(FILES["order.yaml"])
        return Catalog.load(file)
