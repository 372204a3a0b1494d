"""In a phase chains fail more often and take longer, by as much as it says, and nothing else changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from eventbus import Event
from eventbus.catalog import Catalog, Chain, Delay, Exponential, Fixed, LogNormal, Transition, Uniform, UnknownName
from eventbus.catalog.model import Backoff, CausedChain, Fork, JoinRule, Phase, Retry, Target, Timeout, scale
from eventbus.chains import ChainGenerator, InvalidSetting
from tests.unit.chains.catalogs import catalog_of, chain, state, way
from tests.unit.chains.topologies import topologies

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
INCIDENT = (Phase(at=60, failed=6, delay=3), Phase(at=120, failed=0, delay=1.5, chains=("work",)), Phase(at=180))


def work() -> Chain:
    """One in ten fails in the end; what is rejected, another tenth, always fails one step later."""
    return chain(
        "work",
        state("asked", way("done", 100, 80), way("failed", 200, 10), way("rejected", 300, 10)),
        state("rejected", way("failed", 100, 100)),
        state("done"),
        state("failed", failed=True),
    )


def catalog() -> Catalog:
    return catalog_of(work(), chain("other", state("begun", way("over", 50, 50), way("broken", 50, 50)),
                                    state("over"), state("broken", failed=True)))  # fmt: skip


def generator(phases: Sequence[Phase] = INCIDENT, **settings: Any) -> ChainGenerator:
    return ChainGenerator(catalog(), seed=7, rate=100, phases=phases, **settings)


def chains_of(made: ChainGenerator, duration: float) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for event in made.events(duration=duration):
        found.setdefault(event.correlation_id, []).append(event)
    return found


def share_of_failures(minute: int, name: str) -> tuple[int, int]:
    """Failures and chains of those that begin within a minute of the incident."""
    begun = [
        events
        for events in chains_of(generator(), 240).values()
        if events[0].event_type == f"test.thing.{name}.v1"
        and START + minute * MINUTE <= events[0].timestamp < START + (minute + 1) * MINUTE
    ]
    return sum(events[-1].event_type.split(".")[2] in ("failed", "broken") for events in begun), len(begun)


@pytest.mark.parametrize(
    ("minute", "name", "expected"),
    [
        (0, "asked", 20 / 100),
        (1, "asked", 120 / 200),
        (2, "asked", 0),
        (3, "asked", 20 / 100),
        (1, "begun", 300 / 350),
        (2, "begun", 1 / 2),
    ],
)
def test_the_ways_to_failure_weigh_as_many_times_more(minute: int, name: str, expected: float) -> None:
    """Some 3,000 chains a minute fail as often as the factor says, within three standard deviations."""
    failed, chains = share_of_failures(minute, name)
    assert chains > 2500
    assert abs(failed - chains * expected) <= 3 * (chains * expected * (1 - expected)) ** 0.5


def test_delays_are_as_many_times_longer_in_chains_that_begin_then() -> None:
    """A chain keeps to the phase in which it began, and the next phase to its own factor."""
    delays: dict[int, set[float]] = {}
    for first, second, *_ in chains_of(generator(), 240).values():
        if second.event_type == "test.thing.done.v1":
            minute = (first.timestamp - START) // MINUTE
            delays.setdefault(minute, set()).add((second.timestamp - first.timestamp) / timedelta(milliseconds=100))
    assert delays == {0: {1}, 1: {3}, 2: {1.5}, 3: {1}}


def test_what_begins_outside_phases_stays_as_it_is() -> None:
    """Events before the first phase, and of chains that no phase is about, have the same bytes."""
    plain = list(generator(()).lines(duration=59))
    assert [line for some in generator().lines(duration=59) for line in some] == [x for some in plain for x in some]


@pytest.mark.parametrize(("workers", "block"), [(2, None), (1, 1), (1, 100), (4, 1000)])
def test_phases_have_the_same_bytes_however_the_work_is_cut(workers: int, block: int | None) -> None:
    """Which phase a chain is in follows from when it begins, not from how events are made."""

    def digest(made: ChainGenerator, workers: int = 1) -> str:
        text = b"".join(bytes(one.buffer) for one in made.blocks(duration=200, workers=workers))
        return hashlib.sha256(text).hexdigest()

    assert digest(generator(block=block), workers) == digest(generator())


def test_any_part_of_a_run_with_phases_can_be_made_alone() -> None:
    """A window, a single chain, and the explanation of an event agree with the whole run."""
    made = generator()
    since, until = START + MINUTE, START + 2 * MINUTE
    whole = [line for some in made.lines(duration=240) for line in some]
    inside = [bytes(one.buffer) for one in made.window(since, until, duration=240)]
    assert b"".join(inside).splitlines() == [x for x in whole if since <= _time(x) < until]
    index = 9000  # begins in the second minute
    alone = made.chain(index=index)
    assert {event.to_bytes() for event in alone} <= set(whole)
    assert made.explain(alone[-1].event_id).index == index


def test_an_outcome_that_is_asked_for_holds_in_every_phase() -> None:
    """Also where failures are switched off, a failed chain can be had."""
    made = generator([Phase(at=0, failed=0, delay=2)])
    asked, *_, failed = made.chain("work", outcome="failed")
    assert failed.event_type == "test.thing.failed.v1"
    assert failed.timestamp - asked.timestamp in (timedelta(seconds=0.4), timedelta(seconds=0.8))


RETRIES = """
alone: true
domain: my.shop
source: shop
events: {my.shop.pay.requested.v1: {}, my.shop.pay.tried.v1: {}, my.shop.pay.undone.v1: {}, my.shop.pay.ended.v1: {}}
chains:
  pay:
    weight: 1
    start: requested
    states:
      requested: {emits: my.shop.pay.requested.v1, next: [{to: tried, delay: {fixed: 100}}]}
      tried:
        emits: my.shop.pay.tried.v1
        compensation: {state: undone, delay: {fixed: 70}}
        next:
          - to: tried
            retry:
              limit: 2
              backoff: {initial: 100, factor: 4, max: 300}
              else: {to: ended, delay: {fixed: 50}, compensate: true}
      undone: {emits: my.shop.pay.undone.v1}
      ended: {emits: my.shop.pay.ended.v1, outcome: %s}
