"""Paced runs, by a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from eventbus import InProcessBus
from eventbus.bus import ColumnBus, EventBus
from eventbus.catalog import Catalog, Fixed
from eventbus.catalog.model import ClosedWorkload, ConstantRate, Fault, OpenWorkload, Profile, Spacing, Tenants
from eventbus.catalog.reading.arrivals import load_profile
from eventbus.chains import ChainGenerator, InvalidSetting, RunStatistics
from eventbus.chains.randomness import Integers
from eventbus.chains.stream import Engine
from eventbus.chains.table import EventTable
from eventbus.event import Event, microseconds
from tests.unit.chains.catalogs import two_steps
from tests.unit.chains.clocks import ManualClock
from tests.unit.chains.listbus import ListBus


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def bus(clock: ManualClock) -> ListBus:
    return ListBus(clock)


async def run(generator: ChainGenerator, bus: ListBus, **settings: object) -> RunStatistics:
    return await generator.run(cast(EventBus, bus), clock=bus.clock, **settings)  # type: ignore[arg-type]


async def test_each_event_is_published_when_its_time_has_come(bus: ListBus) -> None:
    """Twenty chains begin at once, then one every five seconds; every event at the moment of its timestamp."""
    start = bus.clock.now
    statistics = await run(ChainGenerator(seed=3), bus, duration=61)
    assert bus.published_at == [microseconds(one.timestamp) for one in bus.events]
    roots = [microseconds(one.timestamp) - start for one in bus.events if one.causation_id is None]
    assert roots == [0] * 20 + [n * 5_000_000 for n in range(1, 13)]
    assert statistics.chains == statistics.chains_finished == 32
    assert statistics.scheduled == statistics.emitted == len(bus.records)
    assert (statistics.late, statistics.dropped, statistics.lag_max_ms, statistics.chains_in_flight) == (0, 0, 0, 0)


async def test_speed_shrinks_the_waits_and_nothing_else(bus: ListBus) -> None:
    """At 60 times the speed a minute of events passes in a second, with the timestamps of the minute."""
    start = bus.clock.now
    await run(ChainGenerator(two_steps(), seed=3), bus, duration=60, speed=60)
    passed = [(at - start) / 1e6 for at in bus.published_at]
    shown = [(microseconds(one.timestamp) - start) / 60e6 for one in bus.events]
    assert passed == pytest.approx(shown, abs=2e-6)
    assert passed[-1] < 1.1


async def test_unlimited_speed_never_waits(bus: ListBus) -> None:
    """With infinite speed everything goes out at once, in order, and nothing is late, however long the bus takes."""
    bus.on_publish = lambda: bus.clock.advance(1)
    statistics = await run(ChainGenerator(seed=3), bus, rate=200, duration=60, speed=math.inf, max_lag=0.001)
    assert bus.clock.waits == 0
    times = [one.timestamp for one in bus.events]
    assert times == sorted(times)
    assert statistics.emitted == len(times) > 20_000
    assert (statistics.late, statistics.dropped, statistics.lag_p99_ms) == (0, 0, 0)


@pytest.mark.parametrize(
    "faults", [(), tuple(Fault(kind=kind, rate=0.05) for kind in ("duplicate", "drop", "tombstone"))]
)
async def test_columns_into_the_bus_are_the_records_that_others_get(bus: ListBus, faults: tuple[Fault, ...]) -> None:
    """The bus in process is given columns instead of records; its log is what any other bus was given."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    generator = ChainGenerator(seed=3)
    settings = {"rate": 50, "duration": 60, "speed": math.inf, "start": start, "faults": faults}
    await run(generator, bus, **settings)
    async with InProcessBus(partitions=1) as in_process:
        assert isinstance(in_process, ColumnBus)
        statistics = await generator.run(in_process, **settings)  # type: ignore[arg-type]
    published = defaultdict(list)
    for _, record in bus.records:
        published[record.topic].append((record.key, record.value, record.timestamp, record.headers))
    appended = defaultdict(list)
    for item in in_process.records():
        appended[item.topic].append((item.key, item.value, item.timestamp, item.given_headers))
    assert appended == published
    assert statistics.emitted == len(bus.records) > 5000


