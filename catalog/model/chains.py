"""What exists: event types and chains, as frozen values. The loader makes them from YAML; nothing here reads files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from eventbus.catalog.model.delays import Delay, Fixed, Uniform
from eventbus.catalog.model.events import Cached
from eventbus.catalog.model.visitors import Visitors

# What a state may have beside plain transitions: retries, timeouts, compensation, forks and joins.


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where something leads, and after what delay."""

    to: str
    delay: Delay
    compensate: bool = False
    """Whether what was done so far is undone on the way (see `State.compensation`)."""
    scaled_by: str | None = None
    """A variable with a `factor`, by which the delay is multiplied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Ever longer delays, milliseconds."""

    initial: float
    factor: float = 2.0
    """How many times longer each delay is than the one before."""
    maximum: float | None = None
    jitter: float = 0.0
    """Each delay lies evenly within this share of its length, shorter or longer."""

    def delay(self, number: int) -> Delay:
        """Before a retry, counted from 1."""
        longest = float("inf") if self.maximum is None else self.maximum
        try:
            length = min(self.initial * self.factor ** (number - 1), longest)
        except OverflowError:
            length = longest
        if self.jitter == 0:
            return Fixed(value=length)
        return Uniform(minimum=length * (1 - self.jitter), maximum=length * (1 + self.jitter))


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A transition that is taken a few times at most."""

    limit: int
    """How often in one chain."""
    otherwise: Target
    """Taken in its place from then on."""
    backoff: Backoff | None = None
    """None: the transition's own delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """Where a chain goes when the transition that it takes would last too long."""

    after: float
    """Milliseconds, exactly."""
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRule:
    """Another way on from a join."""

    ended: str
    """The state in which a branch ended."""
    target: Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """Branches that run side by side, and where the chain goes on when the last of them has ended."""

    branches: tuple[Target, ...]
    join: Target
    unless: tuple[JoinRule, ...] = ()
    """The first that holds counts."""

    def target(self, ended: frozenset[str]) -> Target:
        """The way on, by the states in which the branches ended."""
        return next((one.target for one in self.unless if one.ended in ended), self.join)


Outcome = Literal["completed", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One way out of a state."""

    to: str
    delay: Delay
    """Of a retry with back-off: before the first one."""
    weight: float
    retry: Retry | None = None
    compensate: bool = False
    """Whether what was done so far is undone first (see `State.compensation`)."""
    scaled_by: str | None = None
    """A variable with a `factor`, by which the delay is multiplied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CausedChain:
    """Another chain that an event may cause, under the same correlation id."""

    chain: str
    """Its name."""
    delay: Delay
    """Until its first event."""
    weight: float
    """How often, in percent of the events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A step of a chain: it emits an event, then one transition is taken, or all branches of a fork.

    With neither of them the chain ends (with an outcome), or the branch of a fork does, or one thing has been undone.
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
    """Weight of the walks that stop here without another event and without outcome."""
    timeout: Timeout | None = None
    fork: Fork | None = None
    compensation: Target | None = None
    """To a state that undoes what this one did."""
    causes: tuple[CausedChain, ...] = ()
    """Each may begin, independently of the others and of `next`."""


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A value drawn once for each chain: an item of a list of the catalog, or an integer between two bounds."""

    name: str
    list: str | None = None
    per: str | None = None
    """Another variable: each of its values has an item of the list of its own, the same in all chains."""
    zipf: bool = False
    """Of a range: its second number is drawn half as often as the first, the third a third as often, and so on."""
    minimum: int | None = None
    maximum: int | None = None
    factor: float | None = None
    """Each item of the list is slow or fast in its own way: the 95th percentile of its factor, whose median is 1."""


@dataclass(frozen=True, kw_only=True)
class Chain(Cached):
    """A state machine whose walk is one chain of events."""

    name: str
    weight: float
    """Relative share; 0 is off by default."""
    description: str = ""
    start: str
    states: Mapping[str, State]
    """In the order of the file."""
    variables: Mapping[str, Variable] = field(default_factory=dict)
    max_steps: int = 64
    """Upper bound of events in a chain; near it, the shortest way to a terminal state is taken."""
    visitors: Visitors | None = None
    """Makes its chains sessions of visitors: `states` say what they emit, and this says what they do."""

    @property
    def root(self) -> str:
        """The event type that starts it."""
        return self.states[self.start].emits

    @cached_property
    def caused(self) -> frozenset[str]:
        """Names of the chains that its events may cause."""
        return frozenset(one.chain for state in self.states.values() for one in state.causes)

    @property
    def retries(self) -> int:
        """How many retries a walk may have at most."""
        return sum(one.retry.limit for state in self.states.values() for one in state.next if one.retry)
