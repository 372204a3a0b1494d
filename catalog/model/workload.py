"""When chains begin, as frozen values: how many, when in the day, and how they are spaced.

Two models. In the open one, chains begin at a rate, whatever became of those before them: `Open`. In the closed one
there is a number of users, each of whom begins the next chain some time after the last one has ended: `Users`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from eventbus.catalog.model.chains import Chain, Fork, State, Target
from eventbus.catalog.model.delays import Delay, Fixed, scale

# Several tenants on one bus: how many, how unequal, and how much each keeps hours of its own.


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenants:
    """Tenants `tenant-0001`, `tenant-0002`, … from the largest to the smallest; each chain is of one of them."""

    count: int
    exponent: float = 1.0
    """Of Zipf's law: the n-th has n^-exponent times the chains of the first; 0: all have as many."""
    swing: float = 0.5
    """A tenant's share of the chains is so much higher at an hour of its own, and as much lower twelve hours later."""


# Stretches of a run in which chains fail more often, or take longer: an incident, and its end.


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Holds for chains that begin from a moment on, until the next phase; they keep to it to their end."""

    at: float
    """Seconds since the beginning of the run."""
    failed: float = 1.0
    """What the weights of the ways that can only end in failure are multiplied with, 0 or more."""
    delay: float = 1.0
    """What all delays are multiplied with, 0 or more."""
    chains: tuple[str, ...] = ()
    """Only these; none: all."""

    def of(self, chain: Chain) -> Chain:
        """The chain in this phase: itself, when nothing about it changes."""
        if (self.failed == self.delay == 1) or (self.chains and chain.name not in self.chains):
            return chain
        doomed = chain.states.keys() - _hopeful(chain)
        return replace(chain, states={name: self._state(state, doomed) for name, state in chain.states.items()})

    def _state(self, state: State, doomed: set[str]) -> State:
        """Where only failure is left, or only success, the weights stay: there is nothing to be shifted."""
        before = [way.weight for way in state.next]
        weights = [way.weight * (self.failed if way.to in doomed else 1) for way in state.next]
        if state.name in doomed or not sum(weights):
            weights = before
        kept = sum(before) / (sum(weights) or 1)
        return replace(
            state,
            next=tuple(
                replace(way, weight=weight * kept, delay=scale(way.delay, self.delay))
                for way, weight in zip(state.next, weights, strict=True)
            ),
            fork=state.fork and self._fork(state.fork),
            causes=tuple(replace(one, delay=scale(one.delay, self.delay)) for one in state.causes),
        )

    def _fork(self, fork: Fork) -> Fork:
        return replace(
            fork,
            branches=tuple(map(self._way, fork.branches)),
            join=self._way(fork.join),
            unless=tuple(replace(one, target=self._way(one.target)) for one in fork.unless),
        )

    def _way(self, way: Target) -> Target:
        return replace(way, delay=scale(way.delay, self.delay))


def _hopeful(chain: Chain) -> set[str]:
    """The states from which the chain can still end otherwise than in failure."""
    found = {name for name, state in chain.states.items() if not _onward(state) and state.outcome != "failed"}
    while more := {n for n, state in chain.states.items() if n not in found and not found.isdisjoint(_onward(state))}:
        found |= more
    return found


def _onward(state: State) -> set[str]:
    """The states that may come next; of a fork, those behind its join."""
    onward = {way.to for way in state.next if way.weight > 0}
    if state.timeout:
        onward.add(state.timeout.to)
    if state.fork:
        onward |= {state.fork.join.to, *(one.target.to for one in state.fork.unless)}
    return onward


# Kinds of faults and how often each happens.


FAULT_KINDS: Mapping[str, Literal["time", "places"] | None] = {
    **dict.fromkeys(("drop", "missing-started", "tombstone", "poison", "corrupt", "schema")),
    **dict.fromkeys(("wrong-tenant", "orphan-causation")),
    **dict.fromkeys(("completed-before-started", "clock-skew", "changed-duplicate", "duplicate", "late"), "time"),
    "reorder": "places",
}
"""The kinds of faults, and what their bounds count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSetting:
    """A kind of fault, how often and how far it goes."""

    kind: str
    """One of `FAULTS`."""
    rate: float
    """Share of the events that it could strike."""
    low: int | None = None
    """Of how far it goes, microseconds or places; None: the kind's own."""
    high: int | None = None
    chains: tuple[str, ...] = ()
    """Only events of these; none: all."""
    event_types: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """How a scenario is carried out, as far as its file says so."""

    save_to_file: bool = False
    output_file: str = "events.jsonl"
    verbose: bool | None = None
    retry_on_failure: bool | None = None
    max_retries: int | None = None
    stats_interval: float | None = None
    """Seconds."""
    human_like_delays: bool | None = None
    """False: nobody waits; the catalog and the arrivals are so already."""