async def test_oversleeping_does_not_add_up(bus: ListBus) -> None:
    """Deadlines are absolute: a clock that wakes 3 ms late each time makes each event 3 ms late, not 3 ms more."""
    bus.clock.oversleep = 0.003
    statistics = await run(ChainGenerator(two_steps(delay=700.0)), bus, initial_chains=1, interval=1, duration=100)
    lags = [at - microseconds(one.timestamp) for at, one in zip(bus.published_at, bus.events, strict=True)]
    assert set(lags[1:]) == {3000}
    assert statistics.lag_max_ms == 3
    assert statistics.lag_p50_ms == pytest.approx(3, rel=0.02)


async def test_late_events_are_counted(bus: ListBus) -> None:
    """A bus that takes half a second makes events late; they are published all the same."""
    bus.on_publish = lambda: bus.clock.advance(0.5)
    statistics = await run(ChainGenerator(two_steps()), bus, initial_chains=3, interval=1, duration=5, late_after=0.2)
    assert statistics.emitted == statistics.late == len(bus.records)
    assert statistics.lag_max_ms >= 500
    assert statistics.dropped == 0


async def test_whole_chains_are_dropped_beyond_the_bound(bus: ListBus) -> None:
    """With `max_lag`, chains that would begin too late are left out as a whole, and the account closes."""
    stalls = iter([0.0] * 5 + [30.0] + [0.0] * 10_000)
    bus.on_publish = lambda: bus.clock.advance(next(stalls))
    generator = ChainGenerator(seed=3)
    statistics = await run(generator, bus, rate=20, duration=60, max_lag=1.0)
    assert generator._pacer is not None
    assert generator._pacer._dropped_chains.size == 0  # nothing is kept of them
    chains: dict[str, list[Event]] = {}
    for one in bus.events:
        chains.setdefault(one.correlation_id, []).append(one)
    assert all(events[0].causation_id is None for events in chains.values())
    assert statistics.chains == statistics.chains_finished == len(chains)
    assert 400 < statistics.chains_dropped < 700
    assert statistics.dropped > statistics.chains_dropped
    assert statistics.scheduled == statistics.emitted + statistics.dropped
    assert statistics.late < statistics.emitted


async def test_a_chain_that_began_in_time_is_finished(bus: ListBus) -> None:
    """Dropping looks at the beginning only: later events of a chain are never left out."""
    bus.on_publish = lambda: bus.clock.advance(10)
    statistics = await run(ChainGenerator(two_steps()), bus, initial_chains=4, interval=1000, duration=1, max_lag=1)
    assert statistics.emitted == 8
    assert statistics.dropped == 0


async def test_errors_of_the_bus_go_to_the_caller(bus: ListBus) -> None:
    """Nothing is swallowed, and what was acknowledged before is counted."""
    calls = iter(range(100))

    def fail_at_third() -> None:
        if next(calls) == 2:
            raise ConnectionError("gone")

    bus.on_publish = fail_at_third
    generator = ChainGenerator(two_steps())
    with pytest.raises(ConnectionError, match="gone"):
        await run(generator, bus, initial_chains=1)
    statistics = generator.statistics()
    assert (statistics.emitted, statistics.scheduled) == (2, 3)


async def test_cancellation_leaves_the_account_right(bus: ListBus) -> None:
    """A cancelled run stops at once; the statistics tell what the bus has acknowledged."""
    generator = ChainGenerator(seed=1)
    task = asyncio.create_task(run(generator, bus))
    while len(bus.records) < 100:
        await asyncio.sleep(0)
        assert generator.statistics().emitted <= len(bus.records)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    statistics = generator.statistics()
    assert statistics.emitted <= statistics.scheduled
    assert len(bus.records) - 20 <= statistics.emitted <= len(bus.records)
    assert statistics == generator.statistics()


async def test_other_tasks_run_even_without_waiting(bus: ListBus) -> None:
    """An endless run at unlimited speed leaves the loop to others between two batches."""
    generator = ChainGenerator(Catalog.default())
    task = asyncio.create_task(run(generator, bus, rate=1000, speed=math.inf))
    turns = 0
    while generator.statistics().emitted < 5000:
        await asyncio.sleep(0)
        turns += 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert turns >= 5


async def test_progress_is_reported(bus: ListBus) -> None:
    """Figures come while it runs, not for every batch, and at the end once more."""
    seen: list[RunStatistics] = []
    statistics = await run(ChainGenerator(seed=3), bus, rate=50, duration=10, on_progress=seen.append)
    assert 20 < len(seen) < 130
    assert [one.emitted for one in seen] == sorted(one.emitted for one in seen)
    assert seen[-1] == statistics
    assert statistics.elapsed == pytest.approx(10, abs=2.5)


