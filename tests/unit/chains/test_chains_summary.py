"""What is counted while a run goes by, and that the counts add up."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.bus import EventBus
from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.chains.pacing.observers import Digest
from eventbus.chains.pacing.statistics import QUARTER, LagHistogram, QuarterHours, TimeBins
from eventbus.chains.pacing.summary import EVENTS, RunSummary
from eventbus.chains.table import SECOND
from eventbus.event import microseconds
from tests.unit.chains.clocks import ManualClock
from tests.unit.chains.listbus import ListBus

START = datetime(2026, 1, 1, tzinfo=UTC)


def counted(generator: ChainGenerator, **extent: float) -> RunSummary:
    summary = generator.summary()
    for block in generator.blocks(**extent):  # type: ignore[arg-type]
        summary.add(block.table)
    return summary


def test_types_and_chains_are_those_of_the_events() -> None:
    """Counting columns gives what counting decoded events gives."""
    generator = ChainGenerator(seed=3)
    summary, events = counted(generator, chains=500), list(generator.events(chains=500))
    assert summary.types() == Counter(event.event_type for event in events)
    assert list(summary.types().values()) == sorted(summary.types().values(), reverse=True)
    assert sum(summary.types().values()) == summary.events == len(events)
    assert sum(chain.begun for chain in summary.chains().values()) == 500
    assert summary.over_time.counts.sum(axis=1).tolist() == [len(events), 500, summary.outcomes()["failed"]]
    states = [state for chain in generator.catalog.chains.values() for state in chain.states.values()]
    ends = {state.emits: str(state.outcome) for state in states if not state.next}
    assert summary.outcomes() == Counter(ends[event.event_type] for event in events if event.event_type in ends)
    assert all(chain.active == 0 for chain in summary.chains().values())


FORKED = """
events:
  shop.order.placed.v1: {source: shop}
  shop.order.paid.v1: {source: pay}
  shop.order.packed.v1: {source: stock}
  shop.order.shipped.v1: {source: shop}
  shop.order.lost.v1: {source: shop}
  shop.mail.asked.v1: {source: mail}
  shop.mail.failed.v1: {source: mail}
chains:
  order:
    weight: 60
    start: placed
    states:
      placed:
        emits: shop.order.placed.v1
        causes: [{chain: mail, weight: 40, delay: {uniform: [5, 900]}}]
        fork:
          branches: [{to: paid, delay: {uniform: [10, 100]}}, {to: packed, delay: {uniform: [10, 60]}}]
          join: {to: sent, delay: {fixed: 100}}
      paid: {emits: shop.order.paid.v1}
      packed: {emits: shop.order.packed.v1}
      sent:
        emits: shop.order.shipped.v1
        abandon: 30
        next: [{to: lost, weight: 70, delay: {fixed: 10}}]
      lost: {emits: shop.order.lost.v1, outcome: failed}
  mail:
    weight: 40
    start: asked
    states:
      asked: {emits: shop.mail.asked.v1, next: [{to: failed, weight: 100, delay: {fixed: 300}}]}
      failed: {emits: shop.mail.failed.v1, outcome: failed}