"""


@pytest.mark.parametrize("factor", [1, 3])
def test_a_phase_reaches_retries_what_replaces_them_and_compensations(factor: int, tmp_path: Path) -> None:
    """Back-off with its maximum, `else` and what undoes a state take as many times longer as every other delay."""
    file = tmp_path / "retries.yaml"
    file.write_text(RETRIES % "failed", encoding="utf-8")
    made = ChainGenerator(Catalog.load(file, extend=False), phases=[Phase(at=0, delay=factor)]).chain()
    delays = [(later.timestamp - event.timestamp) / timedelta(milliseconds=1) for event, later in pairwise(made)]
    assert delays == [factor * delay for delay in (100, 100, 300, 70, 50)]


@given(catalog=topologies())
@settings(max_examples=40, deadline=None)
def test_a_phase_reaches_every_delay_of_a_chain(catalog: Catalog) -> None:
    """Whatever has a delay, wherever in a chain; only timeouts keep their time."""
    for original in catalog.chains.values():
        slowed = Phase(at=0, delay=2).apply(original)
        delays = [*parts(original.states, Delay)]
        assert len(delays) >= 1
        assert [*parts(slowed.states, Delay)] == [scale(delay, 2) for delay in delays]
        backoffs = [*parts(original.states, Backoff)]
        assert [backoff.delay(5) for backoff in parts(slowed.states, Backoff)] == [
            scale(backoff.delay(5), 2) for backoff in backoffs
        ]
        assert [*parts(slowed.states, Timeout)] == [*parts(original.states, Timeout)]


def parts(value: Any, kind: Any) -> Iterator[Any]:
    """All values of a type in nested dataclasses, tuples and mappings."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, Mapping):
        yield from (part for member in value.values() for part in parts(member, kind))
    elif isinstance(value, tuple):
        yield from (part for member in value for part in parts(member, kind))
    elif is_dataclass(value):
        yield from (part for field in fields(value) for part in parts(getattr(value, field.name), kind))


@pytest.mark.parametrize(("factor", "expected"), [(0, 0), (1, 0.1), (5, 50 / 140)])
def test_failures_weigh_more_where_success_is_what_replaces_a_retry(factor: float, expected: float) -> None:
    """A state that only `else` leads out of can still succeed."""
    again = Transition(
        to="tried",
        delay=Fixed(value=1),
        weight=100,
        retry=Retry(limit=2, otherwise=Target(to="done", delay=Fixed(value=1))),
    )
    only = catalog_of(
        chain(
            "pay",
            state("asked", way("tried", 1, 90), way("failed", 1, 10)),
            state("tried", again),
            state("done"),
            state("failed", failed=True),
        )
    )
    made = ChainGenerator(only, seed=3, phases=[Phase(at=0, failed=factor)])
    failed = sum(event.event_type == "test.thing.failed.v1" for event in made.events(chains=4000))
    assert failed / 4000 == pytest.approx(expected, abs=0.03 * (factor > 0))


