"""What exists: event types and chains, as frozen values. The loader makes them from YAML; nothing here reads files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from eventbus.catalog.model_delays import Delay
from eventbus.catalog.model_events import Cached

if TYPE_CHECKING:
    from eventbus.catalog.graphs.graph import Graph
    from eventbus.catalog.topology import Fork, Retry, Timeout, Way
    from eventbus.catalog.visitors import Visitors

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
    by: str | None = None
    """A variable with a `factor`, by which the delay is multiplied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Causes:
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
    compensation: Way | None = None
    """To a state that undoes what this one did."""
    causes: tuple[Causes, ...] = ()
    """Each may begin, independently of the others and of `next`."""


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A value drawn once for each chain: an item of a list of the catalog, or an integer between two bounds."""

    name: str
    list: str | None = None
    by: str | None = None
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

    @cached_property
    def graph(self) -> Graph:
        """Its walks, unfolded.

        Raises:
            TooManyPaths: they are too many.
        """
        from eventbus.catalog.graphs.graph import Graph  # noqa: PLC0415 - the graph is made of these values

        return Graph.of(self)


def emitters(chains: Mapping[str, Chain]) -> dict[str, list[Chain]]:
    """The chains that emit each event type."""
    found: dict[str, list[Chain]] = {}
    for chain in chains.values():
        for event_type in dict.fromkeys(state.emits for state in chain.states.values()):
            found.setdefault(event_type, []).append(chain)
    return found