async def test_arrivals_by_rate(bus: ListBus) -> None:
    """With a rate, chains begin at random after the initial ones, as many as it says."""
    statistics = await run(ChainGenerator(two_steps(), seed=3), bus, initial_chains=7, rate=30, duration=100)
    assert abs(statistics.chains - 7 - 3000) < 3 * 3000**0.5


async def test_topics_follow_the_strategy(bus: ListBus) -> None:
    """The records go to the topics of the strategy."""
    await run(ChainGenerator(two_steps()), bus, duration=1, topic_strategy="event_type")
    assert {record.topic for _, record in bus.records} == {"test.thing.asked.v1", "test.thing.answered.v1"}


async def test_the_machines_clock_serves_as_well() -> None:
    """Without a clock of one's own a run takes place now."""
    clock = ManualClock()
    bus = ListBus(clock)
    statistics = await ChainGenerator(two_steps(delay=1.0)).run(cast(EventBus, bus), initial_chains=3, duration=0.001)
    assert statistics.chains_finished == 3
    assert abs(microseconds(bus.events[0].timestamp) - clock.now) < 60_000_000


@pytest.mark.parametrize(
    "settings",
    [
        {"speed": 0},
        {"speed": math.nan},
        {"rate": 0},
        {"interval": 0},
        {"initial_chains": -1},
        {"max_lag": -1},
        {"max_lag": math.nan},
        {"late_after": -1},
        {"late_after": math.inf},
        {"duration": -1},
        {"duration": math.nan},
        {"topic_strategy": "domains"},
    ],
    ids=str,
)
async def test_bad_settings_are_refused(bus: ListBus, settings: dict[str, Any]) -> None:
    """Each is refused before anything is published."""
    with pytest.raises(InvalidSetting, match="expected"):
        await run(ChainGenerator(two_steps()), bus, **settings)
    assert not bus.records


POISSON = OpenWorkload(rate=ConstantRate(rate=50))


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"rate": 50, "arrivals": POISSON}, "rate and arrivals"),
        ({"rate": 50, "interval": 1}, "interval and rate"),
        ({"interval": 1, "arrivals": POISSON}, "interval and arrivals"),
        ({"interval": 1, "rate": 50, "arrivals": POISSON}, "interval and rate and arrivals"),
    ],
)
async def test_settings_of_a_run_that_contradict_each_other_are_refused(
    bus: ListBus, settings: dict[str, object], names: str
) -> None:
    """None of them is ignored in silence: the sentence names both."""
    with pytest.raises(InvalidSetting, match=f"^{names} contradict each other: expected one of them$"):
        await run(ChainGenerator(two_steps()), bus, **settings)
    assert not bus.records


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"rate": 50, "arrivals": POISSON}, "rate and arrivals"),
        ({"tenant_id": "a", "tenants": Tenants(count=2)}, "tenant_id and tenants"),
    ],
)
def test_settings_of_a_generator_that_contradict_each_other_are_refused(settings: dict[str, Any], names: str) -> None:
    """None of them is ignored in silence: the sentence names both."""
    with pytest.raises(InvalidSetting, match=f"^{names} contradict each other: expected one of them$"):
        ChainGenerator(two_steps(), **settings)


@pytest.mark.parametrize(
    ("own", "settings", "expected"),
    [
        ({"rate": 50}, {}, (0, 500)),
        ({"arrivals": POISSON}, {}, (0, 500)),
        ({"rate": 50}, {"initial_chains": 7}, (7, 507)),
        ({"rate": 50}, {"rate": 5}, (0, 50)),
        ({"arrivals": POISSON}, {"rate": 5}, (0, 50)),
        ({"rate": 50}, {"interval": 2.0}, (20, 24)),
        ({}, {"rate": 50}, (0, 500)),
        ({}, {"interval": 0.1}, (20, 119)),
        ({}, {}, (20, 21)),
    ],
)
async def test_chains_of_a_run_begin_as_the_run_says_or_else_as_the_generator_says(
    bus: ListBus, own: dict[str, Any], settings: dict[str, object], expected: tuple[int, int]
) -> None:
    """Ten seconds: how many chains begin at once, and altogether (within four standard deviations if by chance)."""
    began = bus.clock.now
    await run(ChainGenerator(two_steps(), seed=2, **own), bus, duration=10, **settings)
    roots = [at for at, one in zip(bus.published_at, bus.events, strict=True) if one.causation_id is None]
    initial, chains = expected
    assert roots.count(began) == initial
    by_chance = "rate" in settings or ("interval" not in settings and own)
    assert len(roots) == pytest.approx(chains, abs=4 * chains**0.5 if by_chance else 0)