@pytest.mark.parametrize("human", [True, False])
def test_visitors_take_as_many_times_longer(human: bool) -> None:
    """Sessions, pages and the time between clicks stretch; visitors who do not wait keep not waiting."""
    usual, slow = (lengths(human, *phases) for phases in ((), (Phase(at=0, delay=3),)))
    assert len(usual) == len(slow) == 200
    if human:
        assert sum(slow) / sum(usual) == pytest.approx(3, rel=0.1)
        assert max(slow) <= 3 * 600
        assert max(slow) > 600
    else:
        assert sum(slow) == pytest.approx(sum(usual), rel=0.01)


def lengths(human: bool, *phases: Phase) -> list[float]:
    """Seconds of 200 sessions, until the last event of the visitor; what it says about its length is true."""
    catalog = Catalog.default().only("visitor-session")
    session = catalog.chains["visitor-session"]
    assert session.visitors
    behaviour = replace(session.visitors.behaviour, human_like_delays=human)
    changed = replace(session, visitors=replace(session.visitors, behaviour=behaviour))
    catalog = replace(catalog, chains={**catalog.chains, session.name: changed})
    begun: dict[str, datetime] = {}
    lengths = []
    for event in ChainGenerator(catalog, seed=4, phases=phases).events(chains=200):
        begun.setdefault(event.correlation_id, event.timestamp)
        if event.event_type == session.states["ended"].emits:
            length = event.timestamp - begun[event.correlation_id]
            assert event.payload["duration_ms"] == length // timedelta(milliseconds=1)
            lengths.append(length.total_seconds())
    return lengths


def test_a_phase_that_makes_sessions_too_long_is_refused() -> None:
    """The session's length has to fit its field: the sentence names the chain, the factor and the bound."""
    with pytest.raises(
        InvalidSetting, match=r"session_duration of visitor-session, 30 times as long .* 14,400, got 18000"
    ):
        ChainGenerator(phases=[Phase(at=0, delay=30)])


def test_a_phase_reaches_forks_and_causes_and_leaves_what_is_given_up() -> None:
    """Branches and caused chains take longer; the share of walks that stop for no reason stays."""
    longer, slow = Fixed(value=20), Target(to="done", delay=Fixed(value=10))
    fork = Fork(branches=(slow,), join=slow, unless=(JoinRule(ended="failed", target=slow),))
    cause = CausedChain(chain="other", delay=Fixed(value=10), weight=5)
    asked = replace(state("asked", way("done", 10, 60), way("failed", 10, 20)), abandon=20, causes=(cause,))
    split = replace(state("split"), outcome=None, fork=fork)
    slowed = Phase(at=0, failed=3, delay=2).apply(
        chain("work", asked, split, state("done"), state("failed", failed=True))
    )
    assert [way.weight for way in slowed.states["asked"].next] == [40, 40]
    assert slowed.states["asked"].abandon == 20
    assert slowed.states["asked"].causes[0].delay == longer
    changed = slowed.states["split"].fork
    assert changed
    assert {way.delay for way in (*changed.branches, changed.join, changed.unless[0].target)} == {longer}


def test_every_kind_of_delay_is_stretched() -> None:
    """All of a delay's times are multiplied, and an open end stays open."""
    assert scale(Fixed(value=5), 2) == Fixed(value=10)
    assert scale(Uniform(minimum=1, maximum=3), 2) == Uniform(minimum=2, maximum=6)
    assert scale(Exponential(mean=4, minimum=1), 2) == Exponential(mean=8, minimum=2)
    longer = LogNormal(median=6, p95=18, minimum=3, maximum=90)
    assert scale(LogNormal(median=2, p95=6, minimum=1, maximum=30), 3) == longer


@pytest.mark.parametrize(
    "phases",
    [
        [Phase(at=-1)],
        [Phase(at=5), Phase(at=5)],
        [Phase(at=5), Phase(at=1)],
        [Phase(at=0, delay=0)],
        [Phase(at=0, failed=-1)],
        [Phase(at=0, failed=float("nan"))],
        [Phase(at=float("inf"))],
    ],
)
def test_phases_out_of_range_are_refused(phases: list[Phase]) -> None:
    """Moments rise from 0, delays stay above 0, and all numbers are finite."""
    with pytest.raises(InvalidSetting, match="expected"):
        generator(phases)


def test_a_phase_of_an_unknown_chain_is_refused() -> None:
    """A mistyped name would otherwise change nothing, in silence."""
    with pytest.raises(UnknownName, match="wrk"):
        generator([Phase(at=0, failed=2, chains=("wrk",))])


def _time(line: bytes) -> datetime:
    return Event.from_bytes(line).timestamp
