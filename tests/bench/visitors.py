"""How fast sessions of visitors are made, beside `orjson.dumps` of ready dicts equal to their events, in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import orjson

from eventbus.catalog import Catalog
from eventbus.catalog.event_probabilities import with_probabilities
from eventbus.catalog.model import Behaviour
from eventbus.chains import ChainGenerator
from tests.bench.generator import DICTS, dumps, in_turns
from tests.bench.table import Row

SESSIONS = 40_000
NAME = "visitor-session"
VISITORS = Catalog.default()
SHARES = {
    "session_start": 0.05,
    "session_end": 0.05,
    "page_visit": 0.25,
    "page_close": 0.20,
    "button_click": 0.40,
    "link_click": 0.05,
}


def rows() -> Iterator[Row]:
    """Sessions of each kind, as blocks of bytes to nowhere."""
    works = {
        "sessions of the site": VISITORS,
        "sessions of the shop": VISITORS.with_visitors(journeys="shop"),
        "sessions in which nobody waits": VISITORS.with_visitors(behaviour=Behaviour(human_like_delays=False)),
        "sessions with shares of the stream": with_probabilities(VISITORS, SHARES),
    }
    sample = [orjson.loads(line) for lines in generator(VISITORS).lines(chains=SESSIONS // 20) for line in lines]
    rates, baseline = in_turns([work(catalog) for catalog in works.values()], dumps(sample))
    for name, rate in zip(works, rates, strict=True):
        yield Row(name, rate, baseline, DICTS, target="≥ 0.6" if name == "sessions of the site" else "")


def generator(catalog: Catalog) -> ChainGenerator:
    return ChainGenerator(catalog.only(NAME), seed=7)


def work(catalog: Catalog) -> Callable[[], int]:
    return lambda: sum(map(len, generator(catalog).blocks(chains=SESSIONS)))