def test_statistics_before_any_run() -> None:
    """All figures are 0."""
    assert ChainGenerator(two_steps()).statistics() == RunStatistics()


async def test_chains_that_begin_together_are_expanded_in_few_batches(
    bus: ListBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events are carried along until all earlier ones are known: many small batches would be quadratic work."""
    expand = Engine.expand
    batches: list[int] = []

    def counted(engine: Engine, chain: Integers, begins: Integers, since: int | None = None) -> EventTable:
        batches.append(len(begins))
        return expand(engine, chain, begins, since)

    monkeypatch.setattr(Engine, "expand", counted)
    statistics = await run(ChainGenerator(two_steps()), bus, initial_chains=20_000, interval=1000, duration=1)
    assert statistics.chains == 20_000
    assert sum(batches) >= 20_000
    assert len(batches) < 20


async def test_a_profile_is_followed_through_the_day(bus: ListBus) -> None:
    """From the present hour on, spread inside each hour, as many as its number says; nobody begins at once."""
    start = bus.clock.now = microseconds(datetime(2026, 3, 1, tzinfo=UTC))
    visitors = load_profile("visitors")
    generator = ChainGenerator(two_steps(), arrivals=OpenWorkload(rate=visitors, spacing=Spacing(name="even")))
    statistics = await run(generator, bus, duration=86_400)
    roots = [at - start for (at, one) in zip(bus.published_at, bus.events, strict=True) if one.causation_id is None]
    assert tuple(Counter(at // 3_600_000_000 for at in roots)[hour] for hour in range(24)) == visitors.hours[0]
    assert statistics.lag_max_ms == 0
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert generator.expected(noon, noon + timedelta(hours=2)) == pytest.approx(38)


async def test_after_a_pause_only_the_bound_is_caught_up_with(bus: ListBus) -> None:
    """Two hours asleep, with a bound of a minute: the chains of the last minute begin late, those before it never."""
    start = bus.clock.now = microseconds(datetime(2026, 3, 1, 9, tzinfo=UTC))
    pauses = iter([0.0] * 500 + [7200.0])
    bus.on_publish = lambda: bus.clock.advance(next(pauses, 0.0))
    profile = Profile(hours=((3600.0,) * 24,))
    model = OpenWorkload(rate=profile, spacing=Spacing(name="even"))
    statistics = await run(ChainGenerator(two_steps()), bus, arrivals=model, duration=3 * 3600, max_lag=60)
    roots = [(at, one) for at, one in zip(bus.published_at, bus.events, strict=True) if one.causation_id is None]
    late = [at - microseconds(one.timestamp) for at, one in roots if at > microseconds(one.timestamp)]
    assert max(late) <= 60_000_000
    assert len(late) <= 61
    assert statistics.chains_dropped == pytest.approx(7200 - 60, abs=3)
    per_second = Counter((at - start) // 1_000_000 for at, one in roots if at == microseconds(one.timestamp))
    assert max(per_second.values()) <= 2


async def test_users_begin_again_when_they_are_done(bus: ListBus) -> None:
    """One after the other at first, then each on their own; none at once."""
    users = ClosedWorkload(users=5, think=Fixed(value=900), ramp_up=5)
    start = bus.clock.now
    await run(ChainGenerator(two_steps(delay=100.0)), bus, arrivals=users, duration=30)
    roots = [at - start for (at, one) in zip(bus.published_at, bus.events, strict=True) if one.causation_id is None]
    assert roots[:15] == sorted(user * 1_000_000 + turn * 1_000_000 for user in range(5) for turn in range(5))[:15]
    assert len(roots) == 30 + 29 + 28 + 27 + 26
    with pytest.raises(InvalidSetting, match=r"initial_chains and users contradict each other: .* got 3"):
        await run(ChainGenerator(two_steps()), bus, arrivals=users, initial_chains=3)
