"""In a phase chains fail more often and take longer, by as much as it says, and nothing else changes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventbus import Event
from eventbus.catalog import Catalog, Chain, Exponential, Fixed, LogNormal, Uniform, UnknownName
from eventbus.catalog.model import CausedChain, Fork, JoinRule, Phase, Target, scale
from eventbus.chains import ChainGenerator, InvalidSetting
from tests.unit.chains.catalogs import catalog_of, chain, state, way

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
