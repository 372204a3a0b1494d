"""What a run does to a catalog: when chains start, tenants, phases, faults, and the settings of a scenario.

There are two models of arrivals. In the open one (`OpenWorkload`), chains start at a rate, independently of the chains
before them. In the closed one (`ClosedWorkload`), each of a number of users starts the next chain some time after the
previous one has ended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from eventbus.catalog.model.chains import Chain, Fork, State, Target, Transition
from eventbus.catalog.model.delays import Delay, Fixed, scale
from eventbus.catalog.model.faults import Fault

SpacingName = Literal["poisson", "regular", "even", "gamma"]
AtEnd = Literal["end", "finish", "cut"]
"""What happens at the end of a run's duration to chains that are under way.

`end`: sessions close their page and end; other chains run to their end. `finish`: all chains run to their end, also
sessions. `cut`: all chains break off.
"""
AT_END: tuple[AtEnd, ...] = ("end", "finish", "cut")
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
THINK = Fixed(value=1000)
"""The default of `ClosedWorkload.think`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spacing:
    """How the starts of chains are distributed around a rate.

    `poisson`: independently of each other; `regular`: at equal distances; `even`: stratified, that is one chain at a
    uniformly distributed moment of each interval that has room for one; `gamma`: in bursts, or more regular than
    `poisson`.
    """

    name: SpacingName = "poisson"
    cv: float = 1.0
    """Of `gamma`: coefficient of variation of the gaps between chains; 1 is like `poisson`, more is burstier."""

    @property
    def dispersion(self) -> float:
        """Variance of the number of chains in a long time, relative to its mean."""
        return {"poisson": 1.0, "regular": 0.0, "even": 0.0, "gamma": self.cv**2}[self.name]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantRate:
    """A rate that never changes, chains per second."""

    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A period in which the rate changes linearly."""

    duration: float
    """Seconds."""
    begin: float
    """Chains per second."""
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """Consecutive stages; no chain starts after the last one."""

    stages: tuple[Stage, ...]
    repeat: bool = False
    """Start again with the first stage, forever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A rate that depends on local time.

    Each hour has on average as many chains as its number says, whether the rate is interpolated or not.
    """

    hours: tuple[tuple[float, ...], ...]
    """Chains per hour: 24 numbers for all days, or 7 times 24 numbers, starting with Monday."""
    days: tuple[float, ...] = (1.0,) * 7
    """A factor for each day, starting with Monday."""
    per_day: float | None = None
    """Chains in a day whose factor is 1, whether it has 23, 24 or 25 hours; makes the numbers of the hours relative."""
    time_zone: str = "UTC"
    """An IANA name: `Europe/Berlin`."""
    interpolate: bool = True
    """Change the rate linearly between hours, not in steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWorkload:
    """Chains that start at a rate."""

    rate: ConstantRate | Stages | Profile
    spacing: Spacing = Spacing()

    @property
    def duration(self) -> float | None:
        """Seconds after which no chain starts; None: there is no end."""
        if not isinstance(self.rate, Stages) or self.rate.repeat:
            return None
        return math.fsum(stage.duration for stage in self.rate.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedWorkload:
    """A number of users who have one chain at a time."""

    users: int
    think: Delay = THINK
    """Between the last event of a user's chain and the first event of the next."""
    ramp_up: float = 0.0
    """Seconds in which the users start, one after the other."""

    def faster(self, factor: float) -> ClosedWorkload:
        """The same users with all times divided by a factor."""
        return replace(self, think=scale(self.think, 1 / factor), ramp_up=self.ramp_up / factor)

    @property
    def duration(self) -> None:
        """There is no end."""
        return None


Arrivals = OpenWorkload | ClosedWorkload


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenants:
    """Tenants `tenant-0001`, `tenant-0002`, … from the largest to the smallest; each chain belongs to one of them."""

    count: int
    exponent: float = 1.0
    """Of Zipf's law: the n-th tenant has n^-exponent times the chains of the first; 0: all have equally many."""
    swing: float = 0.5
    """A tenant's share rises by this share at an hour of its own, and falls by as much twelve hours later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A period of a run in which chains fail more or less often, or take longer: an incident, or its end.

    It applies to chains that start from a moment on, until the next phase; a chain keeps its phase to its end.
    """

    at: float
    """Seconds since the start of the run."""
    failed: float = 1.0
    """Factor, 0 or more, of the weights of transitions that can only end in failure."""
    delay: float = 1.0
    """Factor, above 0, of all delays: of transitions, retries and what replaces them, compensations, forks, joins and
    caused chains, and of the times that visitors take. Timeouts stay: more transitions exceed them.
    """
    chains: tuple[str, ...] = ()
    """Only these; none: all."""

    def apply(self, chain: Chain) -> Chain:
        """The chain in this phase; the same value if the phase does not change it."""
        if (self.failed == self.delay == 1) or (self.chains and chain.name not in self.chains):
            return chain
        doomed = chain.states.keys() - _can_succeed(chain)
        states = {name: self._state(state, doomed) for name, state in chain.states.items()}
        return replace(chain, states=states, visitors=chain.visitors and chain.visitors.slowed(self.delay))

    def _state(self, state: State, doomed: set[str]) -> State:
        """The state with other weights and delays.

        The weights keep their sum, and are unchanged if every transition leads to failure, or none does.
        """
        original = [transition.weight for transition in state.next]
        factors = [self.failed if doomed.issuperset(_targets(transition)) else 1 for transition in state.next]
        weights = [weight * factor for weight, factor in zip(original, factors, strict=True)]
        if state.name in doomed or not any(weights):
            weights = original
        normalise = math.fsum(original) / (math.fsum(weights) or 1)
        return replace(
            state,
            next=tuple(
                self._transition(transition, weight * normalise)
                for transition, weight in zip(state.next, weights, strict=True)
            ),
            fork=state.fork and self._fork(state.fork),
            compensation=state.compensation and self._target(state.compensation),
            causes=tuple(replace(cause, delay=scale(cause.delay, self.delay)) for cause in state.causes),
        )

    def _transition(self, transition: Transition, weight: float) -> Transition:
        retry = transition.retry
        if retry:
            backoff = retry.backoff and retry.backoff.slowed(self.delay)
            retry = replace(retry, otherwise=self._target(retry.otherwise), backoff=backoff)
        return replace(transition, weight=weight, delay=scale(transition.delay, self.delay), retry=retry)

    def _fork(self, fork: Fork) -> Fork:
        return replace(
            fork,
            branches=tuple(map(self._target, fork.branches)),
            join=self._target(fork.join),
            unless=tuple(replace(rule, target=self._target(rule.target)) for rule in fork.unless),
        )

    def _target(self, target: Target) -> Target:
        return replace(target, delay=scale(target.delay, self.delay))


def _can_succeed(chain: Chain) -> set[str]:
    """The states from which a chain can still end in something other than failure."""
    names = {name for name, state in chain.states.items() if not _successors(state) and state.outcome != "failed"}
    while more := {
        name for name, state in chain.states.items() if name not in names and not names.isdisjoint(_successors(state))
    }:
        names |= more
    return names


def _targets(transition: Transition) -> set[str]:
    """The states that a transition may lead to: its own, and the one that replaces it after the last retry."""
    return {transition.to, transition.retry.otherwise.to} if transition.retry else {transition.to}


def _successors(state: State) -> set[str]:
    """The states that may come next; of a fork, those after its join."""
    successors = {to for transition in state.next if transition.weight > 0 for to in _targets(transition)}
    if state.timeout:
        successors.add(state.timeout.to)
    if state.fork:
        successors |= {state.fork.join.to, *(rule.target.to for rule in state.fork.unless)}
    return successors


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """The section `advanced` of a scenario: output and delivery, None where the file does not say."""

    save_to_file: bool = False
    output_file: str = "events.jsonl"
    verbose: bool | None = None
    retry_on_failure: bool | None = None
    max_retries: int | None = None
    stats_interval: float | None = None
    """Seconds."""
    human_like_delays: bool | None = None
    """False: nobody waits; the scenario's catalog and arrivals reflect that already."""


@dataclass(frozen=True, kw_only=True)
class ScenarioSettings:
    """What a scenario file says, apart from its changes to the catalog."""

    description: str = ""
    seed: int | None = None
    duration: float | None = None
    """Length of the run in seconds; None: endless."""
    at_end: AtEnd = "finish"
    """What then happens to chains that are under way."""
    events_per_second: float | None = None
    """What the users make together: visitors' times are scaled to it. None: as many as come of their behaviour."""
    api_url: str | None = None
    """Where events are sent over HTTP."""
    arrivals: Arrivals | None = None
    """None: the caller decides."""
    faults: tuple[Fault, ...] = ()
    phases: tuple[Phase, ...] = ()
    advanced: Advanced = field(default_factory=Advanced)
    notes: tuple[str, ...] = ()
    """Where the run differs from what the file says, one sentence each."""
