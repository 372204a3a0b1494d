"""How fast a catalog is learned from a recording, beside reading the recording's JSON alone."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from eventbus.chains import ChainGenerator
from eventbus.chains.learning import learn
from tests.bench.table import Row, best_rate

CHAINS, TOGETHER = 60_000, 4000
ROUNDS = 3


def rows() -> Iterator[Row]:
    """Measured in turns."""
    lines = [line for some in ChainGenerator(seed=7).lines(chains=CHAINS) for line in some]
    batches = [lines[first : first + TOGETHER] for first in range(0, len(lines), TOGETHER)]

    def learned() -> int:
        learn(batches)
        return len(lines)

    def read() -> int:
        for line in lines:
            orjson.loads(line)
        return len(lines)

    found = [(best_rate(learned, repeat=1), best_rate(read, repeat=1)) for _ in range(ROUNDS)]
    ours, baseline = map(max, zip(*found, strict=True))
    yield Row("learn a catalog, one core", ours, baseline, "orjson.loads alone")
