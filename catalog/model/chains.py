"""Chains as state machines: states, transitions, retries, timeouts, compensation, forks and joins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from eventbus.catalog.model.cached import Cached
from eventbus.catalog.model.delays import Delay, Fixed, Uniform
from eventbus.catalog.model.visitors import Visitors

Outcome = Literal["completed", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A state that follows, and the delay before it."""

    to: str
    """Name of the state."""
    delay: Delay
    compensate: bool = False
    """Whether the chain's compensations run first (see `State.compensation`)."""
    scaled_by: str | None = None
    """A variable with a `factor`, which multiplies the delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Growing delays between retries, milliseconds."""

    initial: float
    factor: float = 2.0
    """Ratio of each delay to the one before."""
    maximum: float | None = None
    jitter: float = 0.0
    """Each delay is uniformly distributed within this share of its length, shorter or longer."""

    def delay(self, number: int) -> Delay:
        """The delay before a retry, counted from 1."""
        maximum = float("inf") if self.maximum is None else self.maximum
        try:
            length = min(self.initial * float(self.factor) ** (number - 1), maximum)
        except OverflowError:
            length = maximum
        if self.jitter == 0:
            return Fixed(value=length)
        return Uniform(minimum=length * (1 - self.jitter), maximum=length * (1 + self.jitter))

    def slowed(self, factor: float) -> Backoff:
        """With all delays multiplied by a factor."""
        maximum = None if self.maximum is None else self.maximum * factor
        return replace(self, initial=self.initial * factor, maximum=maximum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Limits how often a chain may take a transition."""

    limit: int
    """How often in one chain."""
    otherwise: Target
    """Replaces the transition once the limit is reached."""
    backoff: Backoff | None = None
    """None: the transition's own delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """Where a chain goes when the transition it takes would last too long."""

    after: float
    """Milliseconds, exactly."""
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRule:
    """Another target of a join, depending on how a branch ended."""

    ended: str
    """The state in which a branch ended."""
    target: Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """Branches that run in parallel, and where the chain continues once the last of them has ended."""

    branches: tuple[Target, ...]
    join: Target
    unless: tuple[JoinRule, ...] = ()
    """The first rule that applies replaces `join`."""

    def target(self, ended: frozenset[str]) -> Target:
        """Where the chain continues, given the states in which the branches ended."""
        return next((rule.target for rule in self.unless if rule.ended in ended), self.join)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One of the transitions out of a state."""

    to: str
    delay: Delay
    """Of a retry with back-off: before the first one."""
    weight: float
    retry: Retry | None = None
    compensate: bool = False
    """Whether the chain's compensations run first (see `State.compensation`)."""
    scaled_by: str | None = None
    """A variable with a `factor`, which multiplies the delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CausedChain:
    """Another chain that an event may cause; it shares the event's correlation id."""

    chain: str
    """Its name."""
    delay: Delay
    """Until its first event."""
    weight: float
    """How often, in percent of the events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A step of a chain: it emits an event, then takes one transition, or all branches of a fork.

    A state with neither ends the chain (with an outcome), a branch of a fork, or one compensation.
    """

    name: str
    emits: str
    """Name of an event type."""
    next: tuple[Transition, ...] = ()
    total: float = 100.0
    """What the weights of `next` and `abandon` add up to."""
    outcome: Outcome | None = None
    """Set where the chain ends, and only there."""
    abandon: float = 0.0
    """Weight of the chains that stop here without another event and without an outcome."""
    timeout: Timeout | None = None
    fork: Fork | None = None
    compensation: Target | None = None
    """The state that undoes what this one did."""
    causes: tuple[CausedChain, ...] = ()
    """Each may start, independently of the others and of `next`."""


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A value that all events of a chain share: an item of a list of the catalog, or an integer between two bounds."""

    name: str
    list: str | None = None
    per: str | None = None
    """Another variable: each of its values has one item of the list, the same in all chains."""
    where: tuple[tuple[str, str], ...] = ()
    """Only items whose attributes match those of another variable: `cluster` and `statement.cluster`, for example."""
    zipf: bool = False
    """Of a range: its second number is drawn half as often as the first, the third a third as often, and so on."""
    exclusive: bool = False
    """Of a range in a chain of sessions: no two sessions at the same time have the same number."""
    slots: int | None = None
    """Of an exclusive variable in a run: consecutive chains among which no number recurs."""
    minimum: int | None = None
    maximum: int | None = None
    factor: float | None = None
    """The 95th percentile of the speed factors of the list's items, whose median is 1; each item has its own."""


@dataclass(frozen=True, kw_only=True)
class Chain(Cached):
    """A state machine; one walk through it is one chain of events."""

    name: str
    weight: float
    """Relative share; chains of weight 0 start only when they are asked for or caused."""
    description: str = ""
    start: str
    states: Mapping[str, State]
    """In the order of the file."""
    variables: Mapping[str, Variable] = field(default_factory=dict)
    max_steps: int = 64
    """Maximum number of events in a chain; close to it, the shortest path to a terminal state is taken."""
    visitors: Visitors | None = None
    """Makes its chains sessions of visitors: `states` say what they emit, this says what visitors do."""

    @property
    def root(self) -> str:
        """The event type that starts it."""
        return self.states[self.start].emits

    @property
    def is_branched(self) -> bool:
        """Whether its events do not simply follow each other: with forks or visitors."""
        return bool(self.visitors or any(state.fork for state in self.states.values()))

    @cached_property
    def caused(self) -> frozenset[str]:
        """Names of the chains that its events may cause."""
        return frozenset(cause.chain for state in self.states.values() for cause in state.causes)

    @property
    def retries(self) -> int:
        """The maximum number of retries in one chain."""
        return sum(
            transition.retry.limit for state in self.states.values() for transition in state.next if transition.retry
        )
