"""Every shipped scenario generates what it promises, to the byte, whoever makes it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from catalog import Delay, Scenario, Transition
from catalog.delays import stretched
from chains import ChainGenerator, InvalidSetting
from chains.faults import Fault
from chains.scenarios import faults_of
from chains.verification.distribution import distance
from chains.verification.significance import chi_square, kolmogorov
from eventbus import Event

MICROSECOND = timedelta(microseconds=1)
SOON = 300.0
"""Seconds of each scenario that are made, where it lasts longer."""


def digest(name: str, *, workers: int = 1, block: int | None = None, **settings: Any) -> str:
    scenario = Scenario.load(name)
    made = ChainGenerator.from_scenario(scenario, block=block, **settings)
    found = hashlib.sha256()
    for one in made.blocks(duration=min(scenario.duration or SOON, SOON), workers=workers):
        found.update(one.buffer)
    return found.hexdigest()


@pytest.mark.parametrize("name", Scenario.names())
def test_a_scenario_has_the_same_bytes_for_any_number_of_workers(name: str) -> None:
    """One, two, four and eight processes, and blocks of any size; another seed is another run."""
    clean = digest(name)
    assert {digest(name, workers=workers) for workers in (2, 4, 8)} == {clean}
    assert digest(name, block=100) == clean
    assert digest(name, seed=1) != clean


@pytest.mark.parametrize("name", Scenario.names())
def test_a_scenario_says_what_it_is(name: str) -> None:
    """It has a description, comes to an end, and needs nothing that only its author has."""
    scenario = Scenario.load(name)
    assert scenario.description.endswith(".")
    assert scenario.duration
    assert scenario.arrivals
    assert not scenario.advanced.save_to_file


class Taken(NamedTuple):
    """What became of the chains that began in a stretch of an incident, at one state of them."""

    ways: dict[str, int]
    delays: dict[str, list[int]]


def taken(events: list[Event], state: str, since: float, until: float) -> Taken:
    """How often each event type follows that of a state, and after how many microseconds."""
    begun = min(event.timestamp for event in events)
    chains = defaultdict(list)
    for event in events:
        chains[event.correlation_id].append(event)
    found = Taken(defaultdict(int), defaultdict(list))
    for one in chains.values():
        if timedelta(seconds=since) <= one[0].timestamp - begun < timedelta(seconds=until):
            for before, after in pairwise(one):
                if before.event_type == state:
                    found.ways[after.event_type] += 1
                    found.delays[after.event_type].append((after.timestamp - before.timestamp) // MICROSECOND)
    return found


@pytest.mark.parametrize(("number", "since", "until"), [(None, 0, 180), (2, 300, 480), (5, 720, 900)])
def test_an_incident_fails_and_slows_down_as_much_as_it_says(number: int | None, since: int, until: int) -> None:
    """Shares by chi-square and delays by Kolmogorov-Smirnov, before it, at its height and after it."""
    scenario = Scenario.load("incident", ["arrivals.rate=60"])
    made = ChainGenerator.from_scenario(scenario, seed=5)
    events = list(made.events(duration=900))
    chain = scenario.catalog.chain("agent-execution")
    phase = scenario.phases[number] if number is not None else None
    started = chain.states["started"]
    ways = {chain.states[way.to].emits: way for way in started.next}
    found = taken(events, started.emits, since, until)
    weights = _weights(ways, phase.failed if phase else 1)
    total = sum(found.ways.values())
    counts, expected = zip(*((found.ways[name], total * weights[name]) for name in ways), strict=True)
    assert chi_square(counts, expected) > 1e-3
    for name, way in ways.items():
        delay: Delay = stretched(way.delay, phase.delay if phase else 1)
        sample = found.delays[name]
        assert kolmogorov(distance(sample, [(1, delay)]), len(sample)) > 1e-3


def _weights(ways: dict[str, Transition], failed: float) -> dict[str, float]:
    weights = {name: way.weight * (failed if ".failed." in name else 1) for name, way in ways.items()}
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def test_faults_of_a_scenario(tmp_path: Path) -> None:
    """They are the generator's own; a bound that is not given is that of the kind, as far as the other lets it."""
    path = tmp_path / "faults.yaml"
    path.write_text("faults: [{kind: late, rate: 0.1, max: 500ms}, {kind: drop, rate: 0.2, chain: vault-read}]")
    assert faults_of(Scenario.load(path)) == (
        Fault(kind="late", rate=0.1, bounds=(500_000, 500_000)),
        Fault(kind="drop", rate=0.2, chains=("vault-read",)),
    )


def test_settings_win_over_the_scenario(tmp_path: Path) -> None:
    """A rate takes the place of its arrivals, a seed of its seed; mistakes in them are those of a generator."""
    path = tmp_path / "one.yaml"
    path.write_text("seed: 5\narrivals: {users: 3}\n")
    assert ChainGenerator.from_scenario(path).seed == 5
    made = ChainGenerator.from_scenario(path, seed=6, rate=50)
    assert made.seed == 6
    assert [e.to_bytes() for e in made.events(chains=20)] == [
        e.to_bytes() for e in ChainGenerator(seed=6, rate=50).events(chains=20)
    ]
    with pytest.raises(InvalidSetting, match="rate"):
        ChainGenerator.from_scenario(path, rate=-1)