"""


def test_chains_end_as_the_ledger_says(tmp_path: Path) -> None:
    """Forks, abandoned chains, and chains that others cause: each chain is counted once, by its own outcome."""
    path, ledger = tmp_path / "shop.yaml", io.BytesIO()
    path.write_text(FORKED)
    generator = ChainGenerator(Catalog.load(path, extend=False), seed=5)
    for _ in generator.injector([], ledger).blocks(generator.blocks(chains=600)):
        pass
    records = [json.loads(line) for line in ledger.getvalue().splitlines()]
    told = Counter((one["chain"], one["outcome"]) for one in records if one["record"] == "chain")
    chains = counted(generator, chains=600).chains()
    assert told == {(name, out): n for name, chain in chains.items() for out, n in chain.outcomes.items()}
    assert told["order", "abandoned"] > 50
    assert all(chain.begun == chain.ended == chain.outcomes.total() for chain in chains.values())


def test_durations_are_from_the_first_event_to_the_last() -> None:
    """The longest chain is the longest in the histogram, to the microsecond."""
    generator = ChainGenerator(seed=3)
    spans: dict[str, list[int]] = {}
    for event in generator.events(chains=300):
        spans.setdefault(event.correlation_id, []).append(microseconds(event.timestamp))
    longest = max(max(times) - min(times) for times in spans.values())
    found = counted(generator, chains=300).chains().values()
    assert max(chain.durations.maximum for chain in found) == longest
    assert sum(sum(bar[2] for bar in chain.durations.bars()) for chain in found) == 300


def test_a_run_that_is_going_on_has_active_chains() -> None:
    """What has begun is active, completed or failed."""
    generator = ChainGenerator(seed=3, rate=100)
    summary = generator.summary()
    block = next(iter(generator.blocks(chains=2000)))
    summary.add(block.table[: len(block) // 2])
    for chain in summary.chains().values():
        assert chain.begun == chain.active + chain.outcomes.total() == chain.active + chain.ended
    assert any(chain.active for chain in summary.chains().values())


@given(
    gaps=st.lists(st.integers(0, 10**6), max_size=200),
    cuts=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    width=st.sampled_from([1, 7, 1000]),
)
@settings(deadline=None)
def test_bins_lose_nothing_and_stay_few(gaps: list[int], cuts: list[int], width: int) -> None:
    """However far times reach and however they are handed over, each is in the bin of its time."""
    times = np.cumsum(np.array(gaps, np.int64)) + 5
    bins, begin = TimeBins(width, 8), 0
    for cut in [*cuts, len(gaps)]:
        bins.add(times[begin : begin + cut])
        begin += cut
    expected = Counter(((times - (bins.origin or 0)) // bins.width).tolist()) if gaps else Counter()
    assert bins.counts[0].tolist() == [expected[number] for number in range(max(expected, default=-1) + 1)]
    assert bins.counts.size <= 8
    assert bins.width == width or bins.counts.size > 4


def test_counts_at_one_time_are_in_the_same_bins() -> None:
    """`count` and `add` agree."""
    one, other = TimeBins(10, 4), TimeBins(10, 4)
    for time, number in ((3, 2), (15, 1), (90, 4), (91, 0)):
        one.count(number, time)
        other.add(np.full(number, time))
    assert one.counts.tolist() == other.counts.tolist()


def test_rows_share_their_bins() -> None:
    """What is counted in one row widens the bins of all."""
    bins = TimeBins(10, 4, rows=2)
    bins.add(np.array([0, 15, 35]))
    bins.count(2, 12, row=1)
    bins.add(np.array([45, 70]), row=1)
    assert bins.counts.tolist() == [[2, 1, 0, 0], [2, 0, 1, 1]]
    assert (bins.width, bins.last) == (20, 70)


def test_quarters_of_an_hour() -> None:
    """Each arrival is in its quarter since 1970."""
    quarters = QuarterHours()
    quarters.add(np.array([0, QUARTER - 1, QUARTER, 5 * QUARTER]))
    quarters.add(np.array([], np.int64))
    quarters.add(np.array([5 * QUARTER + SECOND]))
    assert quarters.counts == {0: 2, 1: 1, 5: 2}


@given(lags=st.lists(st.integers(0, 10**12), min_size=1, max_size=60))
@settings(deadline=None)
def test_bars_hold_each_value_between_their_bounds(lags: list[int]) -> None:
    """The bars of a chart follow each other without a gap, and each value is in its own."""
    histogram = LagHistogram()
    histogram.add(np.array(lags))
    bars = histogram.bars()
    assert [bar[0] for bar in bars[1:]] == [bar[1] for bar in bars[:-1]]
    assert [bar[2] for bar in bars] == [sum(low <= lag < high for lag in lags) for low, high, _ in bars]


def test_no_value_no_bar() -> None:
    """An empty histogram has no bars."""
    assert LagHistogram().bars() == []


@pytest.mark.parametrize("speed", [1.0, 60.0, math.inf])
async def test_the_same_start_gives_the_same_hash_at_any_speed(speed: float) -> None:
    """A paced run from a fixed start publishes what `blocks` makes from there, byte for byte and in the same order."""
    clock, digest = ManualClock(), Digest()
    generator = ChainGenerator(seed=3, rate=20, start=START)
    whole = hashlib.sha256(b"".join(bytes(block.buffer) for block in generator.blocks(duration=30)))
    summary = generator.summary()
    run = await generator.run(
        cast(EventBus, ListBus(clock)), initial_chains=0, rate=20, duration=30, speed=speed, start=START, clock=clock,
        observers=[digest, summary],
    )  # fmt: skip
    assert digest.hexdigest() == whole.hexdigest()
    assert run.lag_max_ms == 0
    assert summary.events == run.emitted == run.scheduled
    assert summary.outcomes().total() == run.chains_finished


async def test_observers_see_what_is_left_when_chains_are_dropped() -> None:
    """scheduled = emitted + dropped, and the types add up to what was emitted."""
    stalls = iter([0.0] * 5 + [30.0] + [0.0] * 10_000)
    clock = ManualClock()
    bus = ListBus(clock, lambda: clock.advance(next(stalls)))
    generator = ChainGenerator(seed=3)
    summary, digest = generator.summary(), Digest()
    run = await generator.run(
        cast(EventBus, bus), rate=20, duration=60, max_lag=1.0, clock=clock, observers=[summary, digest]
    )
    assert run.dropped > 0
    assert run.scheduled == run.emitted + run.dropped
    assert sum(summary.types().values()) == run.emitted == int(summary.over_time.counts[EVENTS].sum())
    assert sum(bar[2] for bar in summary.lags.bars()) == run.emitted
    assert (
        digest.hexdigest() == hashlib.sha256(b"".join(r.value + b"\n" for _, r in bus.records if r.value)).hexdigest()
    )


def test_large_and_small_texts_are_digested_in_order() -> None:
    """A second thread changes nothing."""
    digest, texts = Digest(), [b"a" * 10, b"b" * 200_000, b"c", b"d" * 300_000, b""]
    for text in texts:
        digest.add(text)
    assert digest.hexdigest() == hashlib.sha256(b"".join(texts)).hexdigest()
