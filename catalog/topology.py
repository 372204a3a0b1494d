"""What a state may have beside plain transitions: retries, timeouts, compensation, forks and joins."""

from __future__ import annotations

from dataclasses import dataclass

from eventbus.catalog.model_delays import Delay, Fixed, Uniform


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where something leads, and after what delay."""

    to: str
    delay: Delay
    compensate: bool = False
    """Whether what was done so far is undone on the way (see `State.compensation`)."""
    by: str | None = None
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
    otherwise: Way
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
class Unless:
    """Another way on from a join."""

    ended: str
    """The state in which a branch ended."""
    way: Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """Branches that run side by side, and where the chain goes on when the last of them has ended."""

    branches: tuple[Way, ...]
    join: Way
    unless: tuple[Unless, ...] = ()
    """The first that holds counts."""

    def way(self, ended: frozenset[str]) -> Way:
        """The way on, by the states in which the branches ended."""
        return next((one.way for one in self.unless if one.ended in ended), self.join)
