"""Random access: a stretch of time, or one chain, without what came before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.catalog import Catalog, Fixed, Uniform
from eventbus.chains import Block, ChainGenerator, InvalidSetting
from eventbus.chains.arrivals.process import MARK_EVERY, OpenArrivalProcess, RunBounds
from eventbus.chains.simulation.policy import TransitionPolicy
from eventbus.chains.table import EventTable
from eventbus.event import Event, microseconds
from tests.unit.chains.catalogs import catalog_of, catalogs, chain, state, two_steps, way

LOOPING = Catalog.default().with_weights({"pattern-discovery": 15, "compliance-validation": 15})


def lines(*blocks: Block) -> list[bytes]:
    return [line for block in blocks for some in block.lines() for line in some]


def window(generator: ChainGenerator, since: datetime | None, until: datetime | None, **bounds: float) -> list[bytes]:
    return [line for block in generator.window(since, until, **bounds) for line in lines(block)]  # type: ignore[arg-type]


def within(events: list[Event], since: datetime | None, until: datetime | None) -> list[bytes]:
    """The slow and obvious way: make everything, keep some."""
    kept = (e for e in events if (since is None or e.timestamp >= since) and (until is None or e.timestamp < until))
    return [event.to_bytes() for event in kept]


@given(
    catalog=st.one_of(st.just(LOOPING), catalogs()),
    rate=st.sampled_from([0.5, 20.0, 1e6]),
    block=st.sampled_from([None, 1, 7]),
    edges=st.tuples(*[st.none() | st.floats(-0.2, 1.2)] * 2),
)
@settings(max_examples=40, deadline=None)
def test_a_window_is_a_slice_of_the_run(
    catalog: Catalog, rate: float, block: int | None, edges: tuple[float | None, float | None]
) -> None:
    """Whatever the catalog, with loops and long delays, and wherever the window lies: the bytes are the run's."""
    generator = ChainGenerator(catalog, seed=7, rate=rate, block=block)
    run = list(generator.events(chains=60))
    took = run[-1].timestamp - run[0].timestamp
    since, until = (None if edge is None else run[0].timestamp + took * edge for edge in edges)
    assert window(generator, since, until, chains=60) == within(run, since, until)


@pytest.mark.parametrize("chain", [MARK_EVERY - 1, MARK_EVERY, MARK_EVERY + 1, 2 * MARK_EVERY, 50_000])
def test_windows_around_remembered_arrivals(chain: int) -> None:
    """A window that begins at, just before or just behind a chain has, or has not, that chain's first event."""
    generator = ChainGenerator(two_steps(delay=1000.0), seed=3, rate=100)
    (root, _) = generator.chain(index=chain)
    instant = timedelta(microseconds=1)
    assert window(generator, root.timestamp, root.timestamp + instant) == [root.to_bytes()]
    assert root.to_bytes() in window(generator, root.timestamp - instant, root.timestamp + instant)
    assert root.to_bytes() not in window(generator, root.timestamp + instant, root.timestamp + timedelta(seconds=1))


def test_windows_put_together_are_the_run() -> None:
    """Consecutive windows have every event once."""
    generator = ChainGenerator(LOOPING, seed=5, rate=50)
    cuts = [None, *(generator.start + timedelta(seconds=s) for s in range(0, 60, 7)), None]
    pieces = [window(generator, *cuts[i : i + 2], duration=40) for i in range(len(cuts) - 1)]
    assert [line for piece in pieces for line in piece] == [e.to_bytes() for e in generator.events(duration=40)]


def test_a_window_needs_no_bound() -> None:
    """A window far into an endless run ends, and comes without the millions of chains before it."""
    generator = ChainGenerator(seed=7, rate=10)
    since = generator.start + timedelta(days=30)
    tables = [block.table for block in generator.window(since, since + timedelta(seconds=10))]
    events = EventTable.concatenate(tables)
    assert 150 < len(events) < 350
    assert 25.9e6 < events.chain.min() <= events.chain.max() < 25.95e6
    assert microseconds(since) <= events.time[0] <= events.time[-1] < microseconds(since) + 10_000_000


@pytest.mark.parametrize("bounds", [{"chains": 20}, {"duration": 2.0}, {"chains": 10**9, "duration": 2.0}])
def test_a_window_beyond_the_run_is_empty(bounds: dict[str, float]) -> None:
    """The bounds of the run hold in its windows, and a window behind the end is found empty at once."""
    generator = ChainGenerator(seed=7, rate=10)
    for year in (2199, 9999):
        assert window(generator, datetime(year, 1, 1, tzinfo=UTC), None, **bounds) == []
    assert window(generator, None, generator.start, **bounds) == []


def test_a_chain_alone_is_as_in_the_run() -> None:
    """The lines of chain k alone are those that the run has of it."""
    generator = ChainGenerator(LOOPING, seed=2, rate=100)
    run = list(generator.events(chains=500))
    roots = [event for event in run if event.causation_id is None]
    for index in (0, 1, 15, 16, 17, 499):
        root = roots[index]
        assert lines(generator.alone(index)) == [e.to_bytes() for e in run if e.correlation_id == root.event_id]


def test_times_without_a_zone_are_refused() -> None:
    """A naive time could mean two instants."""
    with pytest.raises(InvalidSetting, match="a time with a zone"):
        ChainGenerator().window(datetime(2026, 1, 1))
    with pytest.raises(InvalidSetting, match="at least 0, got -1"):
        ChainGenerator().alone(-1)


def test_the_span_of_a_chain() -> None:
    """The longest way counts, a loop as often as `max_steps` allows."""
    ways = chain(
        "ways",
        state("a", way("b", Fixed(value=5)), way("c", Uniform(minimum=1, maximum=9))),
        state("b", way("c", Fixed(value=2))),
        state("c"),
    )
    loop = chain("loop", state("a", way("a", 100.0), way("b", 7.0)), state("b"), max_steps=5)
    assert (TransitionPolicy(ways).span(), TransitionPolicy(loop).span()) == (9000, 307_000)


@given(catalog=catalogs())
@settings(max_examples=20, deadline=None)
def test_no_chain_lasts_longer_than_its_span(catalog: Catalog) -> None:
    """The bound that windows rely on."""
    generator = ChainGenerator(catalog)
    longest = max(TransitionPolicy(one).span() for one in catalog.chains.values())
    longest_chains = [int((block.table.time - block.table.began).max()) for block in generator.blocks(chains=50)]
    assert 0 <= max(longest_chains) <= longest


def test_only_chains_that_may_last_are_looked_at() -> None:
    """A kind of chain that may last for hours makes no window look at the hours of all the others."""
    slow = chain("slow", state("x", way("y", 3_600_000.0)), state("y"), weight=1)
    quick = chain("quick", state("a", way("b", 1.0)), state("b"), weight=999)
    generator = ChainGenerator(catalog_of(slow, quick), rate=100)
    since = generator.start + timedelta(hours=2)
    stream = generator._stream(generator._plan)
    arrivals = stream._engine._arrivals
    assert isinstance(arrivals, OpenArrivalProcess)
    first = arrivals.first_since(microseconds(since) - 3_600_000_000, RunBounds())
    begins = arrivals.arrivals(first, 100_000) // 1000
    looked_at = stream._engine.expand(np.arange(first, first + 100_000), begins, microseconds(since))
    assert 0 < len(looked_at) < 500
