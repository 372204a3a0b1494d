"""Events in each format, beside the JSON event, measured in turns with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from chains import ChainGenerator
from chains.formats import CLOUDEVENTS, CLOUDEVENTS_BINARY, JSON, Layout
from tests.bench.generator import in_turns
from tests.bench.table import Row

CHAINS = 60_000
LAYOUTS: dict[str, Layout] = {"CloudEvents, structured": CLOUDEVENTS, "CloudEvents, binary": CLOUDEVENTS_BINARY}


def rows() -> Iterator[Row]:
    """Blocks of bytes, then Kafka records."""
    for what, work in (("blocks", blocks), ("Kafka records", records)):
        rates, baseline = in_turns([work(layout) for layout in LAYOUTS.values()], work(JSON))
        for name, rate in zip(LAYOUTS, rates, strict=True):
            yield Row(f"{name}, {what}", rate, baseline, "JSON events", target="≥ 0.7")


def blocks(layout: Layout) -> Callable[[], int]:
    return lambda: sum(map(len, ChainGenerator(seed=7).blocks(chains=CHAINS, layout=layout)))


def records(layout: Layout) -> Callable[[], int]:
    return lambda: sum(map(len, ChainGenerator(seed=7).records(chains=CHAINS, layout=layout)))