SpacingName = Literal["poisson", "regular", "even", "gamma"]
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
THINK = Fixed(value=1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spacing:
    """How chains lie around the times that a rate alone would give them.

    `poisson`: independent of each other; `regular`: as far apart as the rate says; `even`: exactly one in each
    share of time that the rate gives to a chain, anywhere in it; `gamma`: in bursts, or more regular than chance.
    """

    name: SpacingName = "poisson"
    cv: float = 1.0
    """Of `gamma`: standard deviation of the gaps divided by their mean; 1 is like `poisson`, more comes in bursts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantRate:
    """One rate for ever, chains per second."""

    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stretch of time in which the rate rises or falls steadily."""

    duration: float
    """Seconds."""
    begin: float
    """Chains per second."""
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """Stretches of time, one after the other; no chain begins after the last one."""

    stages: tuple[Stage, ...]
    repeat: bool = False
    """Begin anew instead, for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A rate that follows the clock on the wall.

    An hour has as many chains as its number says, also where the rate is interpolated inside it.
    """

    hours: tuple[tuple[float, ...], ...]
    """Chains per hour: 24 numbers for every day alike, or 7 times 24, from Monday on."""
    days: tuple[float, ...] = (1.0,) * 7
    """What the numbers of each day are multiplied with, from Monday on."""
    per_day: float | None = None
    """Chains in 24 hours whose factor is 1: makes the hours relative, and a day of 23 or 25 hours no different."""
    time_zone: str = "UTC"
    """An IANA name: `Europe/Berlin`."""
    interpolate: bool = True
    """Change the rate steadily, not on the hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWorkload:
    """Chains that begin at a rate."""

    rate: ConstantRate | Stages | Profile
    spacing: Spacing = Spacing()

    @property
    def duration(self) -> float | None:
        """Seconds after which no chain begins; None: there is no end."""
        if not isinstance(self.rate, Stages) or self.rate.repeat:
            return None
        return math.fsum(stage.duration for stage in self.rate.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedWorkload:
    """A number of users, each with one chain at a time."""

    users: int
    think: Delay = THINK
    """Between the last event of a user's chain and the first of the next one."""
    ramp_up: float = 0.0
    """Seconds in which they begin, one after the other."""

    @property
    def duration(self) -> None:
        """There is no end."""
        return None


Arrivals = OpenWorkload | ClosedWorkload


@dataclass(frozen=True, kw_only=True)
class ScenarioSettings:
    """What a scenario file says beside the changes that it makes to the catalog."""

    description: str = ""
    seed: int | None = None
    duration: float | None = None
    """Seconds in which chains start; None: endless."""
    api_url: str | None = None
    """Where events are sent over HTTP."""
    arrivals: Arrivals | None = None
    """None: the caller decides."""
    faults: tuple[FaultSetting, ...] = ()
    phases: tuple[Phase, ...] = ()
    advanced: Advanced = field(default_factory=Advanced)
    notes: tuple[str, ...] = ()
    """Where the run differs from what the file says, one sentence each."""
