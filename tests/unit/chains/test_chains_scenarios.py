"""Every shipped scenario generates what it promises, to the byte, whoever makes it."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from eventbus import Event
from eventbus.catalog import Delay, Scenario, Transition
from eventbus.catalog.model import VISITOR_PREFIX, scale, short_name
from eventbus.catalog.reading.arrivals import load_profile
from eventbus.chains import ChainGenerator, InvalidSetting
from eventbus.chains.faults import Fault
from eventbus.chains.statistics import chi_square, kolmogorov, ks_distance

MICROSECOND = timedelta(microseconds=1)
OPENED = "page_visited", "page_closed"
SOON = 300.0
"""Seconds of each scenario that are made, where it lasts longer."""
NIGHT = 7200.0
"""The same of the scenario that begins at midnight, with a visitor each 20 minutes."""


def digest(name: str, *, workers: int = 1, block: int | None = None, **settings: Any) -> str:
    scenario = Scenario.load(name)
    made = ChainGenerator.from_scenario(scenario, block=block, **settings)
    found, size = hashlib.sha256(), 0
    seconds = NIGHT if name == "day-in-the-life" else SOON
    for one in made.blocks(duration=min(scenario.duration or seconds, seconds), workers=workers):
        found.update(one.buffer)
        size += len(one.buffer)
    assert size > 1000
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
        delay: Delay = scale(way.delay, phase.delay if phase else 1)
        sample = found.delays[name]
        assert kolmogorov(ks_distance(sample, [(1, delay)]), len(sample)) > 1e-3


def _weights(ways: dict[str, Transition], failed: float) -> dict[str, float]:
    weights = {name: way.weight * (failed if ".failed." in name else 1) for name, way in ways.items()}
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def test_faults_of_a_scenario(tmp_path: Path) -> None:
    """They are the generator's own; a bound that is not given is that of the kind, as far as the other lets it."""
    path = tmp_path / "faults.yaml"
    path.write_text("faults: [{kind: late, rate: 0.1, max: 500ms}, {kind: drop, rate: 0.2, chain: vault-read}]")
    assert Scenario.load(path).faults == (
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


class Session(NamedTuple):
    """What a visitor did, as their events tell."""

    begun: float
    """Seconds since the first event of all."""
    ended: float
    pages: int
    clicks: list[int]
    """On each page."""
    stays: list[float]
    """Seconds on each page."""


def sessions(name: str, duration: float) -> list[Session]:
    events, generator = defaultdict(list), ChainGenerator.from_scenario(name, seed=3)
    for event in generator.events(duration=duration):
        events[event.correlation_id].append(event)
    return [_session(one, generator.start) for one in events.values()]


def _session(events: list[Event], start: datetime) -> Session:
    kinds = [short_name(event.event_type) for event in events]
    clicks: list[int] = []
    for kind in kinds:
        if kind == "page_visited":
            clicks.append(0)
        elif kind in ("button_clicked", "link_clicked"):
            clicks[-1] += 1
    opened, closed = ([e.timestamp for e, k in zip(events, kinds, strict=True) if k == kind] for kind in OPENED)
    return Session(
        begun=(events[0].timestamp - start).total_seconds(),
        ended=(events[-1].timestamp - start).total_seconds(),
        pages=len(clicks),
        clicks=clicks,
        stays=[(b - a).total_seconds() for a, b in zip(opened, closed, strict=True)],
    )


def most_at_once(found: list[Session]) -> int:
    changes = sorted([(one.begun, 1) for one in found] + [(one.ended, -1) for one in found])
    return max(accumulate(change for _, change in changes))


class Bounds(NamedTuple):
    """What a scenario allows."""

    users: int
    """At once."""
    lasts: float
    """Seconds of a session."""
    pages: int
    stay: float
    """Seconds on a page."""
    clicks: int
    """On a page."""


BOUNDS = {
    "normal": Bounds(users=10, lasts=600, pages=15, stay=120, clicks=8),
    "browsing": Bounds(users=20, lasts=1800, pages=30, stay=180, clicks=15),
    "quick-visitors": Bounds(users=50, lasts=120, pages=5, stay=30, clicks=2),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_visitors_stay_within_their_bounds(name: str) -> None:
    """Users at once, length of a session, pages, time and clicks on a page: never more, and not much less."""
    found, bounds = sessions(name, 3600), BOUNDS[name]
    for most, seen in (
        (bounds.users, [most_at_once(found)]),
        (bounds.lasts, [one.ended - one.begun for one in found]),
        (bounds.pages, [one.pages for one in found]),
        (bounds.stay, [stay for one in found for stay in one.stays]),
        (bounds.clicks, [count for one in found for count in one.clicks]),
    ):
        assert most / 2 < max(seen) <= most


def test_a_day_has_its_hours() -> None:
    """As many visitors in each hour as the profile says, give or take one at its edges."""
    found = sessions("day-in-the-life", 86_400)
    hours = Counter(int(one.begun // 3600) for one in found)
    profile = load_profile("visitors")
    assert all(abs(hours[hour] - number) <= 1 for hour, number in enumerate(profile.hours[0]))


def test_clicks_cause_chains_of_the_back_end() -> None:
    """Under the same correlation id, with the click as their cause."""
    events = list(ChainGenerator.from_scenario("day-in-the-life").events(duration=86_400))
    known = {event.event_id: event for event in events}
    caused = [event for event in events if not event.event_type.startswith(VISITOR_PREFIX)]
    causes = {short_name(known[event.causation_id or ""].event_type) for event in caused if _begins(event)}
    assert len(caused) > 50
    assert causes == {"button_clicked"}
    assert all(known[event.correlation_id].event_type.startswith(VISITOR_PREFIX) for event in caused)


def _begins(event: Event) -> bool:
    """Whether it is the first of its chain, not an answer within it."""
    return event.event_type.endswith(".requested.v1")


def test_half_of_a_spike_is_clicking() -> None:
    """Within three standard deviations; and a hundred visitors are there at a time."""
    events = list(ChainGenerator.from_scenario("spike", seed=3).events(duration=600))
    clicks = sum(short_name(event.event_type) == "button_clicked" for event in events)
    assert abs(clicks - len(events) / 2) < 3 * (len(events) / 4) ** 0.5
    changes = [(event.timestamp, 1) for event in events if event.causation_id is None]
    changes += [(event.timestamp, -1) for event in events if short_name(event.event_type) == "session_ended"]
    assert max(accumulate(change for _, change in sorted(changes))) == 100


def test_black_friday_has_its_crowd() -> None:
    """In the second hour come some four times as many as in the first and the last."""
    found = sessions("black-friday", 10_800)
    before, crowd, after = (sum(1 for one in found if hour <= one.begun // 3600 < hour + 1) for hour in range(3))
    assert crowd > 1.5 * max(before, after)
